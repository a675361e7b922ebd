package operate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

// poison returns the commands that look after events which projections can't apply.
func (c *Commands) poison() []*cobra.Command {
	return []*cobra.Command{
		c.show(), c.dryRun(),
		c.pass("skip", "Have a projection go on behind the event it has failed at, without applying it",
			"That event and no other, and only if the projection still stands there, or the event is parked. Its read view\n"+
				"lacks the event until "+c.quote("readviews reset")+" or a rebuild with a program that can apply it, and it counts as\n"+
				"debt: "+c.quote("readviews status")+" says so. A rebuild that fails at it again leaves it out again.",
			"never apply", "skipped", (*readview.Manager).Skip),
		c.pass("park", "Put the event aside at which a projection has failed, and later ones of its stream behind it",
			"All others are applied. "+c.quote("readviews retry")+" applies those that are parked. A projection with the policy to\n"+
				"park does so by itself.",
			"put aside", "parked", (*readview.Manager).Park),
		c.debts("parked", "List the events that a projection has put aside, in the order of the log", listing((*readview.Manager).Parked, parkedRow)),
		c.debts("skipped", "List the events that somebody has decided that a projection does not apply", listing((*readview.Manager).Skipped, skippedRow)),
		c.retry(),
	}
}

// projectionNamed wants the name of one projection.
func (c *Commands) projectionNamed(cmd *cobra.Command, names []string) error {
	if len(names) != 1 {
		return UsageError{errors.New("name one projection: " + c.quote("readviews status") + " lists them")}
	}
	return c.projectionsNamed(cmd, names)
}

// eventCommand returns a command about an event of a projection.
func (c *Commands) eventCommand(use, short, long string, run func(cmd *cobra.Command, s System, name string, at eventsourced.Position, asJSON bool) error) *cobra.Command {
	var position int64
	var asJSON bool
	command := &cobra.Command{
		Use:     use + " NAME",
		Short:   short,
		Long:    short + ".\n" + long,
		Example: c.examples("readviews "+use+" accounts", "readviews "+use+" accounts --position 1768226400000000 --json"),
		Args:    c.projectionNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.open(cmd, func(s System) error {
				return run(cmd, s, names[0], eventsourced.Position(position), asJSON)
			})
		},
	}
	command.Flags().Int64Var(&position, "position", 0, "the event's position in the log (default: where the projection has failed)")
	command.Flags().BoolVar(&asJSON, "json", false, "print an object for programs")
	return command
}

func (c *Commands) show() *cobra.Command {
	return c.eventCommand("show", "Show the event at which a projection has failed, and what is known of the failure",
		"With its payload as it is stored, and as this program upcasts and decodes it; or why it can't.\n"+
			"--position shows any event of the log, such as a parked one.",
		func(cmd *cobra.Command, s System, name string, at eventsourced.Position, asJSON bool) error {
			shown, err := s.Manager.Show(cmd.Context(), name, at)
			if err != nil {
				return err
			}
			if len(shown.Recorded) == 0 && shown.Failure == nil {
				return fmt.Errorf("position %d of %s: %s", shown.Position, name, shown.Problem)
			}
			if asJSON {
				return terminal.JSON(cmd.OutOrStdout(), inspectionOf(name, shown))
			}
			return c.writeInspection(cmd.OutOrStdout(), name, shown)
		})
}

func (c *Commands) dryRun() *cobra.Command {
	command := c.eventCommand("dry-run", "Show what this program would do with the event at which a projection has failed",
		"It applies the event in a transaction that is rolled back, and shows the statements, the rows before and after,\n"+
			"and the error. Meanwhile the projection stands still, and its tables take no writes; readers don't wait.",
		func(cmd *cobra.Command, s System, name string, at eventsourced.Position, asJSON bool) error {
			rehearsal, err := s.Manager.DryRun(cmd.Context(), name, at)
			if err != nil {
				return err
			}
			if asJSON {
				err = terminal.JSON(cmd.OutOrStdout(), rehearsalOf(name, rehearsal))
			} else {
				err = writeRehearsal(cmd.OutOrStdout(), rehearsal)
			}
			if err == nil && rehearsal.Error != "" {
				err = ExitError{fmt.Errorf("%s at position %d of %s would fail: %s", rehearsal.EventName, rehearsal.Position, name, rehearsal.Error), ExitFound}
			}
			return err
		})
	command.Annotations = map[string]string{"exit 0": "the event would be applied", "exit 3": "the event would fail"}
	return command
}

// passing is what "readviews skip" and "readviews park" are asked to do.
type passing struct {
	reasoned
	what, done string
	do         func(m *readview.Manager, ctx context.Context, name string, at eventsourced.Position, reason string) error
}

func (c *Commands) pass(use, short, long, what, done string,
	do func(m *readview.Manager, ctx context.Context, name string, at eventsourced.Position, reason string) error) *cobra.Command {
	p := passing{what: what, done: done, do: do}
	command := &cobra.Command{
		Use:   use + " NAME --position P --reason TEXT",
		Short: short,
		Long:  short + ".\n" + long + "\nIn a terminal it asks before it does so. " + c.quote("readviews log") + " has who did it, when and why.",
		Example: c.examples("readviews "+use+" accounts --position 1768226400000000 --reason 'a test'",
			"readviews "+use+" accounts --position 1768226400000000 --reason 'a test' --dry-run"),
		Args: c.projectionNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			if p.position <= 0 {
				return UsageError{errors.New("--position: say which event, as " + c.quote("readviews show") + " has it")}
			}
			if err := p.checkReason(); err != nil {
				return err
			}
			return c.open(cmd, func(s System) error { return p.pass(cmd, s, names[0]) })
		},
	}
	p.flags(command, "the event's position in the log (required)")
	return command
}

func (p passing) pass(cmd *cobra.Command, s System, name string) error {
	ctx, at := cmd.Context(), eventsourced.Position(p.position)
	shown, err := s.Manager.Show(ctx, name, at)
	if err != nil {
		return err
	}
	if p.dryRun && shown.Failure == nil {
		return fmt.Errorf("position %d of %s: %w", at, name, readview.ErrNotThere)
	}
	what := fmt.Sprintf("the event of %s at position %d", name, at)
	if len(shown.Recorded) > 0 {
		what = fmt.Sprintf("%s of %s at position %d", shown.Recorded[0].Name, shown.Recorded[0].Stream, at)
	}
	if f := shown.Failure; f != nil && f.Error != "" {
		what += ", which failed with: " + strings.ReplaceAll(f.Error, "\n", "; ")
	}
	outcome, err := p.act(cmd, upper(p.what)+" "+what+"?", "would "+p.what, p.done,
		func(ctx context.Context) error { return p.do(s.Manager, ctx, name, at, p.reason) })
	if err != nil {
		return err
	}
	if p.asJSON {
		return terminal.JSON(cmd.OutOrStdout(), map[string]any{"projection": name, "position": p.position, "reason": p.reason, "outcome": outcome})
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), outcome, what)
	return err
}

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// retrying is what "readviews retry" is asked to do.
type retrying struct {
	options        readview.RetryOptions
	dryRun, asJSON bool
}

func (c *Commands) retry() *cobra.Command {
	r := retrying{}
	command := &cobra.Command{
		Use:   "retry NAME",
		Short: "Apply the events that a projection has put aside, with this program",
		Long: "Applies the parked events of a projection, each stream's in order, up to the first one of each that fails again.\n" +
			"Each is applied once, in a transaction of its own, whether projectors run or not. Interrupted, what it has applied\n" +
			"counts, and the rest stays parked.",
		Example:     c.examples("readviews retry accounts", "readviews retry accounts --aggregate 5b0c3d0e-7f6f-4c8e-9d59-3a7c2f0f8a11"),
		Args:        c.projectionNamed,
		Annotations: map[string]string{"exit 3": "some have failed again"},
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.open(cmd, func(s System) error { return r.retry(cmd, s, names[0]) })
		},
	}
	command.Flags().StringVar(&r.options.AggregateID, "aggregate", "", "only those of streams with this id")
	command.Flags().StringVar(&r.options.AggregateName, "aggregate-name", "", "only those of this aggregate")
	command.Flags().BoolVar(&r.dryRun, "dry-run", false, "list what it would apply, and do nothing")
	command.Flags().BoolVar(&r.asJSON, "json", false, "print an object for programs")
	return command
}

func (r retrying) retry(cmd *cobra.Command, s System, name string) error {
	out := cmd.OutOrStdout()
	if r.dryRun {
		events, err := s.Manager.Parked(cmd.Context(), name)
		if err != nil {
			return err
		}
		var selected []readview.ParkedEvent
		for _, e := range events {
			if r.options.Selects(e.Stream) {
				selected = append(selected, e)
			}
		}
		return writeDebts(out, r.asJSON, selected, parkedRow)
	}
	result, err := s.Manager.Retry(cmd.Context(), name, r.options)
	if r.asJSON {
		if wrong := terminal.JSON(out, resultOf(name, result)); err == nil {
			err = wrong
		}
	} else {
		_, _ = fmt.Fprintf(out, "%d applied, %d still parked\n", result.Applied, result.Left)
		for _, e := range result.Failed {
			_, _ = fmt.Fprintf(out, "%s of %s at position %d has failed again: %s\n", e.EventName, e.Stream, e.Position, strings.ReplaceAll(e.Error, "\n", "; "))
		}
	}
	if n := len(result.Failed); n > 0 && err == nil {
		err = ExitError{fmt.Errorf("%s of %s failed again", many(n, "stream"), name), ExitFound}
	}
	return err
}
