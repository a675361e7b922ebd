package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/adoption"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// errUnadopted keeps legacy rows from being lost.
var errUnadopted = errors.New("the database has rows from before there were events, which the log does not know")

func adoptLegacyCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "adopt-legacy",
		Short: "Record the rows of a legacy database as events, once",
		Long: "Records the rows of a legacy database as events, after 'dancefinder migrate up': from then on the read views can\n" +
			"be reset, and an import meets the bands and halls that are there. It may be stopped at any time and run again: what\n" +
			"is recorded is not recorded twice. A row that no event can stand for is named, and the exit code is 1: correct it\n" +
			"and run it again.",
		Example: "  dancefinder migrate up && dancefinder adopt-legacy --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				if err := a.checkMigrated(cmd.Context()); err != nil {
					return err
				}
				return a.adoptLegacy(cmd, asJSON)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print the report as an object for programs")
	return command
}

// adoptionReport is what adopt-legacy prints for programs.
type adoptionReport struct {
	Tables  []adoption.Table   `json:"tables"`
	Refused []adoption.Refusal `json:"refused"`
}

func (a *app) adoptLegacy(cmd *cobra.Command, asJSON bool) error {
	total, err := a.legacyRows(cmd.Context())
	if err != nil {
		return err
	}
	bar := terminal.NewProgress(cmd.ErrOrStderr(), "adopt", "rows", total)
	report := adoptionReport{Refused: []adoption.Refusal{}}
	report.Tables, err = adoption.Run(cmd.Context(), a.pool, a.store, adoption.Options{
		Progress: bar.Set,
		Refused: func(r adoption.Refusal) {
			report.Refused = append(report.Refused, r)
			bar.Interrupt()
			_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s, id %s: %s\n", r.Table, r.ID, r.Reason)
		},
	})
	bar.Done()
	if errors.Is(err, adoption.ErrRunning) {
		return err
	}
	if asJSON {
		err = errors.Join(err, terminal.JSON(cmd.OutOrStdout(), report))
	} else {
		err = errors.Join(err, terminal.Table(cmd.OutOrStdout(), "TABLE\tROWS\tADOPTED\tKNOWN\tREFUSED", report.Tables, func(t adoption.Table) string {
			return fmt.Sprintf("%s\t%d\t%d\t%d\t%d", t.Table, t.Rows, t.Adopted, t.Known, t.Refused)
		}))
	}
	switch {
	case err != nil:
		return operate.HintedError{Err: err, Hint: "What was recorded stays. Run 'dancefinder adopt-legacy' again for the rest."}
	case len(report.Refused) > 0:
		return operate.HintedError{Err: fmt.Errorf("%d rows were not adopted", len(report.Refused)), Hint: "They are in the tables only, and a reset would lose them: correct them, then run 'dancefinder adopt-legacy' again."}

	}
	_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "All rows are in the log. Next: start 'dancefinder projector', wait until 'dancefinder readviews status' shows live;\n"+
		"then 'dancefinder readviews reset --all' makes the same tables again, whenever it is needed.")
	return nil
}

func (a *app) legacyRows(ctx context.Context) (total int64, err error) {
	for _, name := range adoption.Tables {
		var n int64
		if err := a.pool.QueryRow(ctx, "SELECT count(*) FROM "+name).Scan(&n); err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// checkAdopted refuses what would lose legacy rows, or make them twice.
func (a *app) checkAdopted(ctx context.Context) error {
	found, err := adoption.Unadopted(ctx, a.pool, a.store)
	if err == nil && found {
		err = operate.HintedError{Err: errUnadopted, Hint: "Run 'dancefinder adopt-legacy' first."}
	}
	return err
}
