package operate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

// ending is what "readviews end-session" is asked to do.
type ending struct {
	pid                 int
	dryRun, yes, asJSON bool
}

func (c *Commands) endSession() *cobra.Command {
	e := ending{}
	command := &cobra.Command{
		Use:   readview.CommandEndSession + " NAME",
		Short: "End the database's session that is in the way of a projection, or of its rebuild",
		Long: "Ends the session that holds the lock which a stalled projection waits for, or the transaction for which its rebuild or\n" +
			"verification waits: that is rolled back, and its client gets an error. Of a projection that is at a statement which takes long\n" +
			"it cancels that statement, and the page is tried again. The server looks again in the statement that does it: a session that\n" +
			"is not in the way any more is left alone. In a terminal it asks before it does so. " + c.quote("readviews log") + " has who did it, and when.",
		Example: c.examples("readviews end-session accounts --dry-run", "readviews end-session accounts --pid 4711 --yes --json"),
		Args:    c.projectionNamed,
		RunE: func(cmd *cobra.Command, names []string) error {
			return c.open(cmd, func(s System) error { return e.end(cmd, s, names[0]) })
		},
	}
	flags := command.Flags()
	flags.IntVar(&e.pid, "pid", 0, "which session, when several are in the way")
	flags.BoolVar(&e.dryRun, "dry-run", false, "say which session it would end, and do nothing")
	flags.BoolVar(&e.yes, "yes", false, "don't ask, also in a terminal")
	flags.BoolVar(&e.asJSON, "json", false, "print an object for programs")
	return command
}

func (e *ending) end(cmd *cobra.Command, s System, name string) error {
	ctx := cmd.Context()
	all, err := s.Manager.Status(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(status consumer.Status) bool { return status.Name == name })
	if at < 0 {
		return unknown("projection", name, s.Manager.Names())
	}
	session, own, err := e.chosen(all[at])
	if err != nil {
		return err
	}
	outcome, question := "ended", "End"
	if own {
		outcome, question = "cancelled the statement of", "Cancel the statement of"
	}
	who := describeSession(session)
	switch in := cmd.InOrStdin(); {
	case e.dryRun && own:
		outcome = "would cancel the statement of"
	case e.dryRun:
		outcome = "would end"
	case !e.yes && terminal.Is(in):
		if err := terminal.Ask(ctx, in, cmd.ErrOrStderr(), question+" "+who+"?"); err != nil {
			return err
		}
	}
	if !e.dryRun {
		if err := s.Manager.EndSession(ctx, name, session); err != nil {
			return err
		}
	}
	if e.asJSON {
		return terminal.JSON(cmd.OutOrStdout(), map[string]any{"projection": name, "outcome": outcome, "session": session})
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), outcome, who)
	return err
}

// chosen returns the session that is in the way of a projection, and whether it is the projection's own.
func (e *ending) chosen(s consumer.Status) (session consumer.Session, own bool, err error) {
	var all []consumer.Session
	if f := s.Failure; f != nil && f.Stalled {
		if all = f.Blockers; len(all) == 0 && f.Session != nil {
			all, own = []consumer.Session{*f.Session}, true
		}
	}
	for _, replay := range []*consumer.Replay{s.Rebuild, s.Verify} {
		if !own && replay != nil {
			all = slices.Concat(all, replay.Waits)
		}
	}
	if e.pid != 0 {
		all = slices.DeleteFunc(slices.Clone(all), func(s consumer.Session) bool { return s.PID != e.pid })
	}
	switch {
	case len(all) == 0 && e.pid != 0:
		return session, false, fmt.Errorf("pid %d: %w of %s", e.pid, readview.ErrNotInTheWay, s.Name)
	case len(all) == 0:
		return session, false, fmt.Errorf("no session is in the way of %s", s.Name)
	case len(all) > 1:
		lines := []string{"several sessions are in the way of " + s.Name + ", choose one with --pid:"}
		for _, session := range all {
			lines = append(lines, "  "+describeSession(session))
		}
		return session, false, UsageError{errors.New(strings.Join(lines, "\n"))}
	}
	return all[0], own, nil
}

// describeSession says who it is, what it is at, and since when.
func describeSession(s consumer.Session) string {
	text := fmt.Sprintf("pid %d", s.PID)
	if s.Application != "" {
		text += " (" + s.Application + ")"
	}
	if s.State != "" {
		text += ", " + s.State
	}
	if !s.Since.IsZero() {
		text += ", in its transaction since " + s.Since.UTC().Format(time.RFC3339)
	}
	if s.Query != "" {
		text += ": " + inShort(s.Query)
	}
	return text
}
