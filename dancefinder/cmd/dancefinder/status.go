package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/readview"
)

// consumer is how something that goes through the log stands: a projection, the
// relay, or a reactor.
type consumer struct {
	name, kind, state string
	position, head    eventsourced.Position
	behind            int64
	more              bool // than behind says
	lag               time.Duration
	node              string
	failure           string // why it does not get on, "" when it does
	failedAt          time.Time
	since             time.Time // when that began, zero when it is not known
	tries             int
	advice            string // what to do about it
}

// status returns all that goes through the log: DanceFinder's projections, and what
// else is registered in the database.
func (a *app) status(ctx context.Context) (all []consumer, err error) {
	projections, err := a.manager.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range projections {
		all = append(all, ofProjection(s))
	}
	consumers, err := a.consumers(ctx)
	all = append(all, consumers...)
	if !slices.ContainsFunc(consumers, func(c consumer) bool { return c.name == geocodingName }) && err == nil {
		reactor, err := a.reactor.Status(ctx) // no projector has run yet
		return append(all, ofConsumer(reactor)), err
	}
	return all, err
}

// consumers returns those that are registered in the database: what a projector runs
// is a matter of its environment, not of this process's.
func (a *app) consumers(ctx context.Context) (all []consumer, err error) {
	registered, err := a.positions.Status(ctx, a.store)
	for _, s := range registered {
		all = append(all, ofConsumer(s))
	}
	if err != nil {
		// One that is about no consumer has no name where it is expected.
		err = rewordedError{err, strings.Replace(err.Error(), "status of /:", "status of the consumers:", 1)}
	}
	return all, err
}

// hints returns what to do about the consumers' failures beside what each of them
// says, each hint once.
func (a *app) hints(ctx context.Context, all []consumer) (hints []string) {
	for _, c := range all {
		hint := ""
		switch {
		case strings.Contains(c.failure, "SQLSTATE 42P05"), strings.Contains(c.failure, "SQLSTATE 26000"):
			hint = poolerHint
		case strings.Contains(c.failure, "SQLSTATE 42P01"):
			hint = a.missing(ctx, c.failure)
		}
		if hint != "" && !slices.Contains(hints, hint) {
			hints = append(hints, hint)
		}
	}
	return hints
}

// writeStatus prints consumers, and what to do about those that have failures.
func (a *app) writeStatus(ctx context.Context, w io.Writer, all []consumer) error {
	err := writeStatus(w, all)
	for _, hint := range a.hints(ctx, all) {
		_, writeErr := fmt.Fprintf(w, "\n%s\n", hint)
		err = errors.Join(err, writeErr)
	}
	return err
}

func ofProjection(s readview.Status) consumer {
	c := consumer{
		name: s.Name, kind: "projection", state: string(s.State), position: s.Position, head: s.Head,
		behind: s.Behind, more: s.More, lag: s.Lag, node: s.Node,
	}
	if f := s.Failure; f != nil {
		next := fmt.Sprintf("run 'dancefinder readviews resume %s'", s.Name)
		if f.EventName == "" { // it is refused, or misses events
			next = fmt.Sprintf("run 'dancefinder readviews reset %s'", s.Name)
		}
		c.fails(f.Error, f.Time, next)
		c.since, c.tries = f.Since, f.Attempts
	}
	return c
}

func ofConsumer(s messaging.Status) consumer {
	c := consumer{
		name: s.Name, kind: s.Kind, state: string(s.State), position: s.Position, head: s.Head,
		behind: s.Behind, more: s.More, lag: s.Lag, node: s.Node,
	}
	if f := s.Failure; f != nil {
		text := f.Error
		if f.EventName != "" {
			text = fmt.Sprintf("%s, position %d, id %s: %s", f.EventName, f.Position, f.EventID, text)
		}
		c.fails(text, f.Time, "restart the projector")
		c.since, c.tries = f.Since, f.Attempts
	}
	return c
}

// fails notes why a consumer does not get on, and what to do: next is what lets it
// try again when it has stopped.
func (c *consumer) fails(text string, at time.Time, next string) {
	c.failure, c.failedAt = forProgrammers.ReplaceAllString(text, ""), at
	switch c.state {
	case "standby":
		c.advice = "Another program runs it, or nobody: see docs/operating.md."
	case "failed":
		c.advice = "Fix the cause, then " + next + "."
	case "ahead of the log":
		c.advice = "The log has gone back: see docs/operating.md before you do anything."
	default:
		c.advice = "It tries again by itself once the cause is gone."
	}
}

func writeStatus(w io.Writer, all []consumer) error {
	err := table(w, "NAME\tKIND\tSTATE\tPOSITION\tHEAD\tBEHIND\tLAG\tNODE", all, func(c consumer) string {
		return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s", c.name, c.kind, c.state, c.position, c.head, eventsourced.Backlog{Behind: c.behind, More: c.more}, c.lag.Round(time.Millisecond), cmp.Or(c.node, "-"))
	})
	for _, c := range all {
		if c.failure != "" {
			what := "is " + c.state + ", as of"
			if c.state == "failed" {
				what = "failed at"
			}
			_, writeErr := fmt.Fprintf(w, "\n%s %s %s:\n  %s (tries: %d, since %s)\n  %s\n",
				c.name, what, c.failedAt.Format(time.RFC3339), c.failure, c.tries, c.since.Format(time.RFC3339), c.advice)
			err = errors.Join(err, writeErr)
		}
	}
	return err
}

func writeJSON(w io.Writer, all []consumer) error {
	type row struct {
		Name       string  `json:"name"`
		Kind       string  `json:"kind"`
		State      string  `json:"state"`
		Position   int64   `json:"position"`
		Head       int64   `json:"head"`
		Behind     int64   `json:"behind"`
		More       bool    `json:"more"` // than behind says
		LagSeconds float64 `json:"lag_seconds"`
		Error      *string `json:"error"`
	}
	rows := make([]row, len(all))
	for i, c := range all {
		rows[i] = row{c.name, c.kind, c.state, int64(c.position), int64(c.head), c.behind, c.more, c.lag.Seconds(), nil}
		if c.failure != "" {
			rows[i].Error = &c.failure
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}

func relayCommand() *cobra.Command {
	status := &cobra.Command{
		Use:   "status",
		Short: "Show how far the relays are that have run on this database",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				all, err := a.consumers(cmd.Context())
				if err != nil {
					return err
				}
				return a.writeStatus(cmd.Context(), cmd.OutOrStdout(), slices.DeleteFunc(all, func(c consumer) bool { return c.kind != messaging.KindRelay }))
			})
		},
	}
	return group("relay", "Look after the relay, which publishes events to RabbitMQ", status)
}

func geocodingCommand() *cobra.Command {
	status := &cobra.Command{
		Use:   "status",
		Short: "Count the dance halls by what became of them",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error { return a.writeGeocoding(cmd.Context(), cmd.OutOrStdout()) })
		},
	}
	retry := &cobra.Command{
		Use:   "retry",
		Short: "Look up again what was not found or has failed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				halls, err := a.geocoding.Retry(cmd.Context())
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d dance halls queued again\n", halls)
				}
				return err
			})
		},
	}
	return group("geocoding", "Look after geocoding, which finds dance halls on the map", status, retry)
}

func (a *app) writeGeocoding(ctx context.Context, w io.Writer) error {
	s, err := a.geocoding.Status(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d dance halls on the map, %d waiting, %d not found, %d failed\n", s.Done, s.Pending, s.NotFound, s.Failed)
	return err
}
