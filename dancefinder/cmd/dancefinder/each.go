package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	log "github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// each returns a command that does something to each name of the status's table that it is
// given. One that is not known is noticed before anything is done.
func each(name, short, examples string, projection func(*readview.Manager, context.Context, string) error, other func(*log.Store, context.Context, log.ID) error, done string) *cobra.Command {
	return &cobra.Command{
		Use:     name + " NAME...",
		Short:   short,
		Long:    short + ". The names are those of 'dancefinder readviews status'.",
		Example: examples,
		Args: func(cmd *cobra.Command, names []string) error {
			if len(names) == 0 {
				return projectionNamed(cmd, names)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			return withApp(cmd, func(a *app) error {
				all, err := a.named(cmd.Context(), names)
				if err != nil {
					return err
				}
				for _, c := range all {
					if c.kind == kindProjection {
						err = projection(a.manager, cmd.Context(), c.name)
					} else {
						err = other(a.positions, cmd.Context(), c.id)
					}
					if errors.Is(err, log.ErrUnknown) {
						err = fmt.Errorf("%s %s has never run on this database", c.kind, c.name)
					}
					if err != nil {
						return err
					}
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), done, c.name)
				}
				return nil
			})
		},
	}
}

// named returns what has these names in the status's table: a subscriber's may be several.
func (a *app) named(ctx context.Context, names []string) (named []consumer, err error) {
	var all []consumer
	for _, name := range a.manager.Names() {
		all = append(all, consumer{name: name, kind: kindProjection})
	}
	if slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(a.manager.Names(), name) }) {
		if all, err = a.status(ctx); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		before := len(named)
		var known []string
		for _, c := range all {
			if c.name == name {
				named = append(named, c)
			}
			known = append(known, c.name)
		}
		if len(named) == before {
			return nil, usageError{fmt.Errorf("unknown name %q, want one of: %s%s", name, strings.Join(known, ", "), didYouMean(name, known, ""))}
		}
	}
	return named, nil
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
