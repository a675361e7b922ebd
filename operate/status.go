package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Status returns all that goes through the log: the manager's projections, what else is
// registered in the database, whichever process runs it, Reactors and Inboxes.
func (s System) Status(ctx context.Context) ([]consumer.Status, error) {
	all, err := s.Manager.Status(ctx)
	if err != nil {
		return nil, err
	}
	others, err := s.others(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, others...)
	for _, r := range s.Reactors {
		status, err := r.Status(ctx)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(others, func(other consumer.Status) bool { return other.ID() == status.ID() }) {
			all = append(all, status)
		}
	}
	for _, in := range s.Inboxes {
		status, err := in.Status(ctx)
		if err != nil {
			return nil, err
		}
		same := func(other consumer.Status) bool { return other.ID() == status.ID() }
		if i := slices.IndexFunc(all, same); i >= 0 {
			all[i] = status // which also knows why this program may not receive
		} else {
			all = append(all, status)
		}
	}
	return all, nil
}

func (s System) others(ctx context.Context) ([]consumer.Status, error) {
	if s.Consumers == nil {
		return nil, nil
	}
	return s.Consumers.Status(ctx, s.Log)
}

// ofKind returns what lists those consumers that are of a kind.
func ofKind(kind consumer.Kind) func(System, context.Context) ([]consumer.Status, error) {
	return func(s System, ctx context.Context) ([]consumer.Status, error) {
		all, err := s.others(ctx)
		if kind == consumer.KindReactor && err == nil {
			all, err = s.Status(ctx)
		}
		return slices.DeleteFunc(all, func(status consumer.Status) bool { return status.Kind != kind }), err
	}
}

// statusRun is what a status command is asked to do.
type statusRun struct {
	asJSON, check, watch bool
	interval             time.Duration
	limits               limits
}

// status returns a command that shows those consumers which of returns.
func (c *Commands) status(short, examples string, of func(System, context.Context) ([]consumer.Status, error)) *cobra.Command {
	r := statusRun{}
	command := &cobra.Command{
		Use:   "status",
		Short: short,
		Long: short + ", as the database knows it: what this shell's\nenvironment says does not matter. Of a projection that another program runs it says so below the table, if this one may not.\n\n" +
			"With --check the exit code is 3 when one has failed, stands ahead of the log, or is behind by more than\n" +
			"--max-behind events or --max-lag, unless it is paused, or has parked more than --max-parked events; and when\n" +
			"nobody knows how far one is behind (BEHIND ?), as it is on standby, or has failed for longer than --max-lag;\n" +
			"and when the last verification that could tell has found rows that differ from what the events make. What somebody\n" +
			"has skipped is no reason: the status says it.\n" +
			"The last lines say which.",
		Example:     examples,
		Annotations: map[string]string{"exit 3": "with --check: something has failed, is behind a limit, or differs"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.validate(cmd); err != nil {
				return err
			}
			return c.open(cmd, func(s System) error {
				show := func(ctx context.Context, w io.Writer) ([]consumer.Status, error) {
					all, err := of(s, ctx)
					switch {
					case err != nil:
						return nil, err
					case r.asJSON:
						return all, c.writeJSON(w, all)
					}
					return all, c.WriteStatus(ctx, s, w, all)
				}
				if r.watch {
					return watch(cmd, r.interval, func(ctx context.Context, w io.Writer) error {
						_, err := show(ctx, w)
						return err
					})
				}
				all, err := show(cmd.Context(), cmd.OutOrStdout())
				if r.check && all != nil {
					err = errors.Join(err, r.limits.check(all))
				}
				return err
			})
		},
	}
	flags := command.Flags()
	flags.BoolVar(&r.asJSON, "json", false, "print an array of objects for programs")
	flags.BoolVar(&r.check, "check", false, "exit with 3 when something has failed, is behind a limit, or differs")
	flags.BoolVar(&r.watch, "watch", false, "show it again and again, in place on a terminal, until it is interrupted")
	flags.DurationVar(&r.interval, "interval", time.Second, "with --watch: how often")
	flags.Int64Var(&r.limits.behind, "max-behind", 1000, "with --check: how many events may wait")
	flags.Int64Var(&r.limits.parked, "max-parked", 0, "with --check: how many events a projection or a reactor may have parked")
	flags.DurationVar(&r.limits.lag, "max-lag", time.Minute, "with --check: how long the oldest of them may have waited")
	return command
}

func (r *statusRun) validate(cmd *cobra.Command) error {
	changed := func(name string) bool { return cmd.Flags().Changed(name) }
	switch {
	case !r.check && (changed("max-behind") || changed("max-lag") || changed("max-parked")):
		return UsageError{errors.New("--max-behind, --max-lag and --max-parked go with --check")}
	case r.watch && r.check:
		return UsageError{errors.New("--watch, or --check: choose one")}
	case !r.watch && changed("interval"):
		return UsageError{errors.New("--interval goes with --watch")}
	case r.interval < 100*time.Millisecond:
		return UsageError{fmt.Errorf("--interval %s: want 100ms or more", r.interval)}
	case r.limits.behind < 0 || r.limits.behind > eventsourced.MaxBacklog:
		return UsageError{fmt.Errorf("--max-behind %d: want 0 to %d, to which is counted", r.limits.behind, eventsourced.MaxBacklog)}
	case r.limits.lag < 0:
		return UsageError{fmt.Errorf("--max-lag %s: must not be below 0", r.limits.lag)}
	}
	return nil
}

// limits are how late a consumer may be.
type limits struct {
	behind, parked int64
	lag            time.Duration
}

// unknown tells that nobody knows how late a consumer is, and that it does not look as if somebody soon will: it is on standby, or has failed for
// longer than events may wait.
func (l limits) unknown(s consumer.Status) bool {
	return s.Behind < 0 && (s.State == consumer.Standby || s.Failure != nil && time.Since(s.Failure.Since) > l.lag)
}

func (l limits) check(all []consumer.Status) error {
	var problems []error
	for _, s := range all {
		if s.Parked > l.parked {
			problems = append(problems, fmt.Errorf("%s %s has parked %s, more than %d", s.Kind, s.Name, many(s.Parked, "event"), l.parked))
		}
		if v := s.Verify; v != nil && v.Equal != nil && !*v.Equal && v.Different > 0 { // which debt does not explain
			problems = append(problems, fmt.Errorf("%s %s differs from what its events make in %s, as the verification of %s has found", s.Kind, s.Name, many(v.Different, "row"), v.Told.UTC().Format(time.RFC3339)))
		}
		switch {
		case s.State == consumer.Failed, s.State == consumer.Ahead:
			problems = append(problems, fmt.Errorf("%s %s is %s: %s", s.Kind, s.Name, s.State, failureOf(s)))
		case s.State == consumer.Paused:
		case s.Behind > l.behind || s.More:
			problems = append(problems, fmt.Errorf("%s %s (%s) is %s events behind, more than %d", s.Kind, s.Name, s.State, waiting(s), l.behind))
		case s.Lag > l.lag:
			problems = append(problems, fmt.Errorf("%s %s (%s) is %s behind, more than %s", s.Kind, s.Name, s.State, s.Lag.Round(time.Second), l.lag))
		case l.unknown(s):
			why := "nobody runs it"
			if s.Failure != nil {
				why = failureOf(s)
			}
			problems = append(problems, fmt.Errorf("%s %s (%s): nobody knows how many events wait: %s", s.Kind, s.Name, s.State, why))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return ExitError{errors.Join(problems...), ExitFound}
}
