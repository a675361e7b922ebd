package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// resetRun is what "readviews reset" is asked to do.
type resetRun struct {
	all, wait, dryRun, yes, asJSON bool
}

func (c *Commands) reset() *cobra.Command {
	r := resetRun{}
	command := &cobra.Command{
		Use:   "reset {NAME... | --all}",
		Short: "Empty read views and apply all events again",
		Long: "Empties the tables of each projection and sets its position to 0, in one transaction.\n" +
			"A running projector notices and applies all events again; until it is through, the tables are incomplete.\n" +
			"In a terminal it asks before it does so.",
		Example: c.examples("readviews reset accounts", "readviews reset --all --dry-run", "readviews reset --all --yes --wait"),
		Args: func(cmd *cobra.Command, names []string) error {
			if r.all && len(names) > 0 {
				return UsageError{errors.New("--all, or names: choose one")}
			}
			if r.all {
				return nil
			}
			return c.projectionsNamed(cmd, names)
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.open(cmd, func(s System) error { return r.reset(cmd, c, s, names) })
		},
	}
	command.Flags().BoolVar(&r.all, "all", false, "reset all projections")
	command.Flags().BoolVar(&r.wait, "wait", false, "wait until all events are applied again")
	command.Flags().BoolVar(&r.dryRun, "dry-run", false, "say what it would empty, and do nothing")
	command.Flags().BoolVar(&r.asJSON, "json", false, "print what was done, or would be, as an array of objects for programs")
	command.Flags().BoolVar(&r.yes, "yes", false, "don't ask, also in a terminal")
	return command
}

func (r resetRun) reset(cmd *cobra.Command, c *Commands, s System, names []string) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	known := s.Manager.Names()
	if r.all {
		names = known
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return unknown("projection", name, known)
		}
	}
	if s.CheckReset != nil {
		if err := s.CheckReset(ctx); err != nil {
			return err
		}
	}
	for _, name := range names { // all of it, or nothing
		if err := s.Manager.CheckReset(ctx, name); err != nil {
			return err
		}
	}
	if r.dryRun {
		return s.describeReset(ctx, out, names, r.asJSON)
	}
	if in := cmd.InOrStdin(); !r.yes && terminal.Is(in) {
		errOut := cmd.ErrOrStderr()
		if err := s.describeReset(ctx, errOut, names, false); err != nil {
			return err
		}
		if err := terminal.Ask(ctx, in, errOut, "Empty these tables and apply all events again?"); err != nil {
			return err
		}
	}
	done := &doneWriter{w: out, asJSON: r.asJSON}
	for _, name := range names {
		if err := s.Manager.ResetProjection(ctx, name); err != nil {
			return done.end(err)
		}
		done.did("reset", consumer.KindProjection, name)
	}
	if err := done.end(nil); err != nil || !r.wait {
		return err
	}
	return c.Await(ctx, s, cmd.ErrOrStderr(), names...)
}

// emptied is a table that a reset empties.
type emptied struct {
	Projection string `json:"projection"`
	Position   int64  `json:"position"` // where the projection is
	Table      string `json:"table"`
	Rows       int64  `json:"rows"`
}

// describeReset says what a reset empties.
func (s System) describeReset(ctx context.Context, w io.Writer, names []string, asJSON bool) error {
	all, err := s.Manager.Status(ctx)
	if err != nil {
		return err
	}
	rows := []emptied{}
	for _, status := range all {
		if !slices.Contains(names, status.Name) {
			continue
		}
		tables, err := s.Manager.Tables(status.Name)
		if err != nil {
			return err
		}
		for _, name := range tables {
			r := emptied{Projection: status.Name, Table: name, Position: int64(status.Position)}
			if err := s.Pool.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{name}.Sanitize()).Scan(&r.Rows); err != nil {
				return err
			}
			rows = append(rows, r)
		}
	}
	if asJSON {
		return terminal.JSON(w, rows)
	}
	return terminal.Table(w, "PROJECTION\tAT POSITION\tEMPTIES\tROWS", rows, func(r emptied) string {
		return fmt.Sprintf("%s\t%d\t%s\t%d", r.Projection, r.Position, r.Table, r.Rows)
	})
}
