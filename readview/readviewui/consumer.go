package readviewui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/readview"
)

const (
	operationsBeside = 8   // in the card of a consumer
	debtsShown       = 200 // parked or skipped events
	rowsShown        = 50  // of an explanation, a rehearsal, a verification
)

// consumerView is the page of one consumer.
type consumerView struct {
	row
	Trouble    *trouble              `json:"trouble,omitempty"`
	Failure    *failureView          `json:"failure,omitempty"`
	Doing      []button              `json:"-"`
	Done       string                `json:"-"` // what somebody has just done
	Last       *lastRun              `json:"last_of_this_process,omitempty"`
	Rebuilt    *consumer.Replay      `json:"last_rebuild,omitempty"`
	Verify     *consumer.Replay      `json:"last_verify,omitempty"`
	Verified   *readview.Verified    `json:"verified,omitempty"`
	Explained  *readview.Explained   `json:"explained,omitempty"`
	Retried    *readview.RetryResult `json:"-"`
	RetriedAt  time.Time             `json:"-"`
	Tables     []string              `json:"tables,omitempty"`
	Parking    []parkedStream        `json:"parked_events,omitempty"`
	Passed     []passed              `json:"skipped_events,omitempty"`
	DebtCut    bool                  `json:"debt_cut,omitempty"` // there is more of it
	Operations []operation           `json:"operations"`
	Problems   []string              `json:"problems,omitempty"` // what could not be loaded
	Hides      bool                  `json:"redacted"`
	Still      bool                  `json:"-"` // script must not load it again
	Pages      *lastPages            `json:"last_pages,omitempty"`
	Lag15      *chart                `json:"-"`
	Rate15     *chart                `json:"-"`
	Here       string                `json:"-"`
	Ways       []ending              `json:"-"`             // to end for whom a rebuild waits
	IsView     bool                  `json:"-"`             // a projection
	Old        bool                  `json:"old,omitempty"` // nothing is known of now
	Away       bool                  `json:"-"`             // because the database does not answer
	Unread     string                `json:"problem,omitempty"`

	revealed bool
}

// DocumentTitle names the document.
func (v *consumerView) DocumentTitle() string { return v.Name + ", " + v.standing.Word }

// lastRun is what this process does about a consumer, or has done last.
type lastRun struct {
	Action  Action    `json:"action"`
	Running bool      `json:"running"`
	Phase   string    `json:"phase,omitempty"` // what it is at, when the record says that it is done
	Began   time.Time `json:"began"`
	Problem string    `json:"problem,omitempty"`
}

// parkedStream is what is parked of one aggregate.
type parkedStream struct {
	Stream string        `json:"stream"`
	Kind   string        `json:"-"`
	Of     string        `json:"-"`
	Events []parkedEvent `json:"events"`
	URL    string        `json:"-"`

	stream eventsourced.Stream // as it is
}

// First is the position by which the stream is retried: its id may be hidden.
func (p parkedStream) First() int64 { return p.Events[0].Position }

type parkedEvent struct {
	Position int64     `json:"position"`
	ID       string    `json:"id"`
	Name     string    `json:"event"`
	Error    string    `json:"error,omitempty"` // "" for one that waits for those before it
	Tries    int       `json:"tries"`
	At       time.Time `json:"time"`
	Reason   string    `json:"reason,omitempty"` // of who has parked it
	Actor    string    `json:"actor,omitempty"`
}

// leadRunes is how much of a long error is shown before somebody asks for the rest.
const leadRunes = 160

// Lead is the beginning of an error that is folded, "" for one that is short.
func (e parkedEvent) Lead() string {
	first, _, more := strings.Cut(strings.TrimSpace(e.Error), "\n")
	if runes := []rune(first); len(runes) > leadRunes {
		return string(runes[:leadRunes]) + "…"
	}
	if !more {
		return ""
	}
	return first + " …"
}

type passed struct {
	Position int64     `json:"position"`
	Name     string    `json:"event"`
	Stream   string    `json:"stream"`
	Error    string    `json:"error"`
	Reason   string    `json:"reason"`
	Actor    string    `json:"actor"`
	At       time.Time `json:"time"`
}

// button is an action with its consequence.
type button struct {
	Action   Action
	Text     string
	Says     string
	Class    string // "main", "bad" or ""
	Ask      bool   // first
	Position int64
}

func (h *Handler) consumer(ctx context.Context, r *http.Request) (any, error) {
	asked := r.URL.Query()
	id := consumer.ID{Kind: consumer.Kind(asked.Get("kind")), Name: asked.Get("name"), Topic: asked.Get("topic")}
	l := h.look(ctx)
	s, err := h.findIn(l, id)
	if err != nil {
		return nil, err
	}
	name := id.Name
	if id.Kind != consumer.KindProjection {
		name = ""
	}
	revealed, err := h.revealed(ctx, r, name, map[string]string{"page": id.String()})
	if err != nil {
		return nil, err
	}
	v := &consumerView{row: h.rowOf(l, s, revealed), Old: l.Old, Away: l.Away, Unread: l.Says(), Hides: !h.open(id.Name, revealed), revealed: revealed, Still: revealed, Rebuilt: h.replay(s.Rebuild), Verify: h.replay(s.Verify), IsView: id.Kind == consumer.KindProjection,
		Done: doneWord(Action(asked.Get("done"))), Here: h.placeOf(id)}
	if !l.Old {
		if found, _ := h.troubles(ctx, []consumer.Status{s}, revealed); len(found) > 0 {
			v.Trouble = &found[0]
		}
	}
	known := h.jobs.of(id)
	if known.Running != "" {
		v.Last = &lastRun{Action: known.Running, Running: true, Began: known.Began}
		if known.Running == Verify && s.Verify != nil && !s.Verify.Running && s.Verify.Began.After(known.Began) && known.VerifiedAt.Before(known.Began) {
			v.Last.Phase = "it has compared the rows, and finds the events that have touched those that differ"
		}
	} else if known.Last != "" {
		v.Last = &lastRun{Action: known.Last, Began: known.Began, Problem: said(!v.Hides, known.Problem)}
	}
	if s.Rebuild != nil {
		for _, w := range s.Rebuild.Waits {
			if e := endingOf(id, w, fmt.Sprintf("End session %d…", w.PID)); e != nil {
				v.Ways = append(v.Ways, *e)
			}
		}
	}
	v.charts(h, s)
	if l.Away { // nothing more can be read, or done
		return v, nil
	}
	load := func(what string, err error) {
		if err != nil {
			v.Problems = append(v.Problems, what+": "+err.Error())
		}
	}
	if v.IsView {
		v.Tables, _ = h.manager.Tables(id.Name)
		v.Failure, err = h.failure(ctx, s, known, revealed, v.Hides)
		load("the failure", err)
		load("debts", v.debts(ctx, h, s))
		v.Pages = h.lastPages(s)
		v.found(h, known)
		v.Hides = v.Hides || v.Failure != nil && v.Failure.redacted
	} else if id.Kind == consumer.KindReactor && s.Parked > 0 {
		load("parked events", v.reactorDebts(ctx, h, s))
	}
	load("the operator log", v.operations(ctx, h, id))
	v.buttons(h, s)
	return v, nil
}

// found adds what somebody has asked for here, without rows where those are hidden.
func (v *consumerView) found(h *Handler, known results) {
	if known.Retried != nil {
		retried := *known.Retried
		retried.Failed = slices.Clone(retried.Failed)
		for i := range retried.Failed {
			retried.Failed[i].Error = said(!v.Hides, retried.Failed[i].Error)
		}
		v.Retried, v.RetriedAt = &retried, known.RetriedAt
	}
	if known.Verified != nil {
		verified := *known.Verified
		verified.Tables = append([]readview.VerifiedTable{}, verified.Tables...)
		if v.Hides {
			for i := range verified.Tables {
				verified.Tables[i].First = nil
			}
		}
		v.Verified = &verified
	}
	if known.Explained != nil {
		explained := *known.Explained
		if len(explained.Steps) > rowsShown {
			explained.Steps = explained.Steps[len(explained.Steps)-rowsShown:]
		}
		explained.Steps = append([]readview.Step{}, explained.Steps...)
		for i := range explained.Steps {
			if step := &explained.Steps[i]; step.Event != nil {
				event := h.redacted(*step.Event, v.revealed)
				step.Event = &event
			}
		}
		if v.Hides {
			explained.Live = nil
			for i := range explained.Steps {
				step := &explained.Steps[i]
				step.Key, step.Before, step.After, step.Columns = nil, nil, nil, nil
			}
		}
		v.Explained = &explained
	}
}

func (v *consumerView) debts(ctx context.Context, h *Handler, s consumer.Status) error {
	if s.Parked > 0 {
		events, err := h.manager.Parked(ctx, s.Name)
		if err != nil {
			return err
		}
		for _, e := range events[:min(len(events), debtsShown)] {
			v.park(h, e.Stream, parkedEvent{int64(e.Position), e.EventID.String(), e.EventName, said(!v.Hides, e.Error), e.Tries, e.ParkedAt, e.Reason, e.Actor})
		}
		v.DebtCut = len(events) > debtsShown
	}
	if s.Skipped > 0 {
		events, err := h.manager.Skipped(ctx, s.Name)
		if err != nil {
			return err
		}
		for _, e := range events[max(0, len(events)-debtsShown):] {
			v.Passed = append(v.Passed, passed{int64(e.Position), e.EventName, h.streamOf(e.Stream, e.EventName, e.Position, v.revealed).String(), said(!v.Hides, e.Error), e.Reason, e.Actor, e.SkippedAt})
		}
		v.DebtCut = v.DebtCut || len(events) > debtsShown
	}
	return nil
}

func (v *consumerView) reactorDebts(ctx context.Context, h *Handler, s consumer.Status) error {
	events, err := reactor.NewParking(h.config.Consumers, s.Name).Parked(ctx)
	if err != nil {
		return err
	}
	for _, e := range events[:min(len(events), debtsShown)] {
		v.park(h, e.Stream, parkedEvent{int64(e.Position), e.EventID.String(), e.EventName, said(!v.Hides, e.Error), e.Tries, e.ParkedAt, "", ""})
	}
	v.DebtCut = len(events) > debtsShown
	return nil
}

// park adds an event to those of its stream.
func (v *consumerView) park(h *Handler, stream eventsourced.Stream, e parkedEvent) {
	for i := range v.Parking {
		if v.Parking[i].stream == stream {
			v.Parking[i].Events = append(v.Parking[i].Events, e)
			return
		}
	}
	shown := h.streamOf(stream, e.Name, eventsourced.Position(e.Position), v.revealed)
	v.Parking = append(v.Parking, parkedStream{Stream: shown.String(), Kind: shown.AggregateName, Of: shown.AggregateID, Events: []parkedEvent{e},
		URL: streamPage(stream, shown, eventsourced.Position(e.Position)), stream: stream})
}

func (v *consumerView) operations(ctx context.Context, h *Handler, id consumer.ID) error {
	var all []consumer.Operation
	var err error
	switch {
	case id.Kind == consumer.KindProjection:
		all, err = h.manager.Operations(ctx, readview.OperationsQuery{Names: []string{id.Name}, Limit: operationsBeside})
	case h.config.Consumers != nil:
		all, err = h.config.Consumers.Operations(ctx, operationsScanned)
	}
	for i := len(all) - 1; i >= 0 && len(v.Operations) < operationsBeside; i-- {
		if all[i].Kind == id.Kind && all[i].Name == id.Name {
			v.Operations = append(v.Operations, h.operationOf(all[i]))
		}
	}
	return err
}

// doneWord says what somebody has just done. What the address says is not shown itself.
func doneWord(action Action) string {
	return map[Action]string{
		Pause: "Paused.", Resume: "Resumed. It tries again from where it is.", Reset: "Reset. All events are applied again.",
		Rebuild: "The rebuild has begun.", Swap: "The rebuild has begun; at its end it swaps the tables.", Rollback: "The rollback has begun.", Verify: "Verify has begun.",
		Explain: "The explanation is being made.", DryRun: "Dry-run: nothing has changed.", Skip: "Skipped. It goes on.", Park: "Parked. It goes on with the others.",
		"skip-asked": "Skip asked. The event is tried once more, within a second or two, and skipped if that fails.",
		"park-asked": "Park asked. The event is tried once more, within a second or two, and parked if that fails.",
		Retry:        "Parked events are tried again.", EndSession: "That is out of the way. What has waited for it goes on.",
	}[action]
}

// buttons are what can be done now, the most harmless first.
func (v *consumerView) buttons(h *Handler, s consumer.Status) {
	add := func(b button) { v.Doing = append(v.Doing, b) }
	stuck := s.Failure != nil && s.Failure.EventName != "" && !s.Failure.Stalled // also when it is paused
	at := int64(0)
	if s.Failure != nil {
		at = int64(s.Failure.Position)
	}
	if v.IsView && stuck {
		text := "Dry-run"
		if v.Failure != nil && v.Failure.Rehearsed != nil {
			text = "Dry-run again"
		}
		add(button{DryRun, text, "Changes nothing. Runs the deployed code for this event and rolls back.", "main", false, at})
	}
	switch s.State {
	case consumer.Failed, consumer.Ahead:
		add(button{Resume, "Resume", "Tries again, after a fix is deployed. Stops again if it still fails.", "", false, 0})
	case consumer.Paused:
		add(button{Resume, "Resume", "Goes on from where it is.", "main", false, 0})
	default:
		add(button{Pause, "Pause…", "Stops it on all nodes until somebody resumes it. No event is lost.", "", true, 0})
	}
	if s.Parked > 0 {
		add(button{Retry, "Retry parked events", "Applies what is parked, each aggregate’s in order, up to the first that fails again.", "", false, 0})
	}
	if v.IsView && stuck {
		add(button{Skip, "Skip this event…", "This event and no other. Its rows stay as they are; one event of debt until a rebuild or a reset can apply it.", "bad", true, at})
		add(button{Park, "Park this aggregate…", "Its events wait, in order; all others go on.", "bad", true, at})
	}
	if s.Kind == consumer.KindReactor && stuck && h.config.Consumers != nil {
		if s.Asked != string(Park) {
			add(button{Park, "Park this event…", "It is tried once more at once. If that fails, its aggregate’s events wait, in order; all others go on.", "bad", true, at})
		}
		if s.Asked != string(Skip) {
			add(button{Skip, "Skip this event…", "It is tried once more at once. If that fails, it is never handled, and those behind it are.", "bad", true, at})
		}
	}
	if s.Kind == consumer.KindRelay && at > 0 && h.config.Relay != nil {
		add(button{Skip, "Skip this event…", "Only if it can’t be mended: consumers never get it.", "bad", true, at})
	}
	if !v.IsView || len(v.Tables) == 0 {
		return
	}
	add(button{Verify, "Verify", "Compares the rows with a replay of the events. Changes nothing.", "", false, 0})
	add(button{Rebuild, "Rebuild…", "Replays all events beside the tables, then writes the rows that differ. Readers notice nothing.", "", true, 0})
	add(button{Swap, "Rebuild and swap…", "The same, and new tables take the place of the old ones: for when most rows differ.", "bad", true, 0})
	if s.Rebuild != nil && !s.Rebuild.Running && !s.Rebuild.Ended.IsZero() && s.Rebuild.Phase == string(readview.PhaseDone) {
		add(button{Rollback, "Roll back…", "Goes back to what the last " + s.Rebuild.Command + " has replaced, as long as that is kept.", "bad", true, 0})
	}
	add(button{Reset, "Reset…", "Empties the tables and applies all events again. Readers see incomplete tables meanwhile.", "bad", true, 0})
}

// notThere tells that the projection does not stand at an event any more.
func notThere(err error) bool { return errors.Is(err, readview.ErrNotThere) }
