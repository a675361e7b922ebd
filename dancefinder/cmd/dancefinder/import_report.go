package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// maxRefused is how many refused rows a report tells of; beyond it they are counted.
const maxRefused = 1000

// report is what became of a file.
type report struct {
	File         string    `json:"file"`
	Rows         int       `json:"rows"`
	Created      int       `json:"created"` // dances, like the next three
	Changed      int       `json:"changed"`
	Unchanged    int       `json:"unchanged"`
	Withdrawn    int       `json:"withdrawn"`
	Skipped      int       `json:"skipped"`
	Bands        int       `json:"bands"` // created
	Halls        int       `json:"halls"` // created
	RefusedCount int       `json:"refusedCount"`
	Refused      []refusal `json:"refused"`         // the first of them
	Error        string    `json:"error,omitempty"` // which ended the import of the file
}

// refusal is a row that was not imported.
type refusal struct {
	Line   int    `json:"line"` // 0 for a dance that is not in the file
	Column string `json:"column,omitempty"`
	Value  string `json:"value,omitempty"`
	Reason string `json:"reason"`
}

func (r *report) refuse(err error) {
	if len(r.Refused) == maxRefused {
		return
	}
	refused := refusal{Reason: err.Error()}
	if row, ok := errors.AsType[*listing.RowError](err); ok {
		refused = refusal{Line: row.Line, Column: row.Column, Value: fmt.Sprintf("%.100s", strings.ToValidUTF8(row.Value, "\ufffd")), Reason: row.Err.Error()}
	}
	r.Refused = append(r.Refused, refused)
}

func (r *report) fill(result importer.Result) {
	r.Rows, r.Created, r.Changed, r.Unchanged = result.Rows, result.Created, result.Updated, result.Unchanged
	r.Withdrawn, r.Skipped, r.Bands, r.Halls = result.Deleted, result.Skipped, result.Bands, result.Halls
	r.RefusedCount = result.Problems
}

// writeReports writes a table of files and one of the rows that were refused, or one
// JSON document.
func writeReports(w io.Writer, reports []*report, asJSON bool) error {
	if asJSON {
		return terminal.JSON(w, struct {
			Files []*report `json:"files"`
		}{reports})
	}
	// Of a file that could not be read at all there is nothing to tell but its error.
	reports = slices.DeleteFunc(slices.Clone(reports), func(r *report) bool { return r.Error != "" && r.Rows == 0 })
	if len(reports) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "FILE\tROWS\tCREATED\tCHANGED\tUNCHANGED\tWITHDRAWN\tSKIPPED\tREFUSED\tBANDS\tHALLS")
	for _, r := range reports {
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.File,
			r.Rows, r.Created, r.Changed, r.Unchanged, r.Withdrawn, r.Skipped, r.RefusedCount, r.Bands, r.Halls)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	headed := false
	for _, r := range reports {
		for _, row := range r.Refused {
			if !headed {
				_, _ = fmt.Fprintln(t, "\nREFUSED IN\tLINE\tCOLUMN\tFOUND\tREASON")
				headed = true
			}
			_, _ = fmt.Fprintf(t, "%s\t%d\t%s\t%.40q\t%s\n", r.File, row.Line, dash(row.Column), row.Value, row.Reason)
		}
		if more := r.RefusedCount - len(r.Refused); more > 0 {
			_, _ = fmt.Fprintf(t, "%s\tand %d more\n", r.File, more)
		}
	}
	return t.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
