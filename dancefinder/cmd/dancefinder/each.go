package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/readview"
)

// each returns a command that does something to each projection that it is given.
// A name that is not known is noticed before anything is done.
func each(name, short, examples string, do func(*readview.Manager, context.Context, string) error, done string) *cobra.Command {
	return &cobra.Command{
		Use:     name + " NAME...",
		Short:   short,
		Example: examples,
		Args:    projectionNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			return withApp(cmd, func(a *app) error {
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

// projectionNamed wants the names of projections.
func projectionNamed(_ *cobra.Command, names []string) error {
	var known []string
	for _, p := range projections.All() {
		known = append(known, p.Name)
	}
	if len(names) == 0 {
		return usageError{errors.New("name at least one projection: " + strings.Join(known, ", "))}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return usageError{fmt.Errorf("unknown projection %q, want one of: %s%s", name, strings.Join(known, ", "), didYouMean(name, known, ""))}
		}
	}
	return nil
}
