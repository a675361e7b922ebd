package operate

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

// withRelay opens the relay that the flag --relay names.
func (c *Commands) withRelay(cmd *cobra.Command, do func(*relay.Relay) error) error {
	name, err := cmd.Flags().GetString("relay")
	if err != nil {
		return err
	}
	return c.open(cmd, func(s System) error {
		if s.Relay == nil {
			return errors.New("this program has no relay")
		}
		r, err := s.Relay(name)
		if err != nil {
			return UsageError{err}
		}
		return do(r)
	})
}

func (c *Commands) relayFlags(command *cobra.Command, asJSON *bool) *cobra.Command {
	command.Flags().String("relay", c.config.Relay, "which relay: a name of "+c.quote("relay status"))
	command.Flags().BoolVar(asJSON, "json", false, "print JSON for programs")
	return command
}

// skipRun is what "relay skip" is asked to do.
type skipRun struct {
	position            int64
	reason              string
	yes, dryRun, asJSON bool
}

func (c *Commands) skip() *cobra.Command {
	r := skipRun{}
	command := &cobra.Command{
		Use:   "skip --position POSITION --reason TEXT",
		Short: "Have the relay leave out an event that can't be published",
		Long: "Has the relay leave out the event at a position, which it can't publish: " + c.quote("relay status") + " has it.\n" +
			"Consumers get what comes before and after it, and never the event, live and in history: tell them. Only an event\n" +
			"that is in the way is left out. It is on record for good, see " + c.quote("relay skipped") + ". In a terminal it asks first.",
		Example: c.examples("relay skip --position 1795466191914493 --reason 'a test that got out' --dry-run",
			"relay skip --position 1795466191914493 --reason 'a test that got out' --yes"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.position <= 0 {
				return UsageError{errors.New("--position wants the position of an event")}
			}
			if strings.TrimSpace(r.reason) == "" {
				return UsageError{errors.New("--reason wants a reason: others will ask")}
			}
			return c.withRelay(cmd, func(it *relay.Relay) error { return r.skip(cmd, it) })
		},
	}
	command.Flags().Int64Var(&r.position, "position", 0, "of the event (required)")
	command.Flags().StringVar(&r.reason, "reason", "", "why it is left out (required)")
	command.Flags().BoolVar(&r.dryRun, "dry-run", false, "say what it would leave out, and do nothing")
	command.Flags().BoolVar(&r.yes, "yes", false, "don't ask, also in a terminal")
	return c.relayFlags(command, &r.asJSON)
}

func (r skipRun) skip(cmd *cobra.Command, it *relay.Relay) error {
	ctx, position := cmd.Context(), eventsourced.Position(r.position)
	skip, err := it.InTheWay(ctx, position)
	if err != nil {
		return err
	}
	verb := "skipped"
	switch in := cmd.InOrStdin(); {
	case skip.Actor != "":
		verb = "skipped already"
	case r.dryRun:
		verb = "would skip"
	case !r.yes && terminal.Is(in):
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), describeSkip("in the way:", skip))
		if err := terminal.Ask(ctx, in, cmd.ErrOrStderr(), "Never publish it?"); err != nil {
			return err
		}
	}
	if !r.dryRun {
		if skip, err = it.Skip(ctx, position, r.reason); err != nil {
			return err
		}
	}
	if r.asJSON {
		return terminal.JSON(cmd.OutOrStdout(), skipOf(skip))
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), describeSkip(verb, skip))
	return err
}

func describeSkip(verb string, s relay.SkippedEvent) string {
	return fmt.Sprintf("%s %s at position %d, id %s: %s", verb, s.EventName, s.Position, s.EventID, s.Error)
}

// skipJSON is a skipped event for programs.
type skipJSON struct {
	Position int64      `json:"position"`
	EventID  string     `json:"event_id"`
	Name     string     `json:"name"`
	Error    string     `json:"error"`
	Reason   string     `json:"reason"`
	Actor    string     `json:"actor"`
	Time     *time.Time `json:"time"` // null when it is not skipped
}

func skipOf(s relay.SkippedEvent) skipJSON {
	row := skipJSON{Position: int64(s.Position), EventID: s.EventID.String(), Name: s.EventName, Error: s.Error, Reason: s.Reason, Actor: s.Actor}
	if !s.SkippedAt.IsZero() {
		row.Time = &s.SkippedAt
	}
	return row
}

func (c *Commands) skipped() *cobra.Command {
	var asJSON bool
	return c.relayFlags(&cobra.Command{
		Use:     "skipped",
		Short:   "List the events that the relay leaves out",
		Example: c.examples("relay skipped --json"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withRelay(cmd, func(it *relay.Relay) error {
				all, err := it.Skipped(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					rows := make([]skipJSON, len(all))
					for i, s := range all {
						rows[i] = skipOf(s)
					}
					return terminal.JSON(cmd.OutOrStdout(), rows)
				}
				return terminal.Table(cmd.OutOrStdout(), "POSITION\tEVENT\tID\tACTOR\tSINCE\tREASON\tERROR", all, func(s relay.SkippedEvent) string {
					return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s", s.Position, s.EventName, s.EventID, s.Actor, s.SkippedAt.Format(time.RFC3339), s.Reason, s.Error)
				})
			})
		},
	}, &asJSON)
}

// publicationJSON is what a relay published once, for programs.
type publicationJSON struct {
	Number   int64     `json:"number"`
	Position int64     `json:"position"`
	Names    []string  `json:"names"` // none is all
	Revision int       `json:"revision"`
	Since    time.Time `json:"since"`
}

func (c *Commands) published() *cobra.Command {
	var asJSON bool
	return c.relayFlags(&cobra.Command{
		Use:     "published",
		Short:   "List what the relay has published, each time that it changed",
		Example: c.examples("relay published --json"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.withRelay(cmd, func(it *relay.Relay) error {
				all, err := it.Published(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					rows := make([]publicationJSON, len(all))
					for i, p := range all {
						rows[i] = publicationJSON{p.Number, int64(p.Position), p.Names, p.Revision, p.Since}
					}
					return terminal.JSON(cmd.OutOrStdout(), rows)
				}
				return terminal.Table(cmd.OutOrStdout(), "ABOVE POSITION\tREVISION\tSINCE\tEVENTS", all, func(p relay.Publication) string {
					return fmt.Sprintf("%d\t%d\t%s\t%s", p.Position, p.Revision, p.Since.Format(time.RFC3339), cmp.Or(strings.Join(p.Names, ", "), "all"))
				})
			})
		},
	}, &asJSON)
}
