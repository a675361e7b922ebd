package readviewui

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// logKind stands for the log in the place of a consumer, in what is asked for about it.
const logKind consumer.Kind = "log"

// ending is the way to end a session that is in the way.
type ending struct {
	Text string
	URL  string
}

// endingOf is that of a session that is in a consumer's way, or in the log's; of one that is no session, or not visible, it is nil: nobody can tell it from the next one with its pid.
func endingOf(id consumer.ID, s consumer.Session, text string) *ending {
	if s.PID == 0 || s.Connected.IsZero() {
		return nil
	}
	url, _ := query("confirm", "action", EndSession, "kind", id.Kind, "name", id.Name, "topic", id.Topic, "pid", s.PID, "connected", s.Connected.UnixMicro())
	return &ending{text, url}
}

// endLog is the way to end who is in the way of the log.
func endLog(holder *pgstore.LockHolder) *ending {
	if holder == nil {
		return nil
	}
	return endingOf(consumer.ID{Kind: logKind}, sessionOf(holder), fmt.Sprintf("End session %d…", holder.PID))
}

// sessionOf is a holder as a session.
func sessionOf(h *pgstore.LockHolder) consumer.Session {
	s := consumer.Session{PID: h.PID, Application: h.Application, State: h.State, Since: h.Since, Query: h.Query, Connected: h.Connected}
	if s.Application == "" {
		s.Application = h.User
	}
	return s
}

// ends adds to a problem the ways to end who is in the way.
func (t *trouble) ends(s consumer.Status) {
	f := s.Failure
	for _, b := range f.Blockers {
		if e := endingOf(s.ID(), b, fmt.Sprintf("End session %d…", b.PID)); e != nil {
			t.Ends = append(t.Ends, *e)
		}
	}
	if len(f.Blockers) == 0 && f.Session != nil {
		if e := endingOf(s.ID(), *f.Session, "Cancel that statement…"); e != nil {
			t.Ends = append(t.Ends, *e)
		}
	}
}

// inWay is a session that somebody wants to end.
type inWay struct {
	consumer.Session
	holder *pgstore.LockHolder // of the log; nil of a projection
	own    bool                // it is the projection's own, of which only the statement is cancelled
}

// sessionInWay finds the one that is asked for among those that are in the way now; a problem, when it is not.
func (h *Handler) sessionInWay(ctx context.Context, a asked) (inWay, error) {
	is := func(s consumer.Session) bool { return s.PID == a.PID && s.Connected.Equal(a.Connected) }
	if a.ID.Kind == logKind {
		var holders []*pgstore.LockHolder
		if b := h.look(ctx).Blocked; b != nil {
			holders = append(holders, &b.Holder, b.Root)
		}
		find := func(holders ...*pgstore.LockHolder) *pgstore.LockHolder {
			for _, holder := range holders {
				if holder != nil && is(sessionOf(holder)) {
					return holder
				}
			}
			return nil
		}
		holder := find(holders...)
		if holder == nil { // figures can't be had while the log's table is locked
			figures, err := h.inspector.Figures(ctx)
			if err != nil {
				return inWay{}, tooLong(err)
			}
			holder = find(figures.Oldest)
		}
		if holder != nil {
			return inWay{Session: sessionOf(holder), holder: holder}, nil
		}
	} else {
		s, err := h.find(ctx, a.ID)
		if err != nil {
			return inWay{}, err
		}
		var all []consumer.Session
		if s.Failure != nil {
			if own := s.Failure.Session; own != nil && len(s.Failure.Blockers) == 0 && is(*own) {
				return inWay{Session: *own, own: true}, nil
			}
			all = append(all, s.Failure.Blockers...)
		}
		if s.Rebuild != nil {
			all = append(all, s.Rebuild.Waits...)
		}
		if i := slices.IndexFunc(all, is); i >= 0 {
			return inWay{Session: all[i]}, nil
		}
	}
	return inWay{}, problem{Status: http.StatusConflict, Title: "It is not in the way any more", Text: fmt.Sprintf("Nothing has changed: nobody waits for the session with pid %d now, or it is another one.", a.PID), Back: h.placeOf(a.ID)}
}

// askEnd says what will happen when a session is ended.
func (h *Handler) askEnd(ctx context.Context, a asked) (*question, error) {
	s, err := h.sessionInWay(ctx, a)
	if err != nil {
		return nil, err
	}
	q := &question{Asked: a, Back: h.placeOf(a.ID), Confirm: fmt.Sprint(s.PID)}
	moved := "If it is not in the way any more, or another one has its pid, nothing happens."
	if s.own {
		q.Title, q.Verb = fmt.Sprintf("Cancel the statement of %s?", a.ID.Name), "Cancel the statement"
		q.Lost = []string{fmt.Sprintf("It is the projection’s own session, with pid %d. What the page under way has written is rolled back. The statement: %s", s.PID, h.statement(s.Query))}
		q.Kept = []string{"The page is tried again: that takes as long again, unless an index or an ANALYZE comes first.", "No event is lost.", moved}
		return q, nil
	}
	q.Title, q.Verb = fmt.Sprintf("End the session with pid %d?", s.PID), fmt.Sprintf("End session %d", s.PID)
	q.Lost = []string{"Its transaction is rolled back, and its client gets an error. It is " + h.sessionWords(s.Session) + "."}
	if h.mayBeOurs(ctx, s) {
		q.Lost = append(q.Lost, "It may be one of our own: it is called as a program is that waits for events of this log. That program is told by an error, and tries again what it was at.")
	}
	q.Kept = []string{"What waits for it goes on at once.", moved}
	return q, nil
}

// mayBeOurs tells whether a session is called as a program that listens for the log's events.
func (h *Handler) mayBeOurs(ctx context.Context, s inWay) bool {
	if h.inspector == nil {
		return false
	}
	clients, err := h.inspector.Clients(ctx)
	if err != nil {
		return true // nobody knows
	}
	return slices.ContainsFunc(clients, func(c pgstore.Client) bool {
		if !c.Listening {
			return false
		}
		if s.holder != nil {
			return c.Application == s.holder.Application && c.User == s.holder.User && c.Address == s.holder.Client
		}
		return s.Application == c.Application || c.Application == "" && s.Application == c.User
	})
}

// endSession ends it, if it still is in the way.
func (h *Handler) endSession(ctx context.Context, a asked) error {
	s, err := h.sessionInWay(ctx, a)
	switch {
	case err != nil:
		return err
	case s.holder == nil:
		return h.manager.EndSession(ctx, a.ID.Name, s.Session)
	}
	arguments := map[string]string{"pid": fmt.Sprint(s.PID), "of": "log"}
	if s.Application != "" {
		arguments["application"] = s.Application
	}
	return h.manager.RecordWhile(ctx, "", readview.CommandEndSession, arguments, func(ctx context.Context) (string, error) {
		return "it has ended", h.inspector.EndSession(ctx, *s.holder)
	})
}

// sessionWords is a session in words, with a statement that may be seen.
func (h *Handler) sessionWords(s consumer.Session) string {
	words := []string{either(s.Application, "not visible")}
	if s.State != "" {
		words = append(words, s.State)
	}
	if !s.Since.IsZero() {
		words = append(words, "in its transaction since "+h.moment(s.Since))
	}
	text := strings.Join(words, ", ")
	if s.Query != "" {
		text += ": " + h.statement(s.Query)
	}
	return text
}

// errorOf is why a consumer does not get on, as who is asking may see it.
func (h *Handler) errorOf(s consumer.Status, revealed bool) string {
	f := s.Failure
	if !f.Stalled || h.config.Redact == nil || len(f.Blockers) == 0 && f.Session == nil {
		return said(f.EventName == "" || h.open(s.Name, revealed), bare(f.Error))
	}
	if len(f.Blockers) == 0 {
		return fmt.Sprintf("the server is at its statement since %s, in the session with pid %d: %s", h.moment(f.Session.QuerySince), f.Session.PID, h.statement(f.Session.Query))
	}
	return "it waits for a lock of " + h.sessionsWords(f.Blockers)
}

func (h *Handler) sessionsWords(all []consumer.Session) string {
	words := make([]string, len(all))
	for i, s := range all {
		words[i] = fmt.Sprintf("pid %d (%s)", s.PID, h.sessionWords(s))
	}
	return strings.Join(words, "; ")
}

// replay is a rebuild or a verification as it may be seen.
func (h *Handler) replay(r *consumer.Replay) *consumer.Replay {
	if r == nil || h.config.Redact == nil {
		return r
	}
	shown := *r
	shown.Waits = slices.Clone(r.Waits)
	for i := range shown.Waits {
		shown.Waits[i].Query = h.statement(shown.Waits[i].Query)
	}
	if len(r.Waits) > 0 {
		shown.Detail = h.sessionsWords(r.Waits)
	} else if r.Phase == string(readview.PhaseFailed) {
		shown.Detail = h.statement(r.Detail)
	}
	return &shown
}

// connectedAt is a time as endingOf has it.
func connectedAt(micros int64) time.Time {
	if micros <= 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
