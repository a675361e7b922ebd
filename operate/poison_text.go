package operate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

type inspectionJSON struct {
	Projection string         `json:"projection"`
	Position   int64          `json:"position"`
	Applied    bool           `json:"applied"`
	Parked     bool           `json:"parked"`
	Failure    *failedJSON    `json:"failure"`
	Recorded   []recordedJSON `json:"recorded"`
	Parts      []partJSON     `json:"parts"`
	Problem    string         `json:"problem,omitempty"` // why it can't be read, upcast or decoded
}

type failedJSON struct {
	Error     string    `json:"error"`
	Stack     string    `json:"stack,omitempty"`
	Statement string    `json:"statement,omitempty"`
	Tries     int       `json:"tries"`
	Since     time.Time `json:"since"`
	Time      time.Time `json:"time"`
}

type recordedJSON struct {
	ID            string                `json:"id"`
	Event         string                `json:"event"`
	Stream        string                `json:"stream"`
	Version       int64                 `json:"version"`
	SchemaVersion int                   `json:"schema_version"`
	Time          time.Time             `json:"time"`
	Metadata      eventsourced.Metadata `json:"metadata,omitempty"`
	Payload       any                   `json:"payload"`
}

type partJSON struct {
	Event         string          `json:"event"`
	SchemaVersion int             `json:"schema_version"`
	Payload       json.RawMessage `json:"payload"`
	Decoded       json.RawMessage `json:"decoded"`
	Handled       bool            `json:"handled"`
}

func inspectionOf(name string, shown *readview.Inspection) inspectionJSON {
	all := inspectionJSON{Projection: name, Position: int64(shown.Position), Applied: shown.Applied, Parked: shown.Parked, Problem: shown.Problem,
		Recorded: []recordedJSON{}, Parts: []partJSON{}}
	if f := shown.Failure; f != nil {
		all.Failure = &failedJSON{f.Error, f.Stack, f.Statement, f.Attempts, f.Since, f.Time}
	}
	for _, r := range shown.Recorded {
		all.Recorded = append(all.Recorded, recordedJSON{r.ID.String(), r.Name, r.Stream.String(), int64(r.Version), r.SchemaVersion, r.Time, r.Metadata, payload(r.Payload)})
	}
	for _, p := range shown.Parts {
		all.Parts = append(all.Parts, partJSON{p.Name, p.SchemaVersion, p.Payload, p.Decoded, p.Handled})
	}
	return all
}

// payload is JSON as it is, and anything else as a text.
func payload(b []byte) any {
	if json.Valid(b) {
		return json.RawMessage(b)
	}
	return string(b)
}

func (c *Commands) writeInspection(w io.Writer, name string, shown *readview.Inspection) error {
	dryRun := c.quote(fmt.Sprintf("readviews dry-run %s --position %d", name, shown.Position))
	var b bytes.Buffer
	line := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", key, fmt.Sprintf(format, args...))
	}
	state := "not applied yet"
	switch {
	case shown.Parked && shown.Failure.Attempts == 0:
		state = "parked, it waits for earlier events of its stream"
	case shown.Parked:
		state = "parked"
	case shown.Failure != nil:
		state = "the projection stands before it"
	case shown.Applied:
		state = "the projection is past it"
	}
	line("projection", "%s", name)
	line("position", "%d (%s)", shown.Position, state)
	for _, r := range shown.Recorded {
		line("event", "%s, schema version %d, id %s", r.Name, r.SchemaVersion, r.ID)
		line("stream", "%s, version %d", r.Stream, r.Version)
		line("time", "%s", r.Time.UTC().Format(time.RFC3339Nano))
		if len(r.Metadata) > 0 {
			metadata, _ := json.Marshal(r.Metadata)
			line("metadata", "%s", metadata)
		}
		fmt.Fprintf(&b, "\nas it is stored:\n%s\n", indented(r.Payload))
	}
	for _, p := range shown.Parts {
		handled := ""
		if !p.Handled {
			handled = ", which the projection does not handle"
		}
		fmt.Fprintf(&b, "\nas it is today: %s, schema version %d%s\n%s\n", p.Name, p.SchemaVersion, handled, indented(p.Payload))
		if p.Decoded != nil && !sameJSON(p.Payload, p.Decoded) {
			fmt.Fprintf(&b, "\nas this program decodes it:\n%s\n", indented(p.Decoded))
		}
	}
	if shown.Problem != "" {
		fmt.Fprintf(&b, "\nit can't be decoded: %s\n", shown.Problem)
	}
	if f := shown.Failure; f != nil && f.Error != "" {
		writeFailure(&b, f, dryRun)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writeFailure says why an event was not applied. What the database adds to its error, which may have values of rows, is never put on record.
func writeFailure(w io.Writer, f *consumer.Failure, dryRun string) {
	if f.Stalled && f.Attempts == 0 {
		fmt.Fprintf(w, "\nnothing has failed, but it takes long, since %s:\n  %s\n", f.Since.UTC().Format(time.RFC3339), f.Error)
		return
	}
	fmt.Fprintf(w, "\nfailed %s, first at %s, last at %s:\n  %s\n", many(f.Attempts, "time"), f.Since.UTC().Format(time.RFC3339), f.Time.UTC().Format(time.RFC3339), f.Error)
	if f.Statement != "" {
		fmt.Fprintf(w, "\nat the statement:\n%s\n", shifted(f.Statement))
		fmt.Fprintf(w, "%s tells what the database adds, such as which key is there already.\n", dryRun)
	}
	if f.Stack != "" {
		fmt.Fprintf(w, "\nstack:\n%s\n", shifted(f.Stack))
	}
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return bytes.Equal(p, q)
}

func indented(text []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "  ", "  ") != nil {
		return shifted(string(text))
	}
	return "  " + b.String()
}

func shifted(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// many is a number with its noun.
func many[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

type rehearsalJSON struct {
	Projection string            `json:"projection"`
	Position   int64             `json:"position"`
	Event      string            `json:"event"`
	Applied    bool              `json:"applied"` // before: the projection is past it
	Statements []statementJSON   `json:"statements"`
	Changes    []readview.Change `json:"changes"`
	Unseen     []string          `json:"unseen,omitempty"`
	Error      *string           `json:"error"` // null if it would be applied
	Detail     string            `json:"detail,omitempty"`
	Statement  string            `json:"statement,omitempty"`
	Stack      string            `json:"stack,omitempty"`
}

type statementJSON struct {
	SQL   string   `json:"sql"`
	Args  []string `json:"args"`
	Rows  int64    `json:"rows"`
	Error string   `json:"error,omitempty"`
}

func rehearsalOf(name string, r *readview.Rehearsal) rehearsalJSON {
	all := rehearsalJSON{Projection: name, Position: int64(r.Position), Event: r.EventName, Applied: r.Applied, Statements: []statementJSON{},
		Changes: append([]readview.Change{}, r.Changes...), Unseen: r.Unseen, Detail: r.Detail, Statement: r.Statement, Stack: r.Stack}
	for _, s := range r.Statements {
		all.Statements = append(all.Statements, statementJSON{s.SQL, append([]string{}, s.Args...), s.Rows, s.Error})
	}
	if r.Error != "" {
		all.Error = &r.Error
	}
	return all
}

func writeRehearsal(w io.Writer, r *readview.Rehearsal) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s at position %d, in a transaction that was rolled back\n", r.EventName, r.Position)
	if r.Applied {
		fmt.Fprintln(&b, "The projection is past it: this is the event applied once more, to the tables of today.")
	}
	fmt.Fprintln(&b, "\nstatements:")
	for _, s := range r.Statements {
		outcome := many(s.Rows, "row")
		if s.Error != "" {
			outcome = s.Error
		}
		fmt.Fprintf(&b, "%s\n    %q: %s\n", shifted(s.SQL), s.Args, outcome)
	}
	if len(r.Statements) == 0 {
		fmt.Fprintln(&b, "  none")
	}
	fmt.Fprintln(&b, "\nrows before and after:")
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "  %s %s\n    before %s\n    after  %s\n", c.Op, c.Table, c.Before, c.After)
	}
	if len(r.Changes) == 0 {
		fmt.Fprintln(&b, "  none")
	}
	for _, what := range r.Unseen {
		fmt.Fprintln(&b, "  not shown:", what)
	}
	if r.Error != "" {
		fmt.Fprintf(&b, "\nit would fail:\n%s\n", shifted(r.Error))
		if r.Detail != "" {
			fmt.Fprintln(&b, shifted("Detail: "+r.Detail))
		}
		if r.Statement != "" {
			fmt.Fprintf(&b, "\nat the statement:\n%s\n", shifted(r.Statement))
		}
		if r.Stack != "" {
			fmt.Fprintf(&b, "\nstack:\n%s\n", shifted(r.Stack))
		}
	} else {
		fmt.Fprintln(&b, "\nit would be applied")
	}
	_, err := w.Write(b.Bytes())
	return err
}
