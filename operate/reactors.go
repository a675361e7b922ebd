package operate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// reactorOf returns how the reactor of a name stands, and its parking.
func (s System) reactorOf(ctx context.Context, name string) (consumer.Status, reactor.Parking, error) {
	all, err := s.Status(ctx)
	if err != nil {
		return consumer.Status{}, reactor.Parking{}, err
	}
	var known []string
	for _, status := range all {
		if status.Kind != consumer.KindReactor {
			continue
		}
		if status.Name == name {
			return status, reactor.NewParking(s.Consumers, name), nil
		}
		known = append(known, status.Name)
	}
	return consumer.Status{}, reactor.Parking{}, unknown("reactor", name, known)
}

// parkingOf returns the parking of the reactor of a name.
func (s System) parkingOf(ctx context.Context, name string) (reactor.Parking, error) {
	_, parking, err := s.reactorOf(ctx, name)
	return parking, err
}

// reactorNamed wants the name of one reactor.
func (c *Commands) reactorNamed(_ *cobra.Command, names []string) error {
	if len(names) != 1 {
		return UsageError{errors.New("name one reactor: " + c.quote("reactors status") + " lists them")}
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

func (c *Commands) parked(use, short, long string, list func(reactor.Parking, context.Context) ([]reactor.ParkedEvent, error)) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:     use + " NAME",
		Short:   short,
		Long:    short + ".\n" + long,
		Example: c.examples("reactors "+use+" mails", "reactors "+use+" mails --json"),
		Args:    c.reactorNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.open(cmd, func(s System) error {
				parking, err := s.parkingOf(cmd.Context(), names[0])
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
				return terminal.Table(cmd.OutOrStdout(), "ID\tEVENT\tSTREAM\tPOSITION\tTRIES\tTIME\tERROR", events, func(e reactor.ParkedEvent) string {
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
	return terminal.JSON(w, rows)
}

func (c *Commands) resumeParked() *cobra.Command {
	var stream, event string
	var asJSON bool
	command := &cobra.Command{
		Use:   "resume NAME",
		Short: "Have parked events tried again, once each, those of a stream in order",
		Long: "Has parked events tried again, once each, by the process that runs the reactor: all, those of one stream,\n" +
			"or one and those before it in its stream. The first one of a stream that fails keeps those behind it.\n" +
			"A reactor that is paused or has stopped is resumed by " + c.quote("readviews resume") + ".",
		Example: c.examples("reactors resume mails",
			"reactors resume mails --stream shop.Order/5b0c3d0e-7f6f-4c8e-9d59-3a7c2f0f8a11",
			"reactors resume mails --event 01a21ad0-b542-7b2f-a278-048a4a19a580 --json"),
		Args: c.reactorNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			resume, err := resumption(stream, event)
			if err != nil {
				return err
			}
			return c.open(cmd, func(s System) error {
				parking, err := s.parkingOf(cmd.Context(), names[0])
				if err != nil {
					return err
				}
				n, err := resume(cmd.Context(), parking)
				if err != nil {
					return err
				}
				if asJSON {
					return terminal.JSON(cmd.OutOrStdout(), map[string]int64{"resumed": n})
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
		return nil, UsageError{errors.New("--stream, or --event: choose one")}
	case stream != "":
		aggregate, id, ok := strings.Cut(stream, "/")
		if !ok {
			return nil, UsageError{fmt.Errorf("--stream %q: want AGGREGATE/ID", stream)}
		}
		return func(ctx context.Context, p reactor.Parking) (int64, error) {
			return p.ResumeStream(ctx, eventsourced.Stream{AggregateName: aggregate, AggregateID: id})
		}, nil
	case event != "":
		id, err := eventsourced.ParseEventID(event)
		if err != nil {
			return nil, UsageError{fmt.Errorf("--event %q: %w", event, err)}
		}
		return func(ctx context.Context, p reactor.Parking) (int64, error) { return p.ResumeEvent(ctx, id) }, nil
	}
	return func(ctx context.Context, p reactor.Parking) (int64, error) { return p.ResumeAll(ctx) }, nil
}
