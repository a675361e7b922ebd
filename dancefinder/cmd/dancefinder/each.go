package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/readview"
)

// each returns a command that does something to each projection that it is given.
// A name that is not known is noticed before anything is done.
func each(name, short, long string, do func(*readview.Manager, context.Context, string) error, done string) *cobra.Command {
	return &cobra.Command{
		Use:   name + " NAME...",
		Short: short,
		Long:  long,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			return withApp(cmd, func(a *app) error {
				for _, name := range names {
					if known := a.manager.Names(); !slices.Contains(known, name) {
						return usageError{fmt.Errorf("unknown projection %q, want one of: %s", name, strings.Join(known, ", "))}
					}
				}
				if name == "reset" {
					if err := a.checkAdopted(cmd.Context()); err != nil {
						return err
					}
				}
				for _, name := range names {
					if err := do(a.manager, cmd.Context(), name); err != nil {
						return err
					}
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), done, name)
				}
				return nil
			})
		},
	}
}
