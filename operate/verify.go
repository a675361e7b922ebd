package operate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

func (c *Commands) verify() *cobra.Command {
	var first, events, sample int
	var asJSON bool
	command := &cobra.Command{
		Use:   "verify NAME...",
		Short: "Compare the tables of projections with a replay of their events, row by row",
		Long: "Replays each projection beside its tables, up to where it stands, and compares. It changes nothing, and the\n" +
			"projection goes on. Columns that sequences fill, that the program has declared, or that follow\n" +
			"such a column are left out, and named with the reason.\n\n" +
			"A sample is for every night: as many rows of each table, and the events of the streams whose ids are in them.\n" +
			"When that can't tell, as other streams have a part in these rows, all of them are verified. Rows that are missing it does not find.",
		Example:     c.examples("readviews verify accounts", "readviews verify accounts --first 100 --json", "readviews verify accounts --sample 200"),
		Annotations: map[string]string{"exit 0": "equal", "exit 1": "different, one at least", "exit 2": "it could not tell, of one at least, and none is different: the last line says why"},
		Args:        c.projectionsNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			return couldNotTell(c.open(cmd, func(s System) error {
				return s.verify(cmd, names, readview.VerifyOptions{First: first, Events: events, Sample: sample}, asJSON)
			}))
		},
	}
	command.Flags().IntVar(&first, "first", readview.DefaultFirst, "how many of a table's rows to show that differ")
	command.Flags().IntVar(&events, "events", 3, "for how many of those to find the events that have touched them, which takes a second, slower replay")
	command.Flags().IntVar(&sample, "sample", 0, "verify so many rows of each table, chosen at random (default all)")
	command.Flags().BoolVar(&asJSON, "json", false, "print a list for programs")
	return command
}

// couldNotTell gives the exit code 2 to what is not an answer.
func couldNotTell(err error) error {
	if _, answer := err.(ExitError); err == nil || answer { //nolint:errorlint // as it is
		return err
	}
	return ExitError{err, ExitUsage}
}

func (s System) verify(cmd *cobra.Command, names []string, options readview.VerifyOptions, asJSON bool) error {
	report := &rebuildReport{w: cmd.ErrOrStderr(), bar: terminal.Is(cmd.ErrOrStderr())}
	options.Progress = report.tell
	all := []any{}
	var different []string
	var problems []error
	for _, name := range names {
		found, err := s.Manager.Verify(cmd.Context(), name, options)
		report.end()
		if err != nil && cmd.Context().Err() != nil {
			return err
		}
		if err != nil {
			problems = append(problems, err)
			all = append(all, untoldJSON{name, err.Error()})
			continue // with the others
		}
		if !found.Equal {
			different = append(different, name)
		}
		all = append(all, verifiedJSON{found, found.Took.Seconds()})
		if !asJSON {
			writeVerified(cmd.OutOrStdout(), found)
		}
	}
	if asJSON {
		if err := terminal.JSON(cmd.OutOrStdout(), all); err != nil {
			return err
		}
	}
	if len(different) > 0 { // an answer, whatever became of the others
		problems = append(problems, fmt.Errorf("not equal to a replay: %s", strings.Join(different, ", ")))
		return ExitError{errors.Join(problems...), ExitFailed}
	}
	return errors.Join(problems...)
}

// verifiedJSON is what programs read.
type verifiedJSON struct {
	readview.Verified
	Took float64 `json:"seconds"`
}

func writeVerified(w io.Writer, v readview.Verified) {
	_, _ = fmt.Fprintf(w, "%s: %s (%s in %s)\n", v.Projection, v, many(v.Events, "event"), v.Took.Round(time.Millisecond))
	for _, t := range v.Tables {
		for _, column := range t.LeftOut {
			_, _ = fmt.Fprintf(w, "  %s: left out %s\n", t.Table, column)
		}
		for _, row := range t.First {
			writeDifferentRow(w, t.Table, row)
			for _, event := range row.Events {
				_, _ = fmt.Fprintf(w, "    %s at position %d: %s\n", event.Name, event.Position, event.Op)
			}
		}
	}
	for _, warning := range v.Warnings {
		_, _ = fmt.Fprintln(w, "  note:", warning)
	}
}

func writeDifferentRow(w io.Writer, table string, row readview.DifferentRow) {
	switch {
	case row.Live == nil:
		_, _ = fmt.Fprintf(w, "  %s lacks %s\n", table, bare(row.Replayed))
		return
	case row.Replayed == nil:
		_, _ = fmt.Fprintf(w, "  %s has besides %s\n", table, bare(row.Live))
		return
	}
	var columns []string
	for column := range row.Columns {
		columns = append(columns, column)
	}
	slices.Sort(columns)
	for _, column := range columns {
		_, _ = fmt.Fprintf(w, "  %s %s: %s is %s, a replay gives %s\n", table, bare(row.Key), column, orNull(row.Columns[column][0]), orNull(row.Columns[column][1]))
	}
}

func bare(document json.RawMessage) string { return strings.TrimSpace(string(document)) }

func orNull(value *string) string {
	if value == nil {
		return "NULL"
	}
	return fmt.Sprintf("%q", *value)
}
