package operate

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

// debtRow is a parked or skipped event, for programs and for people.
type debtRow struct {
	Position  int64     `json:"position"`
	ID        string    `json:"id"`
	Event     string    `json:"event"`
	Stream    string    `json:"stream"`
	Error     *string   `json:"error"` // null for one that waits for those before it
	Statement string    `json:"statement,omitempty"`
	Tries     int       `json:"tries,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Actor     string    `json:"actor,omitempty"`
	Time      time.Time `json:"time"`
}

func parkedRow(e readview.ParkedEvent) debtRow {
	row := debtRow{Position: int64(e.Position), ID: e.EventID.String(), Event: e.EventName, Stream: e.Stream.String(), Statement: e.Statement, Tries: e.Tries,
		Reason: e.Reason, Actor: e.Actor, Time: e.ParkedAt}
	if e.Error != "" {
		row.Error = &e.Error
	}
	return row
}

func skippedRow(e readview.SkippedEvent) debtRow {
	return debtRow{Position: int64(e.Position), ID: e.EventID.String(), Event: e.EventName, Stream: e.Stream.String(), Error: &e.Error,
		Reason: e.Reason, Actor: e.Actor, Time: e.SkippedAt}
}

func (c *Commands) debts(use, short string, list func(cmd *cobra.Command, s System, name string, asJSON bool) error) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: use + " NAME", Short: short, Example: c.examples("readviews "+use+" accounts", "readviews "+use+" accounts --json"), Args: c.projectionNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.open(cmd, func(s System) error { return list(cmd, s, names[0], asJSON) })
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print an array of objects for programs")
	return command
}

func writeDebts[E any](w io.Writer, asJSON bool, events []E, row func(E) debtRow) error {
	rows := make([]debtRow, len(events))
	for i, e := range events {
		rows[i] = row(e)
	}
	if asJSON {
		return terminal.JSON(w, rows)
	}
	return terminal.Table(w, "POSITION\tEVENT\tSTREAM\tTIME\tTRIES\tREASON\tERROR", rows, func(r debtRow) string {
		text, tries, reason := "(waits for those before it)", "-", "-"
		if r.Error != nil {
			text = *r.Error
		}
		if r.Tries > 0 {
			tries = fmt.Sprint(r.Tries)
		}
		if r.Reason != "" {
			reason = fmt.Sprintf("%s (%s)", r.Reason, r.Actor)
		}
		return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s", r.Position, r.Event, r.Stream, r.Time.UTC().Format(time.RFC3339), tries, reason, text)
	})
}

type resultJSON struct {
	Projection string    `json:"projection"`
	Applied    int       `json:"applied"`
	Left       int       `json:"left"` // still parked
	Failed     []debtRow `json:"failed"`
}

func resultOf(name string, result readview.RetryResult) resultJSON {
	r := resultJSON{name, result.Applied, result.Left, []debtRow{}}
	for _, e := range result.Failed {
		r.Failed = append(r.Failed, parkedRow(e))
	}
	return r
}

// listing lists what a projection has parked or skipped.
func listing[E any](list func(*readview.Manager, context.Context, string) ([]E, error), row func(E) debtRow) func(cmd *cobra.Command, s System, name string, asJSON bool) error {
	return func(cmd *cobra.Command, s System, name string, asJSON bool) error {
		events, err := list(s.Manager, cmd.Context(), name)
		if err != nil {
			return err
		}
		return writeDebts(cmd.OutOrStdout(), asJSON, events, row)
	}
}
