package operate

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

func (c *Commands) cleanup() *cobra.Command {
	var kept, dryRun, yes, asJSON bool
	command := &cobra.Command{
		Use:   "cleanup [NAME...]",
		Short: "Remove what rebuilds have left: of processes that have died, and what was kept for long enough",
		Long: "Lists all tables of rebuilds and verifications, and removes those that are of no use any more.\n" +
			"With --kept also what is still kept for " + c.quote("readviews rollback") + ". What somebody has made depend on them is never removed.",
		Example: c.examples("readviews cleanup", "readviews cleanup accounts --dry-run", "readviews cleanup accounts --kept --yes"),
		Args: func(cmd *cobra.Command, names []string) error {
			if len(names) == 0 {
				return nil
			}
			return c.projectionsNamed(cmd, names)
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.open(cmd, func(s System) error {
				ctx := cmd.Context()
				if len(names) == 0 {
					names = s.Manager.Names()
				}
				if in := cmd.InOrStdin(); kept && !dryRun && !yes && terminal.Is(in) {
					if err := terminal.Ask(ctx, in, cmd.ErrOrStderr(), "Remove also what is kept for a rollback?"); err != nil {
						return err
					}
				}
				all := []leftoverJSON{}
				var problem error
				for _, name := range names {
					left, err := s.Manager.Cleanup(ctx, name, readview.CleanupOptions{Kept: kept, DryRun: dryRun})
					for _, l := range left {
						all = append(all, leftoverOf(l))
					}
					if problem = err; err != nil {
						break
					}
				}
				var err error
				if problem != nil && len(all) == 0 {
					return problem
				}
				if asJSON {
					err = terminal.JSON(cmd.OutOrStdout(), all)
				} else {
					err = terminal.Table(cmd.OutOrStdout(), "PROJECTION\tWHAT\tSCHEMA\tMIB\tSTATE\tOF", all, leftoverJSON.row)
				}
				if problem != nil {
					return problem
				}
				return err
			})
		},
	}
	flags := command.Flags()
	flags.BoolVar(&kept, "kept", false, "also what is kept for a rollback and whose time is not over")
	flags.BoolVar(&dryRun, "dry-run", false, "only list")
	flags.BoolVar(&yes, "yes", false, "don't ask, also in a terminal")
	flags.BoolVar(&asJSON, "json", false, "print a list for programs")
	return command
}

// leftoverJSON is what programs read.
type leftoverJSON struct {
	Projection string     `json:"projection"`
	What       string     `json:"what"`
	Schema     string     `json:"schema"`
	Of         string     `json:"of,omitempty"` // which rebuild or the like has made it
	Bytes      int64      `json:"bytes"`
	Until      *time.Time `json:"until,omitempty"`
	State      string     `json:"state"`
}

func leftoverOf(l readview.Leftover) leftoverJSON {
	j := leftoverJSON{Projection: l.Projection, What: l.What, Schema: l.Schema, Of: l.Of, Bytes: l.Bytes, State: "to be removed"}
	if !l.Until.IsZero() {
		j.Until, j.State = &l.Until, "kept until "+l.Until.Local().Format(time.DateTime)
	}
	switch {
	case l.Removed:
		j.State = "removed"
	case l.Problem != nil:
		j.State = "not removed: " + l.Problem.Error()
	case l.Busy:
		j.State = "in use"
	}
	return j
}

func (l leftoverJSON) row() string {
	return fmt.Sprintf("%s\t%s\t%s\t%.1f\t%s\t%s", l.Projection, l.What, l.Schema, float64(l.Bytes)/(1<<20), l.State, cmp.Or(l.Of, "nothing is on record of it"))
}
