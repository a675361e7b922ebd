package operate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/inbox"
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
			"An inbox, which --all leaves out, receives the other context's history again: nothing is emptied, and what was\n" +
			"handled is not handled again.\n" +
			"In a terminal it asks before it does so.",
		Example: c.examples("readviews reset accounts", "readviews reset --all --dry-run", "readviews reset --all --yes --wait"),
		Args: func(cmd *cobra.Command, names []string) error {
			if r.all && len(names) > 0 {
				return UsageError{errors.New("--all, or names: choose one")}
			}
			if r.all {
				return nil
			}
			return c.resettableNamed(cmd, names)
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

// resettableNamed wants the names of projections or inboxes, as far as they are known without a database.
func (c *Commands) resettableNamed(cmd *cobra.Command, names []string) error {
	if len(names) == 0 || len(c.config.Inboxes) == 0 {
		return c.projectionsNamed(cmd, names)
	}
	if err := once(names); err != nil {
		return err
	}
	known := slices.Concat(c.config.Projections, c.config.Inboxes)
	for _, name := range names {
		if len(c.config.Projections) > 0 && !slices.Contains(known, strings.TrimPrefix(name, inbox.ReceptionPrefix)) {
			return unknown("projection or inbox", name, known)
		}
	}
	return nil
}

// inboxNamed returns the inbox that a name is of, or the name of its projection; nil for none.
func (s System) inboxNamed(name string) *inbox.Inbox {
	for _, in := range s.Inboxes {
		if own := in.Name(); own == name || inbox.ReceptionPrefix+own == name {
			return in
		}
	}
	return nil
}

// resettable tells apart the names of projections and inboxes.
func (s System) resettable(names []string) (projections []string, inboxes []*inbox.Inbox, err error) {
	own := s.Manager.Names()
	known, kind := slices.Clone(own), "projection"
	for _, in := range s.Inboxes {
		known, kind = append(known, in.Name()), "projection or inbox"
	}
	for _, name := range names {
		in := s.inboxNamed(name)
		switch {
		case slices.Contains(own, name):
			projections = append(projections, name)
		case in != nil:
			inboxes = append(inboxes, in)
		default:
			return nil, nil, unknown(kind, name, known)
		}
	}
	return projections, inboxes, nil
}

func (r resetRun) reset(cmd *cobra.Command, c *Commands, s System, names []string) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if r.all {
		names = s.Manager.Names()
	}
	names, inboxes, err := s.resettable(names)
	if err != nil {
		return err
	}
	if r.wait && len(inboxes) > 0 {
		return UsageError{errors.New("--wait is for projections: " + c.quote("readviews status") + " says when an inbox is live")}
	}
	if s.CheckReset != nil && len(names) > 0 {
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
		return s.describeReset(ctx, out, names, inboxes, r.asJSON)
	}
	if in := cmd.InOrStdin(); !r.yes && terminal.Is(in) {
		errOut := cmd.ErrOrStderr()
		if err := s.describeReset(ctx, errOut, names, inboxes, false); err != nil {
			return err
		}
		question := "Empty these tables and apply all events again?"
		if len(names) == 0 {
			question = "Receive all events again?"
		}
		if err := terminal.Ask(ctx, in, errOut, question); err != nil {
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
	for _, in := range inboxes {
		if err := in.Reset(ctx); err != nil {
			return done.end(err)
		}
		done.did("reset", consumer.KindReactor, in.Name())
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
	Table      string `json:"table"`    // "" of an inbox, of which nothing is emptied
	Rows       int64  `json:"rows"`
}

// describeReset says what a reset empties.
func (s System) describeReset(ctx context.Context, w io.Writer, names []string, inboxes []*inbox.Inbox, asJSON bool) error {
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
	for _, in := range inboxes {
		reception, err := in.Reception(ctx)
		if err != nil {
			return err
		}
		rows = append(rows, emptied{Projection: reception.Name, Position: int64(reception.Position)})
	}
	if asJSON {
		return terminal.JSON(w, rows)
	}
	return terminal.Table(w, "PROJECTION\tAT POSITION\tEMPTIES\tROWS", rows, func(r emptied) string {
		return fmt.Sprintf("%s\t%d\t%s\t%d", r.Projection, r.Position, cmp.Or(r.Table, "-"), r.Rows)
	})
}
