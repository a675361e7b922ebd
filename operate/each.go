package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

// doneJSON is something that a command has done, for programs.
type doneJSON struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Done string `json:"done"` // paused, resumed, reset
}

// doneWriter tells what is done: people at once, programs at the end.
type doneWriter struct {
	w      io.Writer
	asJSON bool
	rows   []doneJSON
}

func (d *doneWriter) did(done string, kind consumer.Kind, name string) {
	d.rows = append(d.rows, doneJSON{name, string(kind), done})
	if !d.asJSON {
		_, _ = fmt.Fprintln(d.w, done, name)
	}
}

func (d *doneWriter) end(err error) error {
	if d.asJSON {
		err = errors.Join(err, terminal.JSON(d.w, append([]doneJSON{}, d.rows...)))
	}
	return err
}

// each returns a command that does something to each name of the status's table that it is
// given. One that is not known is noticed before anything is done.
func (c *Commands) each(name, short string, projection func(*readview.Manager, context.Context, string) error, other func(*consumer.Store, context.Context, consumer.ID) error, done string) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     name + " NAME...",
		Short:   short,
		Long:    short + ". The names are those of " + c.quote("readviews status") + ".",
		Example: c.examples("readviews "+name+" accounts", "readviews "+name+" relay"),
		Args: func(cmd *cobra.Command, names []string) error {
			if len(names) > 0 {
				return nil
			}
			err := c.projectionsNamed(cmd, names)
			if len(c.config.Projections) > 0 {
				err = UsageError{fmt.Errorf("%w, or another consumer that %s lists", err, c.quote("readviews status"))}
			}
			return err
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.open(cmd, func(s System) error {
				all, err := s.named(cmd.Context(), names)
				if err != nil {
					return err
				}
				if err := s.haveRun(cmd.Context(), all); err != nil {
					return err
				}
				out := &doneWriter{w: cmd.OutOrStdout(), asJSON: asJSON}
				for _, status := range all {
					if status.Kind == consumer.KindProjection {
						err = projection(s.Manager, cmd.Context(), status.Name)
					} else {
						err = other(s.Consumers, cmd.Context(), status.ID())
					}
					if err != nil {
						break
					}
					out.did(done, status.Kind, status.Name)
				}
				return out.end(err)
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print what was done as an array of objects for programs")
	return command
}

// named returns what has these names in the status's table: a subscriber's may be several.
func (s System) named(ctx context.Context, names []string) (named []consumer.Status, err error) {
	var all []consumer.Status
	for _, name := range s.Manager.Names() {
		all = append(all, consumer.Status{Kind: consumer.KindProjection, Name: name})
	}
	if slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(s.Manager.Names(), name) }) {
		if all, err = s.Status(ctx); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		before := len(named)
		var known []string
		for _, status := range all {
			if status.Name == name {
				named = append(named, status)
			}
			known = append(known, status.Name)
		}
		if len(named) == before {
			return nil, unknown("name", name, known)
		}
	}
	return named, nil
}

// haveRun refuses relays, reactors and subscribers that have no row to note anything in, before anything is done.
func (s System) haveRun(ctx context.Context, named []consumer.Status) error {
	if !slices.ContainsFunc(named, func(status consumer.Status) bool { return status.Kind != consumer.KindProjection }) {
		return nil
	}
	have, err := s.others(ctx)
	if err != nil {
		return err
	}
	for _, status := range named {
		if status.Kind != consumer.KindProjection && !slices.ContainsFunc(have, func(other consumer.Status) bool { return other.ID() == status.ID() }) {
			return fmt.Errorf("%s %s has never run on this database", status.Kind, status.Name)
		}
	}
	return nil
}

// projectionsNamed wants the names of projections, as far as they are known without a
// database.
func (c *Commands) projectionsNamed(_ *cobra.Command, names []string) error {
	known := c.config.Projections
	switch {
	case len(names) == 0 && len(known) == 0:
		return UsageError{errors.New("name at least one projection: " + c.quote("readviews status") + " lists them")}
	case len(names) == 0:
		return UsageError{errors.New("name at least one projection: " + strings.Join(known, ", "))}
	}
	if err := once(names); err != nil || len(known) == 0 {
		return err
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return unknown("projection", name, known)
		}
	}
	return nil
}

// once refuses names that are given twice.
func once(names []string) error {
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return UsageError{fmt.Errorf("%s is named twice", name)}
		}
	}
	return nil
}

// unknown refuses a name of some kind of thing.
func unknown(kind, name string, known []string) error {
	return UsageError{fmt.Errorf("unknown %s %q, want one of: %s%s", kind, name, strings.Join(known, ", "), terminal.Suggest(name, known, ""))}
}
