package readview

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// Verified is what [Manager.Verify] has found.
type Verified struct {
	Projection string                `json:"projection"`
	Equal      bool                  `json:"equal"` // the tables are what a replay makes, and nothing was skipped or is parked
	Position   eventsourced.Position `json:"position"`
	Events     int64                 `json:"events"` // that were replayed
	Took       time.Duration         `json:"took"`
	Skipped    int64                 `json:"skipped"` // events that the tables lack, as somebody has decided
	Parked     int64                 `json:"parked"`
	Sampled    int64                 `json:"sampled,omitempty"` // rows that were verified, when that are not all
	Tables     []VerifiedTable       `json:"tables"`
	Warnings   []string              `json:"warnings,omitempty"`
}

// VerifiedTable is how a table differs from its replay.
type VerifiedTable struct {
	Table     string           `json:"table"`
	Rows      int64            `json:"rows"` // of the replay
	Missing   int64            `json:"missing"`
	Extra     int64            `json:"extra"`
	Differing int64            `json:"differing"`
	Columns   map[string]int64 `json:"columns,omitempty"`  // that differ, and in how many rows
	LeftOut   []LeftOutColumn  `json:"left_out,omitempty"` // columns that were not compared
	Keyed     bool             `json:"keyed"`              // without a key a row that differs is one that is missing and one that is extra
	First     []DifferentRow   `json:"first,omitempty"`
}

// LeftOutColumn is a column that is no function of the events: one of [Projection.NotFromLog], one that a sequence fills, and what is computed
// from such a column, or refers to it by a foreign key: then the key of the row that it refers to is compared instead, if that comes from the events,
// and the column is not left out.
type LeftOutColumn struct {
	Column string `json:"column"`
	Why    string `json:"why"`
}

// String is the column and why it is left out.
func (c LeftOutColumn) String() string { return c.Column + " (" + c.Why + ")" }

func leftOut(columns []shadow.Column) (all []LeftOutColumn) {
	for _, c := range columns {
		all = append(all, LeftOutColumn{c.Name, c.Why})
	}
	return all
}

// DifferentRow is a row that is not what a replay makes of it.
type DifferentRow struct {
	Key      json.RawMessage       `json:"key,omitempty"`      // its key columns as a JSON object
	Live     json.RawMessage       `json:"live,omitempty"`     // the row that is there, nil if there is none
	Replayed json.RawMessage       `json:"replayed,omitempty"` // the row that a replay makes, nil if it makes none
	Events   []TouchingEvent       `json:"events,omitempty"`   // that a replay applies to it, in their order, see [VerifyOptions]
	Columns  map[string][2]*string `json:"columns,omitempty"`  // the values that differ: what is there, and what a replay makes; nil is NULL
}

// TouchingEvent is an event that has changed a row.
type TouchingEvent struct {
	Position eventsourced.Position `json:"position"`
	Name     string                `json:"name"`
	Op       string                `json:"op"` // INSERT, UPDATE or DELETE
}

// different is how many rows differ, whether or not events were skipped or are parked.
func (r Verified) different() (rows int64) {
	for _, t := range r.Tables {
		rows += t.Missing + t.Extra + t.Differing
	}
	return rows
}

// String is the result in a line.
func (r Verified) String() string {
	var parts []string
	for _, t := range r.Tables {
		if t.Missing+t.Extra+t.Differing > 0 {
			parts = append(parts, fmt.Sprintf("%s: %s missing, %d extra, %d different", t.Table, plural(t.Missing, "row"), t.Extra, t.Differing))
		}
	}
	parts = append(parts, lacking(r.Skipped, r.Parked)...)
	if len(parts) == 0 {
		if r.Sampled > 0 {
			return fmt.Sprintf("equal in a sample of %s, at position %d", plural(r.Sampled, "row"), r.Position)
		}
		return fmt.Sprintf("equal, at position %d", r.Position)
	}
	return fmt.Sprintf("not equal, at position %d: %s", r.Position, strings.Join(parts, "; "))
}

// lacking says how many events tables lack.
func lacking(skipped, parked int64) (parts []string) {
	if skipped > 0 {
		parts = append(parts, plural(skipped, "event")+" skipped")
	}
	if parked > 0 {
		parts = append(parts, plural(parked, "event")+" parked")
	}
	return parts
}

// plural is a number with its noun.
func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func verifiedTable(c shadow.Comparison) VerifiedTable {
	t := VerifiedTable{Table: c.Table, Rows: c.Rows, Missing: c.Inserted, Extra: c.Deleted, Differing: c.Updated, Columns: c.Columns, LeftOut: leftOut(c.LeftOut), Keyed: c.Keyed}
	for _, row := range c.First {
		t.First = append(t.First, DifferentRow{Key: row.Key, Live: row.Live, Replayed: row.Shadow, Columns: row.Columns})
	}
	return t
}
