package operate

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

// readyJSON is what becomes of a projection, for programs.
type readyJSON struct {
	Name     string  `json:"name"`
	Ready    bool    `json:"ready"`
	Verdict  string  `json:"verdict"` // ready, new, refused, reset, rebuild, standby, no table
	Version  int     `json:"version"` // of this program's
	Deployed int     `json:"deployed"`
	Error    *string `json:"error"` // why it does not just go on
}

// errNotReady says that a program may not go live just so.
func errNotReady(n int) error {
	return ExitError{fmt.Errorf("%s would not just go on with this program", many(n, "projection")), ExitFound}
}

func (c *Commands) ready() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "ready",
		Short: "Tell whether this program may go live without a rebuild",
		Long: "Tells for each projection what would become of it if this program ran it, and changes nothing. A deployment asks\n" +
			"before it goes live. A projection is ready when it goes on where it is, or new; otherwise it would be refused, reset\n" +
			"or rebuilt, as its policy says, stand by because a newer version runs, or its tables are missing.",
		Example:     c.examples("readviews ready", "readviews ready --json"),
		Annotations: map[string]string{"exit 0": "all are ready", "exit 3": "one is not"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.open(cmd, func(s System) error {
				all, err := s.Manager.Ready(cmd.Context())
				if err != nil {
					return err
				}
				if err := writeReady(cmd, all, asJSON); err != nil {
					return err
				}
				n := 0
				for _, r := range all {
					if !r.OK() {
						n++
					}
				}
				if n > 0 {
					return errNotReady(n)
				}
				return nil
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print an array of objects for programs")
	return command
}

func writeReady(cmd *cobra.Command, all []readview.Readiness, asJSON bool) error {
	if asJSON {
		rows := make([]readyJSON, len(all))
		for i, r := range all {
			rows[i] = readyJSON{Name: r.Name, Ready: r.OK(), Verdict: string(r.Verdict), Version: r.Version, Deployed: r.Deployed}
			if r.Err != nil {
				text := forOperators(r.Err.Error())
				rows[i].Error = &text
			}
		}
		return terminal.JSON(cmd.OutOrStdout(), rows)
	}
	return terminal.Table(cmd.OutOrStdout(), "PROJECTION\tVERDICT\tDEPLOYED\tTHIS PROGRAM\tWHY", all, func(r readview.Readiness) string {
		why := "-"
		if r.Err != nil {
			why = forOperators(r.Err.Error())
		}
		return fmt.Sprintf("%s\t%s\t%d\t%d\t%s", r.Name, r.Verdict, r.Deployed, r.Version, why)
	})
}
