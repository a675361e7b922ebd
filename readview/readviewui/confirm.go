package readviewui

import (
	"context"
	"net/http"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// question is what is said before something is done: what is lost, what goes on, and what to type.
type question struct {
	Title   string   `json:"title"`
	Lost    []string `json:"lost,omitempty"`
	Kept    []string `json:"kept,omitempty"`
	Verb    string   `json:"verb"`
	Confirm string   `json:"type_to_confirm,omitempty"` // the name that has to be typed; "" for none
	Wrong   string   `json:"wrong,omitempty"`           // what was wrong with the answer
	Actor   string   `json:"-"`
	Back    string   `json:"-"`
	Reason  string   `json:"reason,omitempty"`
	Asked   asked    `json:"-"`
}

// DocumentTitle names the document.
func (q *question) DocumentTitle() string { return q.Title }

// Destructive tells that something is lost, or that all readers see something else afterwards.
func (q *question) Destructive() bool { return q.Confirm != "" }

// answered returns what is wrong with an answer, "" for nothing.
func (q *question) answered(a asked) string {
	switch {
	case q.Confirm == "":
		return ""
	case a.Reason == "":
		return "Say why, for those who come later."
	case a.Typed != q.Confirm:
		return "Type the name as it is: " + q.Confirm
	}
	return ""
}

// confirm is the page of a question.
func (h *Handler) confirm(ctx context.Context, r *http.Request) (any, error) {
	a, err := h.readAsked(ctx, r.URL.Query())
	if err != nil {
		return nil, err
	}
	actor, err := h.authorize(r, a.Action)
	if err != nil {
		return nil, h.forbidden(r, a.Action, err)
	}
	q, err := h.question(ctx, a)
	if err != nil {
		return nil, err
	}
	q.Actor = actor
	return q, nil
}

// question says what will happen.
func (h *Handler) question(ctx context.Context, a asked) (*question, error) {
	if a.Action == EndSession {
		return h.askEnd(ctx, a)
	}
	s, err := h.find(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	q := &question{Asked: a, Back: h.placeOf(a.ID)}
	if a.ID.Kind == consumer.KindProjection {
		h.askProjection(q, a, s)
	} else {
		h.askOther(q, a)
	}
	if q.Title == "" {
		return nil, errNotOf
	}
	return q, nil
}

// ownVersion is which code makes the tables: in a deployment the page may be the old program's.
const ownVersion = "The program that serves this page does it, with its own version of the projection."

func (h *Handler) askProjection(q *question, a asked, s consumer.Status) {
	name, at := a.ID.Name, num(a.Position)
	moved := "If it has moved meanwhile, nothing happens."
	switch a.Action {
	case Skip:
		q.Title, q.Verb, q.Confirm = "Skip event "+at+" in "+name+"?", "Skip event "+at, name
		q.Lost = []string{"This event is never applied: its rows stay as they are.", "Verify says “not equal”, and the event counts as debt, until a rebuild or a reset with a program that can apply it."}
		q.Kept = []string{"The projection goes on with " + behindWord(s) + " behind it.", moved}
	case Park:
		q.Title, q.Verb, q.Confirm = "Park event "+at+" of "+name+"?", "Park event "+at, name
		q.Lost = []string{"This event waits, and so do later events of its aggregate, until somebody retries them."}
		q.Kept = []string{"All other aggregates go on.", "Nothing is forgotten: parked events are applied in order.", moved}
	case Reset:
		q.Title, q.Verb, q.Confirm = "Reset "+name+"?", "Reset "+name, name
		tables, _ := h.manager.Tables(name)
		q.Lost = []string{"All rows of " + either(strings.Join(tables, ", "), "its tables") + " are removed at once.", "Until all events are applied again, readers see incomplete tables. A rebuild does the same without that."}
		q.Kept = []string{"The events stay: the tables become what they say.", "What failed, is parked or was skipped is tried again, and it stops there if that still fails."}
	case Rebuild:
		q.Title, q.Verb = "Rebuild "+name+"?", "Rebuild "+name
		q.Kept = []string{"All events are replayed beside its tables, while those are read and go on.", "Then the rows that differ are written, in one transaction.", "What is parked or was skipped is tried again; what fails again is left out, and stays so.", "What was there is kept for a day: you can roll back.", "Whatever interrupts it, nothing has changed, or it is done."}
		q.Kept = append(q.Kept, ownVersion)
	case Swap:
		q.Title, q.Verb, q.Confirm = "Rebuild "+name+" and swap its tables?", "Rebuild and swap "+name, name
		q.Lost = []string{"New tables take the place of the old ones. It is refused when anything depends on those."}
		q.Kept = []string{"All events are replayed beside its tables, while those are read and go on.", "No reader sees an empty or a mixed table.", "What is parked or was skipped is tried again; what fails again is left out, and stays so.", "What was there is kept for a day: you can roll back."}
		q.Kept = append(q.Kept, ownVersion)
	case Rollback:
		q.Title, q.Verb, q.Confirm = "Roll back "+name+"?", "Roll back "+name, name
		q.Lost = []string{"What the last rebuild has made is replaced by what was there before, with this program applying what has come since."}
		q.Kept = []string{"What is replaced is kept in turn.", "No reader sees an empty or a mixed table."}
	case Pause:
		q.Title, q.Verb = "Pause "+name+"?", "Pause "+name
		q.Lost = []string{"It applies no events, on any node, until somebody resumes it: what it shows grows old."}
		q.Kept = []string{"No event is lost.", "Other projections go on."}
	case Resume:
		q.Title, q.Verb = "Resume "+name+"?", "Resume "+name
		q.Kept = []string{"It goes on from where it is, and tries what has failed again.", "It stops again if that still fails."}
	case Retry:
		q.Title, q.Verb = "Retry parked events of "+name+"?", "Retry"
		q.Kept = []string{"Each is applied once, each aggregate’s in order, up to the first that fails again."}
	case Verify:
		q.Title, q.Verb = "Verify "+name+"?", "Verify "+name
		q.Kept = []string{"All events are replayed beside its tables, and the rows are compared. Nothing is changed."}
	case DryRun:
		q.Title, q.Verb = "Dry-run event "+at+"?", "Dry-run"
		q.Kept = []string{"Runs the deployed code for this event and rolls back. Meanwhile the projection stands still."}
	case Explain:
		q.Title, q.Verb = "Explain a row of "+name+"?", "Explain"
		q.Kept = []string{"All events are replayed beside its tables. Nothing is changed."}
	}
}

func (h *Handler) askOther(q *question, a asked) {
	name := a.ID.String()
	switch {
	case a.Action == Pause:
		q.Title, q.Verb = "Pause "+name+"?", "Pause "+name
		q.Lost = []string{"It handles no events, on any node, until somebody resumes it."}
		q.Kept = []string{"No event is lost: they wait in the log."}
	case a.Action == Resume:
		q.Title, q.Verb = "Resume "+name+"?", "Resume "+name
		q.Kept = []string{"It goes on from where it is, and tries what has failed again."}
	case a.Action == Retry && a.ID.Kind == consumer.KindReactor:
		q.Title, q.Verb = "Retry parked events of "+name+"?", "Retry"
		q.Kept = []string{"Each is tried once, by the node that runs it, each aggregate’s in order, up to the first that fails again."}
	case a.Action == Skip && a.ID.Kind == consumer.KindReactor && a.Event == "" && a.Position > 0:
		q.Title, q.Verb, q.Confirm = "Skip event "+num(a.Position)+" in "+name+"?", "Skip event "+num(a.Position), a.ID.Name
		q.Lost = []string{"This event is never handled, unless its next try works."}
		q.Kept = []string{"It goes on with those behind it.", "If it has moved meanwhile, nothing happens."}
	case a.Action == Park && a.ID.Kind == consumer.KindReactor && a.Position > 0:
		q.Title, q.Verb, q.Confirm = "Park event "+num(a.Position)+" of "+name+"?", "Park event "+num(a.Position), a.ID.Name
		q.Lost = []string{"Unless its next try works, this event waits, and so do later events of its aggregate, until somebody retries them."}
		q.Kept = []string{"All other aggregates go on.", "If it has moved meanwhile, nothing happens."}
	case a.Action == Skip && a.ID.Kind == consumer.KindReactor && a.Event != "":
		q.Title, q.Verb, q.Confirm = "Skip a parked event of "+name+"?", "Skip event", a.ID.Name
		q.Lost = []string{"This event is never handled."}
		q.Kept = []string{"Those parked behind it wait until they are retried."}
	case a.Action == Skip && a.ID.Kind == consumer.KindRelay && h.config.Relay != nil:
		q.Title, q.Verb, q.Confirm = "Never publish event "+num(a.Position)+"?", "Skip event "+num(a.Position), a.ID.Name
		q.Lost = []string{"Consumers get what comes before and after it, and never this event, live and in history: tell them."}
		q.Kept = []string{"The relay goes on.", "Only an event that is in the way is left out."}
	}
}

func behindWord(s consumer.Status) string {
	switch {
	case s.Behind < 0:
		return "what waits"
	case s.More:
		return "the more than " + num(s.Behind) + " events"
	}
	return "the " + plural(max(0, s.Behind-1), "event", "events")
}

func either(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
