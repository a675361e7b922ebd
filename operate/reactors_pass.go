package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// reactorPassing is what "reactors park" and "reactors skip" are asked to do.
type reactorPassing struct {
	reasoned        // position is of one that the reactor fails at
	verb     string // park or skip
	event    string // of a parked one
}

func (c *Commands) parkFailing() *cobra.Command {
	return c.passReactor(reactorPassing{verb: "park"}, "park NAME --position P --reason TEXT",
		"Put the event aside that a reactor fails at, and later ones of its stream behind it",
		"That event and no other, and only if the reactor still fails at it. It is tried once more, within seconds, and parked\n"+
			"when that fails; a reactor that has stopped at it goes on. "+c.quote("reactors resume")+" has what is parked tried again.",
		"reactors park mails --position 1768226400000000 --reason 'the address is wrong'")
}

func (c *Commands) skipOfReactor() *cobra.Command {
	return c.passReactor(reactorPassing{verb: "skip"}, "skip NAME {--event ID | --position P} --reason TEXT",
		"Give up an event that is parked, or that a reactor fails at: it is not handled, and stays on record as skipped",
		"Of a parked event (--event), those behind it wait until they are resumed. One that the reactor still fails at (--position) is\n"+
			"tried once more, within seconds, and skipped when that fails; a reactor that has stopped at it goes on.\n"+
			"It is on record, with the reason, in "+c.quote("reactors skipped")+".",
		"reactors skip mails --event 01a21ad0-b542-7b2f-a278-048a4a19a580 --reason 'a test'",
		"reactors skip mails --position 1768226400000000 --reason 'a test' --dry-run")
}

func (c *Commands) passReactor(p reactorPassing, use, short, long string, examples ...string) *cobra.Command {
	command := &cobra.Command{
		Use:     use,
		Short:   short,
		Long:    short + ".\n" + long + "\nIn a terminal it asks before it does so. " + c.quote("readviews log") + " has who did it, when and why.",
		Example: c.examples(examples...),
		Args:    c.reactorNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			id, err := p.check()
			if err != nil {
				return err
			}
			return c.open(cmd, func(s System) error {
				status, parking, err := s.reactorOf(cmd.Context(), names[0])
				if err != nil {
					return err
				}
				if p.event != "" {
					return p.skipParked(cmd, parking, names[0], id)
				}
				return p.passFailing(cmd, s, status, parking)
			})
		},
	}
	if p.verb == "skip" {
		command.Flags().StringVar(&p.event, "event", "", "the id of a parked event, as 'reactors parked' prints it")
	}
	p.flags(command, "the position of the event that the reactor fails at, as 'reactors status' prints it")
	return command
}

// check returns the id of the event, if it is given.
func (p *reactorPassing) check() (id eventsourced.EventID, err error) {
	switch {
	case p.verb == "park" && p.position <= 0:
		return id, UsageError{errors.New("--position: say which event")}
	case (p.event == "") == (p.position <= 0) || p.event != "" && p.position != 0:
		return id, UsageError{errors.New("--event ID of a parked one, or --position P of one that the reactor fails at: choose one")}
	case p.event != "":
		if id, err = eventsourced.ParseEventID(p.event); err != nil {
			return id, UsageError{fmt.Errorf("--event %q: %w", p.event, err)}
		}
	}
	return id, p.checkReason()
}

func (p *reactorPassing) skipParked(cmd *cobra.Command, parking reactor.Parking, name string, id eventsourced.EventID) error {
	events, err := parking.Parked(cmd.Context())
	if err != nil {
		return err
	}
	at := slices.IndexFunc(events, func(e reactor.ParkedEvent) bool { return e.EventID == id })
	if at < 0 {
		return fmt.Errorf("%s: %w", id, reactor.ErrNotParked)
	}
	e := events[at]
	what := fmt.Sprintf("%s of %s at position %d: %s", e.EventName, e.Stream, e.Position, errorOf(e))
	return p.do(cmd, passedJSON{Reactor: name, Event: id.String(), Position: int64(e.Position)}, "Never handle "+what+"?", "would skip "+what, "skipped "+what,
		func(ctx context.Context) error { return parking.Skip(ctx, id, p.reason) })
}

// passFailing is about the event that a reactor fails at: what is asked for is done when the event fails again.
func (p *reactorPassing) passFailing(cmd *cobra.Command, s System, status consumer.Status, parking reactor.Parking) error {
	f := status.Failure
	if f == nil || f.EventName == "" || int64(f.Position) != p.position {
		where := "it does not fail at any event"
		if f != nil && f.EventName != "" {
			where = fmt.Sprintf("that is at position %d", f.Position)
		}
		return fmt.Errorf("position %d of %s: %w: %s", p.position, status.Name, reactor.ErrNotThere, where)
	}
	pass := reactor.Parking.ParkFailing
	if p.verb == "skip" {
		pass = reactor.Parking.SkipFailing
	}
	what := fmt.Sprintf("%s at position %d, which fails with: %s", f.EventName, f.Position, strings.ReplaceAll(f.Error, "\n", "; "))
	will := fmt.Sprintf("%s will %s it when it fails again: %s", status.Name, p.verb, what)
	stopped := status.State == consumer.Failed
	switch {
	case stopped:
		will += "; it goes on now"
	case status.State == consumer.Paused:
		will += "; it is paused, and goes on when it is resumed"
	}
	return p.do(cmd, passedJSON{Reactor: status.Name, Event: f.EventID.String(), Position: p.position}, upper(p.verb)+" "+what+"?", "would do: "+will, will,
		func(ctx context.Context) error {
			if err := pass(parking, ctx, f.EventID, p.reason); err != nil || !stopped {
				return err
			}
			return s.Consumers.Resume(ctx, status.ID())
		})
}

// passedJSON is what became of an event, for programs.
type passedJSON struct {
	Reactor  string `json:"reactor"`
	Event    string `json:"event"`
	Position int64  `json:"position"`
	Reason   string `json:"reason"`
	Outcome  string `json:"outcome"`
}

// do asks, does it and says so, or says what it would do.
func (p *reactorPassing) do(cmd *cobra.Command, of passedJSON, question, would, done string, act func(context.Context) error) error {
	outcome, err := p.act(cmd, question, would, done, act)
	if err != nil {
		return err
	}
	of.Reason, of.Outcome = p.reason, outcome
	if p.asJSON {
		return terminal.JSON(cmd.OutOrStdout(), of)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), of.Outcome)
	return err
}
