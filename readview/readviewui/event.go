package readviewui

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

const (
	payloadShown = 64 << 10 // bytes of a payload on the page
	countedUpTo  = 10_000   // events with one correlation
)

// eventView is one event.
type eventView struct {
	eventRow
	Happened    time.Time             `json:"happened"`
	Schema      int                   `json:"schema_version"`
	Correlation string                `json:"-"`
	Correlated  int64                 `json:"correlated,omitempty"` // events near it that share the correlation
	More        bool                  `json:"more_correlated,omitempty"`
	Actor       string                `json:"-"`
	Payload     json.RawMessage       `json:"payload"`
	Metadata    eventsourced.Metadata `json:"metadata"`
	Tags        []string              `json:"tags,omitempty"`
	Chain       []step                `json:"chain"`
	ChainCut    string                `json:"chain_cut,omitempty"` // why the chain may lack something
	Hides       bool                  `json:"redacted"`
	Unread      string                `json:"unreadable,omitempty"` // why this program can't decode it

	View   string    `json:"-"`
	Text   string    `json:"-"` // what View shows
	Cut    bool      `json:"-"` // it is longer
	Parts  []string  `json:"-"` // the names that it has today, if others
	URLs   [3]string `json:"-"` // decoded, raw, metadata
	Close  string    `json:"-"`
	Here   string    `json:"-"`
	Stream string    `json:"-"`
	Chains string    `json:"-"` // all with the correlation

	stream eventsourced.Stream // as it is
}

// step is something in the chain of causes and effects.
type step struct {
	Kind   string                `json:"kind"` // "command", "event", "this", "applied", "waits"
	Name   string                `json:"name"`
	Says   string                `json:"says,omitempty"`
	Second string                `json:"detail,omitempty"`
	At     eventsourced.Position `json:"position,omitempty"`
	Depth  int                   `json:"depth"`
	After  string                `json:"after,omitempty"` // how long after this event, or before it
	URL    string                `json:"-"`
}

func (h *Handler) eventView(ctx context.Context, r *http.Request, a askedLog) (*eventView, error) {
	event, err := h.inspector.Event(ctx, a.at)
	if err != nil {
		return nil, err
	}
	if event == nil {
		return nil, problem{Status: http.StatusNotFound, Title: "There is no event at " + num(int64(a.at)), Text: "Positions are microseconds since 1970, with gaps.", Back: a.url(func(a *askedLog) { a.at = 0 })}
	}
	revealed, err := h.revealed(ctx, r, "", map[string]string{"event": event.ID.String(), "position": num(int64(a.at))})
	if err != nil {
		return nil, err
	}
	shown := h.redacted(*event, revealed)
	v := &eventView{eventRow: rowOfEvent(shown), stream: event.Stream, Happened: shown.Time, Schema: shown.SchemaVersion, Metadata: shown.Metadata, Tags: shown.Tags,
		Correlation: shown.Metadata[eventsourced.MetaCorrelation], Actor: shown.Metadata[eventsourced.MetaActor], Hides: h.hides(revealed), View: a.view}
	if json.Valid(shown.Payload) {
		v.Payload = shown.Payload
	}
	v.links(a)
	h.decode(ctx, v, shown)
	if v.Correlation != "" {
		if v.Correlated, v.More, err = h.inspector.Count(ctx, eventsourced.LogQuery{Correlation: v.Correlation, Limit: countedUpTo, Backwards: true, UpTo: a.at}); err != nil {
			return nil, err
		}
	}
	return v, h.chain(ctx, v, event, a)
}

func (v *eventView) links(a askedLog) {
	for i, view := range []string{"", "raw", "metadata"} {
		v.URLs[i] = a.url(func(a *askedLog) { a.view = view })
	}
	v.Here, v.Close = a.url(nil), a.url(func(a *askedLog) { a.at, a.view = 0, "" })
	v.Stream = streamPage(v.stream, eventsourced.Stream{AggregateName: v.Aggregate, AggregateID: v.Of}, v.Position)
	v.Chains = askedLog{correlation: v.Correlation, at: a.at}.url(nil)
}

// decode makes what is shown of the payload: as this program reads it today, or as it is stored.
func (h *Handler) decode(ctx context.Context, v *eventView, event eventsourced.Recorded) {
	text := string(event.Payload)
	switch v.View {
	case "metadata":
		text = indentedJSON(event.Metadata)
	case "":
		text = indented(event.Payload)
		parts, err := h.upcast(ctx, event)
		if err != nil {
			v.Unread = err.Error()
			break
		}
		text = ""
		for _, part := range parts {
			text += indented(part.Payload) + "\n"
			if part.Name != event.Name {
				v.Parts = append(v.Parts, part.Name)
			}
		}
	}
	if v.Cut = len(text) > payloadShown; v.Cut {
		text = text[:payloadShown]
	}
	v.Text = text
}

// upcast survives an upcaster that panics.
func (h *Handler) upcast(ctx context.Context, event eventsourced.Recorded) (parts []eventsourced.Recorded, err error) {
	defer wait.Recover(&err)
	return h.log.Registry().Upcast(ctx, event)
}

func (h *Handler) chain(ctx context.Context, v *eventView, event *eventsourced.Recorded, a askedLog) error {
	chain, err := h.inspector.Chain(ctx, event)
	if err != nil {
		return err
	}
	after := func(p eventsourced.Position) string {
		d := time.Duration(p-event.Position) * time.Microsecond
		if d < 0 {
			return "−" + dur(-d)
		}
		return "+" + dur(d)
	}
	add := func(e eventsourced.Recorded, depth int) {
		row := rowOfEvent(h.redacted(e, !v.Hides))
		v.Chain = append(v.Chain, step{Kind: "event", Name: e.Name, At: e.Position, Depth: depth, After: after(e.Position),
			Second: row.Kind() + " " + short(row.Of) + ", version " + num(int64(e.Version)), URL: a.url(func(a *askedLog) { a.at, a.view = e.Position, "" })})
	}
	if chain.Origin != "" && !v.Hides {
		outside := "a command, or something else outside of this log"
		if chain.Archived > 0 {
			outside += ", or an event in the archive"
		}
		v.Chain = append(v.Chain, step{Kind: "command", Name: short(chain.Origin), Second: outside})
	}
	for _, cause := range chain.Causes {
		add(cause, 0)
	}
	v.Chain = append(v.Chain, step{Kind: "this", Name: v.Name, At: v.Position, Second: "this event", After: "0"})
	h.applied(ctx, v)
	for _, effect := range chain.Effects {
		add(effect.Recorded, effect.Depth)
	}
	switch {
	case chain.CausesCut && chain.EffectsCut:
		v.ChainCut = "There are more causes, and there may be more effects."
	case chain.CausesCut:
		v.ChainCut = "There are more causes."
	case chain.EffectsCut:
		v.ChainCut = "There may be more effects: they were looked for up to " + h.moment(chain.SoughtTo.Time()) + "."
	}
	if event.Position < chain.Archived {
		v.ChainCut = strings.TrimSpace(v.ChainCut + " Effects up to " + h.moment(chain.Archived.Time()) + " are in the archive, and were not looked for.")
	}
	return nil
}

// applied adds who has come past the event, as far as that is known: nobody keeps when.
func (h *Handler) applied(ctx context.Context, v *eventView) {
	for _, s := range h.look(ctx).All {
		done, waits := "applied it", "has not come to it yet"
		switch s.Kind {
		case consumer.KindProjection:
			names, err := h.manager.Handles(s.Name)
			if err != nil || !slices.Contains(names, v.Name) {
				continue
			}
		case consumer.KindRelay:
			done, waits = "is past it", "holds it: not yet published"
		default:
			done = "is past it"
			if s.Topic != "" && s.Topic != "$all" && s.Topic != v.Name {
				continue
			}
		}
		st := step{Kind: "applied", Name: s.Name, Says: done, Second: cmp.Or(s.Node, "no node")}
		if s.Kind == consumer.KindProjection && s.Parked+s.Skipped > 0 {
			st.Second += ", with debt: " + num(s.Parked) + " parked, " + num(s.Skipped) + " skipped"
		}
		if s.Position < v.Position {
			st = step{Kind: "waits", Name: s.Name, Says: waits, Second: standingOf(s).Word, After: "waiting"}
		}
		st.URL, _ = query("consumer", "kind", s.Kind, "name", s.Name, "topic", s.Topic)
		v.Chain = append(v.Chain, st)
	}
}
