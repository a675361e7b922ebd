package readviewui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// revealed tells whether a request asks to see what [Config.Redact] hides: only a POST of somebody who may does,
// and then it is in the operator log, of a projection or of none, with what was asked for.
func (h *Handler) revealed(ctx context.Context, r *http.Request, projection string, arguments map[string]string) (bool, error) {
	if r.Method != http.MethodPost {
		return false, nil
	}
	actor, err := h.authorize(r, Reveal)
	if err != nil {
		return false, h.forbidden(r, Reveal, err)
	}
	return true, h.manager.Record(eventsourced.WithActor(ctx, actor), projection, string(Reveal), arguments)
}

// forbidden is the answer to who may not do something.
func (h *Handler) forbidden(r *http.Request, action Action, why error) problem {
	h.config.Logger.WarnContext(r.Context(), "refused on the admin page", "action", string(action), "error", why)
	return problem{Status: http.StatusForbidden, Title: "You can look, not act", Text: "You may not do this: " + string(action) + ". Nothing has changed."}
}

// hides tells whether anything is hidden from who has not asked for it.
func (h *Handler) hides(revealed bool) bool { return h.config.Redact != nil && !revealed }

// redacted returns an event as it may be shown.
func (h *Handler) redacted(event eventsourced.Recorded, revealed bool) eventsourced.Recorded {
	if h.hides(revealed) {
		shown := h.config.Redact(event)
		event.Payload, event.Metadata, event.Tags, event.Stream.AggregateID = shown.Payload, shown.Metadata, shown.Tags, shown.Stream.AggregateID
	}
	return event
}

// hidden stands for what is not shown.
const hidden = "(hidden)"

// open tells whether rows and errors of a consumer may be seen.
func (h *Handler) open(name string, revealed bool) bool {
	return !h.hides(revealed) || slices.Contains(h.config.OpenRows, name)
}

// said is a text that is only for who may see it.
func said(open bool, text string) string {
	if open || text == "" {
		return text
	}
	return hidden
}

// streamOf returns an event's stream as it may be shown.
func (h *Handler) streamOf(stream eventsourced.Stream, name string, at eventsourced.Position, revealed bool) eventsourced.Stream {
	return h.redacted(eventsourced.Recorded{EventData: eventsourced.EventData{Name: name}, Stream: stream, Position: at}, revealed).Stream
}

// noneToSee is said, to who may not see personal data, of an aggregate that was sought by its id: whether there is none, or its id is hidden.
const noneToSee = "There is no such aggregate, or its id is hidden from you. Open one from its event."

// concealed tells whether that is to be said: where ids are hidden, it is the same for one that is there and for one that is not. Of who may see
// them it puts on record that he has sought one, see sought, and conceals it if that can't be.
func (h *Handler) concealed(r *http.Request, stream eventsourced.Stream, found []eventsourced.Recorded) bool {
	if h.config.Redact == nil {
		return false
	}
	hides := len(found) == 0 || h.streamOf(stream, "", 0, false) != stream ||
		slices.ContainsFunc(found, func(e eventsourced.Recorded) bool { return h.redacted(e, false).Stream != e.Stream })
	actor, err := h.authorize(r, Reveal)
	if err == nil && hides && len(found) > 0 {
		err = h.sought(eventsourced.WithActor(r.Context(), actor), actor, stream)
	}
	return hides && err != nil
}

// soughtAgain is for how long somebody may look again at what belongs to a hidden id before that is on record once more: a page that
// stays open asks each second.
const soughtAgain = 10 * time.Minute

// sought has it on record that somebody has asked for a hidden id: that tells which events are somebody's, whatever of them is shown.
func (h *Handler) sought(ctx context.Context, actor string, stream eventsourced.Stream) error {
	key := actor + "\x00" + stream.String()
	h.seeking.Lock()
	defer h.seeking.Unlock()
	if time.Since(h.soughtAt[key]) < soughtAgain {
		return nil
	}
	err := h.manager.Record(ctx, "", string(Reveal), map[string]string{"page": "by its id", "aggregate_name": stream.AggregateName, "aggregate": stream.AggregateID})
	if err == nil {
		if len(h.soughtAt) >= maxSought || h.soughtAt == nil {
			h.soughtAt = map[string]time.Time{}
		}
		h.soughtAt[key] = time.Now()
	}
	return err
}

const maxSought = 1000 // remembered

// streamPage is the page of an event's aggregate. One whose id is hidden is found by the event.
func streamPage(stream, shown eventsourced.Stream, at eventsourced.Position) (page string) {
	if shown != stream {
		page, _ = query("stream", "at", int64(at))
		return page
	}
	page, _ = query("stream", "aggregate", stream.AggregateName, "id", stream.AggregateID)
	return page
}

// operationOf is an operation as everybody may see it.
func (h *Handler) operationOf(op consumer.Operation) operation {
	shown := operation{op.Ref(), op.Kind, op.Name, op.Command, op.Actor, op.Arguments, op.Outcome, op.Detail, op.Began, op.Ended}
	if op.Outcome == consumer.OutcomeFailed {
		shown.Detail = said(h.open(op.Name, false), op.Detail)
	}
	shown.Arguments = maps.Clone(op.Arguments)
	if name, id, found := strings.Cut(op.Arguments["stream"], "/"); found {
		shown.Arguments["stream"] = h.streamOf(eventsourced.Stream{AggregateName: name, AggregateID: id}, "", 0, false).String()
	}
	if id := op.Arguments["aggregate"]; id != "" {
		shown.Arguments["aggregate"] = h.streamOf(eventsourced.Stream{AggregateName: op.Arguments["aggregate_name"], AggregateID: id}, "", 0, false).AggregateID
	}
	return shown
}

// literal is a text in a statement, or what is none though it may have apostrophes: a quoted name, a comment. What is
// quoted by dollars is taken to go on to the end.
var literal = regexp.MustCompile(`(?s)"(?:[^"]|"")*"?|--[^\n]*|/\*.*?\*/|\b[eE]'(?:[^'\\]|''|\\.)*(?:'|\\?$)|'(?:[^']|'')*(?:'|$)|\$(?:[A-Za-z_]\w*)?\$.*`)

// statement is what another session does, without texts, which may be anybody's.
func (h *Handler) statement(sql string) string {
	if h.config.Redact == nil {
		return sql
	}
	return literal.ReplaceAllStringFunc(sql, func(text string) string {
		if strings.ContainsRune("\"-/", rune(text[0])) {
			return text
		}
		return "'…'"
	})
}

// failedAppend is why an append failed, as everybody may see it. It is no statement, but may have that of who has the lock.
func (h *Handler) failedAppend(err error) string {
	var locked *pgstore.LockError
	if errors.As(err, &locked) {
		shown := *locked
		shown.Holder = h.holder(locked.Holder)
		return inShort(&shown)
	}
	return inShort(err)
}

// holder is who has a transaction open, with a statement that may be seen.
func (h *Handler) holder(of *pgstore.LockHolder) *pgstore.LockHolder {
	if of == nil {
		return nil
	}
	shown := *of
	shown.Query = h.statement(of.Query)
	return &shown
}

// indented is a payload as people read it: JSON in lines, and anything else as it is.
func indented(payload []byte) string {
	var text bytes.Buffer
	if json.Indent(&text, payload, "", "  ") != nil {
		return string(payload)
	}
	return unescaped.Replace(text.String())
}

// unescaped writes what encoding/json escapes for markup as it is: the page is no markup of it.
var unescaped = strings.NewReplacer(`\\`, `\\`, `\u003c`, "<", `\u003e`, ">", `\u0026`, "&")
