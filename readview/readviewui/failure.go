package readviewui

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// failureView is the event at which a projection stands.
type failureView struct {
	Error     string                `json:"error"`
	Position  eventsourced.Position `json:"position"`
	Event     string                `json:"event"`
	ID        string                `json:"id"`
	Aggregate string                `json:"aggregate,omitempty"`
	Of        string                `json:"aggregate_id,omitempty"`
	Recorded  time.Time             `json:"recorded,omitzero"`
	Tries     int                   `json:"tries"`
	LastTry   time.Time             `json:"last_try"`
	Stack     string                `json:"stack,omitempty"`
	Statement string                `json:"statement,omitempty"`
	Problem   string                `json:"problem,omitempty"` // why it can't be read
	Payload   string                `json:"payload,omitempty"`
	Stored    string                `json:"stored,omitempty"` // the payload as it is stored, if that is another one
	Metadata  string                `json:"metadata,omitempty"`

	Rehearsed *rehearsed `json:"dry_run,omitempty"`

	Stream string `json:"-"` // the page of its aggregate

	redacted bool // something of it is hidden
}

// Kind is the aggregate's name without its package.
func (f *failureView) Kind() string { return f.Aggregate[strings.LastIndexByte(f.Aggregate, '.')+1:] }

// Lines are those of the payload; Culprit tells which one the error names.
func (f *failureView) Lines() (lines []payloadLine) {
	for line := range strings.SplitSeq(f.Payload, "\n") {
		lines = append(lines, payloadLine{line, culprit(line, f.Error)})
	}
	return lines
}

type payloadLine struct {
	Text    string
	Culprit bool
}

// culprit tells whether an error names the value of a line of JSON, which has to be long enough not to be
// there by chance.
func culprit(line, text string) bool {
	_, value, found := strings.Cut(strings.TrimSuffix(strings.TrimSpace(line), ","), ": ")
	value = strings.Trim(value, `"`)
	return found && len(value) > 2 && value != "true" && value != "false" && value != "null" && strings.Contains(text, value)
}

// rehearsed is what the deployed code would do with the event.
type rehearsed struct {
	At         time.Time            `json:"at"`
	Error      string               `json:"error,omitempty"`
	Statement  string               `json:"statement,omitempty"`
	Stack      string               `json:"stack,omitempty"`
	Rows       []changedRow         `json:"rows"`
	Statements []readview.Statement `json:"statements,omitempty"`
	Count      int                  `json:"statement_count"`
	Unseen     []string             `json:"unseen,omitempty"`
}

// changedRow is a row before and after.
type changedRow struct {
	Table   string   `json:"table"`
	Op      string   `json:"op"`
	Columns []column `json:"columns"`
}

// column is a value before and after; "" and No is one that is not there.
type column struct {
	Name    string `json:"name"`
	Before  string `json:"before"`
	After   string `json:"after"`
	NoOld   bool   `json:"-"`
	NoNew   bool   `json:"-"`
	Changed bool   `json:"changed"`
}

func (h *Handler) failure(ctx context.Context, s consumer.Status, known results, revealed, hideRows bool) (*failureView, error) {
	f := s.Failure
	if f == nil || f.EventName == "" || f.Stalled { // that has not failed
		return nil, nil
	}
	v := &failureView{Error: said(!hideRows, bare(f.Error)), Position: f.Position, Event: f.EventName, ID: f.EventID.String(), Tries: f.Attempts, LastTry: f.Time, Stack: f.Stack, Statement: said(!hideRows, f.Statement)}
	shown, err := h.manager.Show(ctx, s.Name, f.Position)
	if err != nil {
		if notThere(err) {
			err = nil
		}
		return v, err
	}
	v.Problem = said(!hideRows, shown.Problem)
	if len(shown.Recorded) > 0 {
		event := h.redacted(shown.Recorded[0], revealed)
		v.redacted = !bytes.Equal(event.Payload, shown.Recorded[0].Payload) || !maps.Equal(event.Metadata, shown.Recorded[0].Metadata) ||
			event.Stream != shown.Recorded[0].Stream
		v.Stream = streamPage(shown.Recorded[0].Stream, event.Stream, event.Position)
		v.Aggregate, v.Of, v.Recorded = event.Stream.AggregateName, event.Stream.AggregateID, event.Position.Time()
		v.Payload, v.Metadata = indented(event.Payload), indentedJSON(event.Metadata)
		today := ""
		for _, part := range shown.Parts {
			as := event
			as.Name, as.SchemaVersion, as.Payload = part.Name, part.SchemaVersion, part.Payload
			today += indented(h.redacted(as, revealed).Payload) + "\n"
		}
		if today = strings.TrimSpace(today); today != "" && today != v.Payload {
			v.Payload, v.Stored = today, v.Payload
		}
	}
	if known.Rehearsal != nil && known.Rehearsal.Position == f.Position {
		v.Rehearsed = rehearsedOf(known.Rehearsal, known.Rehearsed, hideRows)
	}
	return v, nil
}

func rehearsedOf(r *readview.Rehearsal, at time.Time, hide bool) *rehearsed {
	v := &rehearsed{At: at, Error: said(!hide, bare(r.Error)), Statement: said(!hide, r.Statement), Stack: r.Stack, Count: len(r.Statements), Unseen: r.Unseen}
	if hide {
		return v
	}
	v.Statements = r.Statements[:min(len(r.Statements), rowsShown)]
	for _, c := range r.Changes[:min(len(r.Changes), rowsShown)] {
		v.Rows = append(v.Rows, changedRow{c.Table, c.Op, columnsOf(c.Before, c.After)})
	}
	return v
}

// columnsOf compares two rows, those that have changed first.
func columnsOf(before, after json.RawMessage) (columns []column) {
	var was, is map[string]json.RawMessage
	_ = json.Unmarshal(before, &was)
	_ = json.Unmarshal(after, &is)
	names := map[string]bool{}
	for name := range was {
		names[name] = true
	}
	for name := range is {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		columns = append(columns, column{Name: name, Before: plain(was[name]), After: plain(is[name]), NoOld: was[name] == nil, NoNew: is[name] == nil, Changed: !bytes.Equal(was[name], is[name])})
	}
	slices.SortStableFunc(columns, func(a, b column) int {
		switch {
		case a.Changed == b.Changed:
			return 0
		case a.Changed:
			return -1
		}
		return 1
	})
	return columns
}

// plain is a JSON value without its quotes.
func plain(value json.RawMessage) string {
	var text string
	switch {
	case value == nil:
		return ""
	case json.Unmarshal(value, &text) == nil && string(value) != "null":
		return text
	}
	return string(value)
}
