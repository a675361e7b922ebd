package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	log "github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
)

func reactorsCommand() *cobra.Command {
	status := statusCommand("Show how far the reactors are that have run on this database",
		"  dancefinder reactors status\n  dancefinder reactors status --check --max-parked 100",
		func(a *app, ctx context.Context) ([]consumer, error) {
			all, err := a.status(ctx)
			return slices.DeleteFunc(all, func(c consumer) bool { return c.kind != string(log.KindReactor) }), err
		})
	return group("reactors", "Look after what answers events, and the events that it has parked", status,
		parkedCommand("parked", "List the events that a reactor has put aside, in the order of the log",
			"An event that fails for long is parked, and later events of the same stream behind it: those have no error and\n"+
				"no tries. 'dancefinder reactors resume' has them tried again.", reactor.Parking.Parked),
		parkedCommand("skipped", "List the events that a reactor was not to handle, the last ten thousand",
			"A reaction decides so, or 'dancefinder reactors skip'.", reactor.Parking.Skipped),
		resumeParkedCommand(), skipParkedCommand())
}

// parkingOf returns the parking of the reactor of a name.
func (a *app) parkingOf(ctx context.Context, name string) (reactor.Parking, error) {
	all, err := a.status(ctx)
	if err != nil {
		return reactor.Parking{}, err
	}
	var known []string
	for _, c := range all {
		if c.kind == string(log.KindReactor) {
			known = append(known, c.name)
		}
	}
	if !slices.Contains(known, name) {
		return reactor.Parking{}, usageError{fmt.Errorf("unknown reactor %q, want one of: %s%s", name, strings.Join(known, ", "), didYouMean(name, known, ""))}
	}
	return reactor.NewParking(a.positions, name), nil
}

// reactorNamed wants the name of one reactor.
func reactorNamed(_ *cobra.Command, names []string) error {
	if len(names) != 1 {
		return usageError{errors.New("name one reactor: 'dancefinder reactors status' lists them")}
	}
	return nil
}

// parkedJSON is a parked or skipped event for programs.
type parkedJSON struct {
	ID       string    `json:"id"`
	Event    string    `json:"event"`
	Stream   string    `json:"stream"`
	Position int64     `json:"position"`
	Error    *string   `json:"error"` // null for one that waits for those before it
	Tries    int       `json:"tries"`
	Time     time.Time `json:"time"`
	Due      bool      `json:"due"` // about to be tried
}

func parkedCommand(use, short, long string, list func(reactor.Parking, context.Context) ([]reactor.ParkedEvent, error)) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     use + " NAME",
		Short:   short,
		Long:    short + ".\n" + long,
		Example: "  dancefinder reactors " + use + " geocoding\n  dancefinder reactors " + use + " geocoding --json",
		Args:    reactorNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			return withApp(cmd, func(a *app) error {
				parking, err := a.parkingOf(cmd.Context(), names[0])
				if err != nil {
					return err
				}
				events, err := list(parking, cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return writeParkedJSON(cmd.OutOrStdout(), events)
				}
				return table(cmd.OutOrStdout(), "ID\tEVENT\tSTREAM\tPOSITION\tTRIES\tTIME\tERROR", events, func(e reactor.ParkedEvent) string {
					return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%s\t%s", e.EventID, e.EventName, e.Stream, e.Position, e.Tries, e.ParkedAt.UTC().Format(time.RFC3339), errorOf(e))
				})
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print an array of objects for programs")
	return command
}

func errorOf(e reactor.ParkedEvent) string {
	if e.Error == "" {
		return "(waits for those before it)"
	}
	return strings.ReplaceAll(e.Error, "\n", "; ")
}

func writeParkedJSON(w io.Writer, events []reactor.ParkedEvent) error {
	rows := make([]parkedJSON, len(events))
	for i, e := range events {
		rows[i] = parkedJSON{e.EventID.String(), e.EventName, e.Stream.String(), int64(e.Position), &e.Error, e.Tries, e.ParkedAt.UTC(), e.Due}
		if e.Error == "" {
			rows[i].Error = nil
		}
	}
	return writeJSON(w, rows)
}

func resumeParkedCommand() *cobra.Command {
	var stream, event string
	var asJSON bool
	command := &cobra.Command{
		Use:   "resume NAME",
		Short: "Have parked events tried again, once each, those of a stream in order",
		Long: "Has parked events tried again, once each, by the projector that runs the reactor: all, those of one stream,\n" +
			"or one and those before it in its stream. The first one of a stream that fails keeps those behind it.\n" +
			"A reactor that is paused or has stopped is resumed by 'dancefinder readviews resume'.",
		Example: "  dancefinder reactors resume geocoding\n" +
			"  dancefinder reactors resume geocoding --stream domain.DanceHall/5b0c3d0e-7f6f-4c8e-9d59-3a7c2f0f8a11\n" +
			"  dancefinder reactors resume geocoding --event 01a21ad0-b542-7b2f-a278-048a4a19a580 --json",
		Args: reactorNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			resume, err := resumption(stream, event)
			if err != nil {
				return err
			}
			return withApp(cmd, func(a *app) error {
				parking, err := a.parkingOf(cmd.Context(), names[0])
				if err != nil {
					return err
				}
				n, err := resume(cmd.Context(), parking)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), map[string]int64{"resumed": n})
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d parked events are tried again\n", n)
				return err
			})
		},
	}
	command.Flags().StringVar(&stream, "stream", "", "only those of this stream, AGGREGATE/ID, as 'reactors parked' prints it")
	command.Flags().StringVar(&event, "event", "", "only the event with this id, and those before it in its stream")
	command.Flags().BoolVar(&asJSON, "json", false, "print an object for programs")
	return command
}

// resumption returns what resumes all, a stream or an event.
func resumption(stream, event string) (func(context.Context, reactor.Parking) (int64, error), error) {
	switch {
	case stream != "" && event != "":
		return nil, usageError{errors.New("--stream, or --event: choose one")}
	case stream != "":
		aggregate, id, ok := strings.Cut(stream, "/")
		if !ok {
			return nil, usageError{fmt.Errorf("--stream %q: want AGGREGATE/ID", stream)}
		}
		return func(ctx context.Context, p reactor.Parking) (int64, error) {
			return p.ResumeStream(ctx, eventsourced.Stream{AggregateName: aggregate, AggregateID: id})
		}, nil
	case event != "":
		id, err := eventsourced.ParseEventID(event)
		if err != nil {
			return nil, usageError{fmt.Errorf("--event %q: %w", event, err)}
		}
		return func(ctx context.Context, p reactor.Parking) (int64, error) { return p.ResumeEvent(ctx, id) }, nil
	}
	return func(ctx context.Context, p reactor.Parking) (int64, error) { return p.ResumeAll(ctx) }, nil
}

func skipParkedCommand() *cobra.Command {
	var event, reason string
	var yes, dryRun bool
	command := &cobra.Command{
		Use:   "skip NAME --event ID --reason TEXT",
		Short: "Give a parked event up: it is not handled, and stays on record as skipped",
		Long: "Gives a parked event up: it is never handled. It is on record, with the reason, in 'dancefinder reactors skipped'.\n" +
			"Those behind it wait until they are resumed. In a terminal it asks before it does so.",
		Example: "  dancefinder reactors skip geocoding --event 01a21ad0-b542-7b2f-a278-048a4a19a580 --reason 'a test'",
		Args:    reactorNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			id, err := eventsourced.ParseEventID(event)
			if err != nil {
				return usageError{fmt.Errorf("--event %q: %w", event, err)}
			}
			if strings.TrimSpace(reason) == "" {
				return usageError{errors.New("--reason: say why")}
			}
			return withApp(cmd, func(a *app) error {
				parking, err := a.parkingOf(cmd.Context(), names[0])
				if err != nil {
					return err
				}
				return skipParked(cmd, parking, id, reason, yes, dryRun)
			})
		},
	}
	command.Flags().StringVar(&event, "event", "", "the id of the event (required)")
	command.Flags().StringVar(&reason, "reason", "", "why, for those who come later (required)")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "say what it would skip, and do nothing")
	command.Flags().BoolVar(&yes, "yes", false, "don't ask, also in a terminal")
	return command
}

func skipParked(cmd *cobra.Command, parking reactor.Parking, id eventsourced.EventID, reason string, yes, dryRun bool) error {
	ctx := cmd.Context()
	events, err := parking.Parked(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(events, func(e reactor.ParkedEvent) bool { return e.EventID == id })
	if at < 0 {
		return fmt.Errorf("%s: %w", id, reactor.ErrNotParked)
	}
	what := fmt.Sprintf("%s of %s at position %d: %s", events[at].EventName, events[at].Stream, events[at].Position, errorOf(events[at]))
	if dryRun {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "would skip", what)
		return err
	}
	if in := cmd.InOrStdin(); !yes && isTerminalInput(in) {
		if err := ask(ctx, in, cmd.ErrOrStderr(), "Never handle "+what+"?"); err != nil {
			return err
		}
	}
	if err := parking.Skip(ctx, id, reason); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), "skipped", what)
	return err
}
