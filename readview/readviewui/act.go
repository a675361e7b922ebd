package readviewui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/readview"
)

const (
	maxReason  = 2000 // bytes
	actTimeout = 20 * time.Second
)

// asked is what somebody wants done, as the forms have it.
type asked struct {
	Action   Action
	ID       consumer.ID
	Position eventsourced.Position
	Event    string // the id of a reactor's event
	Stream   string // of parked events, "" for all
	Reason   string
	Typed    string // the name, to confirm
	Table    string
	Column   string
	Value    string

	PID       int       // of a session that is to end
	Connected time.Time // likewise
}

// readAsked reads what is wanted, from a form or an address. What does not exist is a problem.
func (h *Handler) readAsked(ctx context.Context, values url.Values) (asked, error) {
	a := asked{Action: Action(values.Get("action")), Event: values.Get("event"), Stream: values.Get("stream"), Reason: strings.TrimSpace(values.Get("reason")), Typed: strings.TrimSpace(values.Get("typed")),
		Table: values.Get("table"), Column: values.Get("column"), Value: values.Get("value"), Position: position(values.Get("position")),
		ID: consumer.ID{Kind: consumer.Kind(values.Get("kind")), Name: values.Get("name"), Topic: values.Get("topic")}}
	pid, _ := strconv.ParseInt(values.Get("pid"), 10, 32)
	connected, _ := strconv.ParseInt(values.Get("connected"), 10, 64)
	a.PID, a.Connected = int(pid), connectedAt(connected)
	if !slices.Contains(actions, a.Action) {
		return a, problem{Status: http.StatusBadRequest, Title: "There is no such action", Text: "Nothing has changed."}
	}
	for _, text := range []string{a.Reason, a.Value, a.Stream, a.Event, a.Table, a.Column, a.ID.Name, a.ID.Topic} {
		if len(text) > maxReason || strings.ContainsRune(text, 0) || strings.ToValidUTF8(text, "") != text {
			return a, problem{Status: http.StatusBadRequest, Title: "That is too long, or no text", Text: "Nothing has changed."}
		}
	}
	if a.Action == EndSession && a.ID.Kind == logKind && h.inspector != nil {
		a.ID = consumer.ID{Kind: logKind}
		return a, nil
	}
	_, err := h.find(ctx, a.ID)
	return a, err
}

func kindWord(kind consumer.Kind) string {
	switch kind {
	case consumer.KindProjection, consumer.KindRelay, consumer.KindReactor, consumer.KindSubscriber:
		return string(kind)
	}
	return "consumer"
}

// act does what a form asks for.
func (h *Handler) act(w http.ResponseWriter, r *http.Request) {
	if !h.readForm(w, r) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
	defer cancel()
	a, err := h.readAsked(ctx, r.PostForm)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	actor, err := h.authorize(r, a.Action)
	if err != nil {
		h.fail(w, r, h.forbidden(r, a.Action, err))
		return
	}
	if a.Action == Explain && !h.open(a.ID.Name, false) { // which events have made a row tells what is in it
		if _, err := h.revealed(ctx, r, a.ID.Name, map[string]string{"page": "explain", "table": a.Table, "column": a.Column}); err != nil {
			h.fail(w, r, err)
			return
		}
	}
	q, err := h.question(ctx, a)
	if err == nil {
		if wrong := q.answered(a); wrong != "" {
			q.Wrong, q.Reason, q.Actor = wrong, a.Reason, actor
			h.respond(w, r, http.StatusUnprocessableEntity, "confirm", q)
			return
		}
		err = h.do(eventsourced.WithActor(consumer.WithReason(ctx, a.Reason), actor), a)
	}
	h.looks.forget()
	underWay := errors.Is(err, errUnderWay)
	if err != nil && !underWay {
		p := h.notDone(r, a, err)
		h.refuse(w, r, p)
		return
	}
	if wantsJSON(r) {
		status, outcome := http.StatusOK, h.outcome(a)
		if underWay || a.passesFailing() {
			status, outcome = http.StatusAccepted, consumer.OutcomeUnderWay
		}
		h.respond(w, r, status, "problem", map[string]any{"action": a.Action, "kind": a.ID.Kind, "name": a.ID.Name, "actor": actor, "outcome": outcome})
		return
	}
	done := string(a.Action)
	if a.passesFailing() {
		done += "-asked"
	}
	w.Header().Set("Location", h.placeOf(a.ID, "done", done))
	w.WriteHeader(http.StatusSeeOther)
}

// outcome is what came of what has ended without an error, as the operator log has it.
func (h *Handler) outcome(a asked) consumer.Outcome {
	if a.ID.Kind == consumer.KindProjection && a.Action == Retry {
		if retried := h.jobs.of(a.ID).Retried; retried != nil && len(retried.Failed) > 0 {
			return consumer.OutcomeFailed
		}
	}
	return consumer.OutcomeDone
}

// readForm reads a small form, and answers if it can't.
func (h *Handler) readForm(w http.ResponseWriter, r *http.Request) bool {
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		h.refuse(w, r, problem{Status: http.StatusRequestEntityTooLarge, Title: "The form is too large", Text: "Nothing has changed."})
	case err != nil:
		h.refuse(w, r, problem{Status: http.StatusBadRequest, Title: "The form can't be read", Text: "Nothing has changed."})
	}
	return err == nil
}

// placeOf is the page of a consumer.
func (h *Handler) placeOf(id consumer.ID, more ...any) string {
	if id.Kind == logKind {
		place, _ := query("log", more...)
		return place
	}
	place, _ := query("consumer", append([]any{"kind", id.Kind, "name", id.Name, "topic", id.Topic}, more...)...)
	return place
}

// notDone says why something was not done.
func (h *Handler) notDone(r *http.Request, a asked, err error) problem {
	p := problem{}
	switch {
	case errors.As(err, &p):
	case errors.Is(err, context.DeadlineExceeded):
		p = problem{Status: http.StatusGatewayTimeout, Title: "It took too long", Text: "It was given up. See on the page how it is now."}
	case errors.Is(err, readview.ErrNotThere), errors.Is(err, reactor.ErrNotThere), errors.Is(err, readview.ErrNotInTheWay):
		p = problem{Status: http.StatusConflict, Title: "It has moved meanwhile", Text: "Nothing has changed: " + err.Error()}
	case errors.Is(err, reactor.ErrAlreadyAsked):
		p = problem{Status: http.StatusConflict, Title: "That is asked for already", Text: "Nothing has changed: it is done within a second or two, or once the reactor is resumed."}
	default:
		h.config.Logger.WarnContext(r.Context(), "not done on the admin page", "action", string(a.Action), "name", a.ID.Name, "error", err)
		p = problem{Status: http.StatusConflict, Title: strings.ToUpper(string(a.Action[:1])) + string(a.Action[1:]) + " did not work", Text: err.Error()}
	}
	p.Back = h.placeOf(a.ID)
	return p
}

// errNotOf is why an action is refused that goes with other kinds of consumers.
var errNotOf = problem{Status: http.StatusBadRequest, Title: "That does not go with it", Text: "Nothing has changed."}

// errNoStream is why parked events of what is no aggregate are not retried: all of them would be.
var errNoStream = problem{Status: http.StatusBadRequest, Title: "That is no aggregate", Text: "Write KIND/ID. Nothing has changed."}

// do calls the library as the command line does.
func (h *Handler) do(ctx context.Context, a asked) error {
	if a.Action == EndSession {
		return h.endSession(ctx, a)
	}
	if a.ID.Kind == consumer.KindProjection {
		return h.doProjection(ctx, a)
	}
	if h.config.Consumers == nil {
		return errNotOf
	}
	switch a.Action {
	case Pause:
		return h.config.Consumers.Pause(ctx, a.ID)
	case Resume:
		return h.config.Consumers.Resume(ctx, a.ID)
	case Retry, Skip, Park:
		if a.passesFailing() {
			return h.passFailing(ctx, a)
		}
		if a.ID.Kind == consumer.KindReactor && a.Action != Park {
			return h.doParked(ctx, a)
		}
		if a.ID.Kind == consumer.KindRelay && a.Action == Skip && h.config.Relay != nil {
			return h.skipRelay(ctx, a)
		}
	}
	return errNotOf
}

func (h *Handler) skipRelay(ctx context.Context, a asked) error {
	r, err := h.config.Relay(a.ID.Name)
	if err != nil {
		return err
	}
	_, err = r.Skip(ctx, a.Position, a.Reason)
	if errors.Is(err, relay.ErrNotThere) {
		err = problem{Status: http.StatusConflict, Title: "The event is not in the way", Text: "Nothing has changed: " + err.Error()}
	}
	return err
}

// passesFailing tells whether a reactor is asked to go on without the event that it can't handle: it does so when that has failed once more.
func (a asked) passesFailing() bool {
	return a.ID.Kind == consumer.KindReactor && (a.Action == Skip || a.Action == Park) && a.Event == ""
}

// passFailing parks or skips the event that a reactor can't handle, and has the reactor go on if it has stopped at it.
func (h *Handler) passFailing(ctx context.Context, a asked) error {
	s, err := h.find(ctx, a.ID)
	if err != nil {
		return err
	}
	if s.Failure == nil || s.Failure.EventName == "" || s.Failure.Position != a.Position {
		return problem{Status: http.StatusConflict, Title: "It has moved meanwhile", Text: "Nothing has changed: it does not fail at that event."}
	}
	parking, pass := reactor.NewParking(h.config.Consumers, a.ID.Name), reactor.Parking.ParkFailing
	if a.Action == Skip {
		pass = reactor.Parking.SkipFailing
	}
	err = pass(parking, ctx, s.Failure.EventID, a.Reason)
	if again := errors.Is(err, reactor.ErrAlreadyAsked); err != nil && !again || s.State != consumer.Failed { // who asked before may not have come to the resume
		return err
	}
	return h.config.Consumers.Resume(ctx, a.ID)
}

func (h *Handler) doParked(ctx context.Context, a asked) error {
	parking := reactor.NewParking(h.config.Consumers, a.ID.Name)
	switch {
	case a.Event == "" && a.Stream != "":
		name, id, named := strings.Cut(a.Stream, "/")
		if !named || name == "" || id == "" {
			return errNoStream
		}
		_, err := parking.ResumeStream(ctx, eventsourced.Stream{AggregateName: name, AggregateID: id})
		return err
	case a.Event == "" && a.Position > 0: // it is one of them that is meant, not all
		return errNotOf
	case a.Event == "":
		_, err := parking.ResumeAll(ctx)
		return err
	}
	id, err := eventsourced.ParseEventID(a.Event)
	if err != nil {
		return problem{Status: http.StatusBadRequest, Title: "There is no such event", Text: "Nothing has changed."}
	}
	if a.Action == Skip {
		return parking.Skip(ctx, id, a.Reason)
	}
	_, err = parking.ResumeEvent(ctx, id)
	return err
}

func (h *Handler) doProjection(ctx context.Context, a asked) error {
	m, name := h.manager, a.ID.Name
	switch a.Action {
	case Pause:
		return m.Pause(ctx, name)
	case Resume:
		return m.Resume(ctx, name)
	case Reset:
		if h.config.CheckReset != nil {
			if err := h.config.CheckReset(ctx); err != nil {
				return err
			}
		}
		return m.ResetProjection(ctx, name)
	case Skip:
		return m.Skip(ctx, name, a.Position, a.Reason)
	case Park:
		return m.Park(ctx, name, a.Position, a.Reason)
	case DryRun:
		return m.RecordWhile(ctx, name, string(DryRun), map[string]string{"position": fmt.Sprint(a.Position)}, func(ctx context.Context) (string, error) {
			rehearsal, err := m.DryRun(ctx, name, a.Position)
			if err != nil {
				return "", err
			}
			h.jobs.change(a.ID, func(r *results) { r.Rehearsal, r.Rehearsed = rehearsal, time.Now() })
			if rehearsal.Error != "" {
				return "it would fail", nil
			}
			return "it would be applied", nil
		})
	}
	return h.start(ctx, a.ID, a.Action, func(ctx context.Context) error { return h.doLong(ctx, a) })
}

// doLong does what takes as long as a replay.
func (h *Handler) doLong(ctx context.Context, a asked) error {
	m, name := h.manager, a.ID.Name
	switch a.Action {
	case Rebuild, Swap:
		how := readview.HowApply
		if a.Action == Swap {
			how = readview.HowSwap
		}
		_, err := m.Rebuild(ctx, name, readview.RebuildOptions{How: how})
		return err
	case Rollback:
		_, err := m.Rollback(ctx, name, readview.RebuildOptions{})
		return err
	case Verify:
		return m.RecordWhile(ctx, name, string(Verify), nil, func(ctx context.Context) (string, error) {
			verified, err := m.Verify(ctx, name, readview.VerifyOptions{Events: 3})
			if err != nil {
				return "", err
			}
			h.jobs.change(a.ID, func(r *results) { r.Verified, r.VerifiedAt = &verified, time.Now() })
			return verified.String(), nil
		})
	case Explain:
		return h.explain(ctx, a)
	case Retry:
		options, err := h.retryOptions(ctx, a)
		if err != nil {
			return err
		}
		result, err := m.Retry(ctx, name, options)
		h.jobs.change(a.ID, func(r *results) { r.Retried, r.RetriedAt = &result, time.Now() })
		return err
	}
	return errNotOf
}

// retryOptions select the parked events of a stream, or of that which the event at a position is of; of all without both.
func (h *Handler) retryOptions(ctx context.Context, a asked) (readview.RetryOptions, error) {
	if a.Position > 0 {
		parked, err := h.manager.Parked(ctx, a.ID.Name)
		for _, e := range parked {
			if e.Position == a.Position {
				return readview.RetryOptions{AggregateName: e.Stream.AggregateName, AggregateID: e.Stream.AggregateID}, nil
			}
		}
		return readview.RetryOptions{}, cmp.Or(err, error(problem{Status: http.StatusConflict, Title: "It is not parked any more", Text: "Nothing has changed."}))
	}
	name, id, named := strings.Cut(a.Stream, "/")
	if a.Stream != "" && (!named || name == "" || id == "") {
		return readview.RetryOptions{}, errNoStream
	}
	return readview.RetryOptions{AggregateName: name, AggregateID: id}, nil
}

func (h *Handler) explain(ctx context.Context, a asked) error {
	tables, err := h.manager.Tables(a.ID.Name)
	if err != nil {
		return err
	}
	if !slices.Contains(tables, a.Table) || a.Column == "" {
		return problem{Status: http.StatusBadRequest, Title: "Which row?", Text: "Choose a table of the projection, and a column."}
	}
	return h.manager.RecordWhile(ctx, a.ID.Name, string(Explain), map[string]string{"table": a.Table, "column": a.Column}, func(ctx context.Context) (string, error) {
		found, err := h.manager.Explain(ctx, a.ID.Name, readview.ExplainOptions{Table: a.Table, Where: condition(a.Column, a.Value), Limit: 200})
		if err != nil {
			return "", err
		}
		h.jobs.change(a.ID, func(r *results) { r.Explained = &found })
		return fmt.Sprintf("%d changes of %s", len(found.Steps), a.Table), nil
	})
}

// condition is true of rows whose column, as a text, is value. Nothing of both is read as SQL, whatever the server's
// settings.
func condition(column, value string) string {
	quote := func(text, mark string) string { return mark + strings.ReplaceAll(text, mark, mark+mark) + mark }
	return fmt.Sprintf("%s::text = E%s", quote(column, `"`), quote(strings.ReplaceAll(value, `\`, `\\`), "'"))
}
