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
	log "github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// consumer is how something that goes through the log stands: a projection, the
// relay, or a reactor.
type consumer struct {
	name, kind, state string
	id                log.ID // of what is no projection
	position, head    eventsourced.Position
	behind            int64
	more              bool // than behind says
	lag               time.Duration
	node              string
	failure           string // why it does not get on, "" when it does
	event             string // which event that is about, "" when about none
	failedAt          time.Time
	since             time.Time // when that began, zero when it is not known
	tries             int
	next              time.Time // of the next try, zero when it is not known
	parked            int64     // events that a reactor put aside
	advice            string    // what to do about it
}

const kindProjection = string(log.KindProjection)

// waiting is how many events it has before it, for people.
func (c consumer) waiting() eventsourced.Backlog {
	return eventsourced.Backlog{Behind: c.behind, More: c.more}
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

func ofProjection(s log.Status) consumer {
	c := consumer{
		name: s.Name, kind: kindProjection, state: string(s.State), position: s.Position, head: s.Head,
		behind: s.Behind, more: s.More, lag: s.Lag, node: s.Node,
	}
	if f := s.Failure; f != nil {
		next := fmt.Sprintf("run 'dancefinder readviews resume %s'", s.Name)
		if f.EventName == "" { // it is refused, or misses events
			next = fmt.Sprintf("run 'dancefinder readviews reset %s'", s.Name)
		}
		c.fails(f.Error, f.Time, next)
		c.event, c.since, c.tries = eventOf(f.EventName, int64(f.Position), f.EventID), f.Since, f.Attempts
	}
	return c
}

func ofConsumer(s log.Status) consumer {
	c := consumer{
		id: s.ID(), name: s.Name, kind: string(s.Kind), state: string(s.State), position: s.Position, head: s.Head,
		behind: s.Behind, more: s.More, lag: s.Lag, node: s.Node, parked: s.Parked,
	}
	if f := s.Failure; f != nil {
		text, event := f.Error, eventOf(f.EventName, int64(f.Position), f.EventID)
		if event != "" {
			text = event + ": " + text
		}
		c.fails(text, f.Time, fmt.Sprintf("run 'dancefinder readviews resume %s'", s.Name))
		c.event, c.since, c.tries, c.next = event, f.Since, f.Attempts, f.Next
	}
	return c
}

// eventOf names the event that a failure is about.
func eventOf(name string, position int64, id eventsourced.EventID) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("%s, position %d, id %s", name, position, id)
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
		return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s", c.name, c.kind, c.state, c.position, c.head, c.waiting(), c.lag.Round(time.Millisecond), cmp.Or(c.node, "-"))
	})
	for _, c := range all {
		if c.failure != "" {
			what := "is " + c.state + ", as of"
			if c.state == "failed" {
				what = "failed at"
			}
			next := ""
			if !c.next.IsZero() {
				next = ", next " + c.next.Format(time.RFC3339)
			}
			since := ""
			if !c.since.IsZero() {
				since = ", since " + c.since.Format(time.RFC3339)
			}
			_, writeErr := fmt.Fprintf(w, "\n%s %s %s:\n  %s (tries: %d%s%s)\n  %s\n",
				c.name, what, c.failedAt.Format(time.RFC3339), c.failure, c.tries, since, next, c.advice)
			err = errors.Join(err, writeErr)
		}
		if c.parked > 0 {
			_, writeErr := fmt.Fprintf(w, "\n%s has parked %d events: 'dancefinder reactors parked %s' lists them.\n", c.name, c.parked, c.name)
			err = errors.Join(err, writeErr)
		}
	}
	return err
}

// consumerJSON is a consumer for programs: all that the table and what is below it say.
type consumerJSON struct {
	Name       string       `json:"name"`
	Kind       string       `json:"kind"`
	State      string       `json:"state"`
	Position   int64        `json:"position"`
	Head       int64        `json:"head"`
	Behind     int64        `json:"behind"`
	More       bool         `json:"more"` // than behind says
	LagSeconds float64      `json:"lag_seconds"`
	Parked     int64        `json:"parked"` // events that a reactor put aside
	Node       string       `json:"node"`   // "" when nobody runs it
	Error      *string      `json:"error"`
	Failure    *failureJSON `json:"failure"`
}

// failureJSON is why a consumer does not get on.
type failureJSON struct {
	Event  string     `json:"event"` // "" when it is not about one
	Time   time.Time  `json:"time"`
	Since  *time.Time `json:"since"` // null when it is not known
	Tries  int        `json:"tries"`
	Next   *time.Time `json:"next"` // try, null when it is not known
	Advice string     `json:"advice"`
}

func writeStatusJSON(w io.Writer, all []consumer) error {
	rows := make([]consumerJSON, len(all))
	for i, c := range all {
		rows[i] = consumerJSON{c.name, c.kind, c.state, int64(c.position), int64(c.head), c.behind, c.more, c.lag.Seconds(), c.parked, c.node, nil, nil}
		if c.failure == "" {
			continue
		}
		rows[i].Error = &c.failure
		rows[i].Failure = &failureJSON{Event: c.event, Time: c.failedAt.UTC(), Tries: c.tries, Advice: c.advice}
		if since := c.since.UTC(); !c.since.IsZero() {
			rows[i].Failure.Since = &since
		}
		if next := c.next.UTC(); !c.next.IsZero() {
			rows[i].Failure.Next = &next
		}
	}
	return writeJSON(w, rows)
}

// writeJSON writes one document for programs.
func writeJSON(w io.Writer, document any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}

// statusCommand returns a command that shows those consumers which of returns.
func statusCommand(short, examples string, of func(*app, context.Context) ([]consumer, error)) *cobra.Command {
	var asJSON, check bool
	limits := limits{}
	command := &cobra.Command{
		Use:   "status",
		Short: short,
		Long: short + ", as the database knows it: what this shell's\nenvironment says does not matter.\n\n" +
			"With --check the exit code is 3 when one has failed, stands ahead of the log, or is behind by more than\n" +
			"--max-behind events or --max-lag, unless it is paused, or has parked more than --max-parked events; the\n" +
			"last lines say which.",
		Example:     examples,
		Annotations: map[string]string{"checks": "true"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !check && (cmd.Flags().Changed("max-behind") || cmd.Flags().Changed("max-lag") || cmd.Flags().Changed("max-parked")) {
				return usageError{errors.New("--max-behind, --max-lag and --max-parked go with --check")}
			}
			if limits.behind < 0 || limits.behind > eventsourced.MaxBacklog {
				return usageError{fmt.Errorf("--max-behind %d: want 0 to %d, to which is counted", limits.behind, eventsourced.MaxBacklog)}
			}
			if limits.lag < 0 {
				return usageError{fmt.Errorf("--max-lag %s: must not be below 0", limits.lag)}
			}
			return withApp(cmd, func(a *app) error {
				all, err := of(a, cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					err = writeStatusJSON(cmd.OutOrStdout(), all)
				} else {
					err = a.writeStatus(cmd.Context(), cmd.OutOrStdout(), all)
				}
				if check {
					err = errors.Join(err, limits.check(all))
				}
				return err
			})
		},
	}
	flags := command.Flags()
	flags.BoolVar(&asJSON, "json", false, "print an array of objects for programs")
	flags.BoolVar(&check, "check", false, "exit with 3 when something has failed or is behind a limit")
	flags.Int64Var(&limits.behind, "max-behind", 1000, "with --check: how many events may wait")
	flags.Int64Var(&limits.parked, "max-parked", 0, "with --check: how many events a reactor may have parked")
	flags.DurationVar(&limits.lag, "max-lag", time.Minute, "with --check: how long the oldest of them may have waited")
	return command
}

// limits are how late a consumer may be.
type limits struct {
	behind, parked int64
	lag            time.Duration
}

// behindError says that something has failed or is behind a limit.
type behindError struct{ error }

func (l limits) check(all []consumer) error {
	var problems []error
	for _, c := range all {
		if c.parked > l.parked {
			problems = append(problems, fmt.Errorf("%s %s has parked %d events, more than %d", c.kind, c.name, c.parked, l.parked))
		}
		switch {
		case c.state == "failed", c.state == "ahead of the log":
			problems = append(problems, fmt.Errorf("%s %s is %s: %s", c.kind, c.name, c.state, c.failure))
		case c.state == "paused":
		case c.behind > l.behind || c.more:
			problems = append(problems, fmt.Errorf("%s %s (%s) is %s events behind, more than %d", c.kind, c.name, c.state, c.waiting(), l.behind))
		case c.lag > l.lag:
			problems = append(problems, fmt.Errorf("%s %s (%s) is %s behind, more than %s", c.kind, c.name, c.state, c.lag.Round(time.Second), l.lag))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return behindError{errors.Join(problems...)}
}

func relayCommand() *cobra.Command {
	status := statusCommand("Show how far the relays are that have run on this database",
		"  dancefinder relay status\n  dancefinder relay status --check --max-lag 10m",
		func(a *app, ctx context.Context) ([]consumer, error) {
			all, err := a.consumers(ctx)
			return slices.DeleteFunc(all, func(c consumer) bool { return c.kind != string(log.KindRelay) }), err
		})
	return group("relay", "Look after the relay, which publishes events to RabbitMQ", status, skipCommand(), skippedCommand(), publishedCommand())
}

func geocodingCommand() *cobra.Command {
	var asJSON bool
	status := &cobra.Command{
		Use:     "status",
		Short:   "Count the dance halls by what became of them",
		Example: "  dancefinder geocoding status --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				if !asJSON {
					return a.writeGeocoding(cmd.Context(), cmd.OutOrStdout())
				}
				s, err := a.geocoding.Status(cmd.Context())
				if err != nil {
					return err
				}
				return writeJSON(cmd.OutOrStdout(), struct {
					Done     int64 `json:"done"` // on the map
					Pending  int64 `json:"pending"`
					NotFound int64 `json:"not_found"`
					Failed   int64 `json:"failed"`
				}{s.Done, s.Pending, s.NotFound, s.Failed})
			})
		},
	}
	status.Flags().BoolVar(&asJSON, "json", false, "print an object for programs")
	retry := &cobra.Command{
		Use:     "retry",
		Short:   "Look up again what was not found or has failed",
		Example: "  dancefinder geocoding retry",
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
