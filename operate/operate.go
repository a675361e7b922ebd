package operate

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/inbox"
	"github.com/dancefinder/eventsourcing/readview"
)

// System is what the commands look after, of one database.
type System struct {
	// Manager has the projections, whose router need not run, and Log is what they
	// read. Pool reaches the read views. Required.
	Manager *readview.Manager
	Log     eventsourced.Log
	Pool    *pgxpool.Pool

	// Consumers has relays, reactors and consumer groups, whichever process runs them.
	// Nil is without them.
	Consumers *consumer.Store

	// Reactors are shown also when they have never run on this database.
	Reactors []*reactor.Reactor

	// Inboxes are those of this program, which need not run: they are shown as Reactors are, and reset by their names, or by
	// those that the operator log has, which begin with [inbox.ReceptionPrefix].
	Inboxes []*inbox.Inbox

	// Relay returns the relay with a name, for [Commands.Relay]. Nil is without relays.
	Relay func(name string) (*relay.Relay, error)

	// CheckReset refuses a reset that would lose something. Nil is without.
	CheckReset func(ctx context.Context) error

	// Hint says what to do about a failure, beyond what the commands say; "" is nothing.
	// Nil is without.
	Hint func(ctx context.Context, failure string) string
}

// Open opens the system that a command is about, as its flags and the environment say, has do
// work on it, and closes it. It returns do's error, or its own.
type Open func(cmd *cobra.Command, do func(System) error) error

// Config says how the commands talk of the program they are part of. The zero value works.
type Config struct {
	// Program is what stands before "readviews status" on the command line, as help and
	// advice have it. Defaults to the name of the process's file.
	Program string

	// Starts is the command that runs the projections, for who waits for one that
	// nobody runs, such as "bank serve". Defaults to no such advice.
	Starts string

	// Projections are the names of all projections, so that a wrong one is refused before
	// anything is opened. Defaults to those of the manager, which then has to be opened.
	Projections []string

	// Inboxes are the names of all inboxes, likewise. Needed where there are any, and Projections are given.
	Inboxes []string

	// Relay is the relay that is meant when no other one is named. Defaults to
	// [relay.DefaultName].
	Relay string
}

// Commands makes the commands, see [New].
type Commands struct {
	open   Open
	config Config
}

// New returns what makes commands that look after what open opens. It panics when
// open is nil.
func New(open Open, config Config) *Commands {
	if open == nil {
		panic("operate.New: open is nil")
	}
	if config.Program == "" {
		config.Program = filepath.Base(os.Args[0])
	}
	if config.Relay == "" {
		config.Relay = relay.DefaultName
	}
	return &Commands{prepared(open), config}
}

// Readviews returns the command readviews, with all that looks after read views and whatever
// else goes through the log.
func (c *Commands) Readviews() *cobra.Command {
	command := group("readviews", "Look after the read views, and all else that goes through the log",
		c.status("Show how far each projection is, and all else that goes through the log",
			c.examples("readviews status", "readviews status --json", "readviews status --check --max-behind 5000 --max-lag 2m"),
			System.Status),
		c.reset(),
		c.each("pause", "Stop projections, relays or reactors, in all processes", (*readview.Manager).Pause, (*consumer.Store).Pause, "paused"),
		c.each("resume", "Let go on what is paused or has failed", (*readview.Manager).Resume, (*consumer.Store).Resume, "resumed"),
		c.log(),
		c.explain(),
		c.ready(),
		c.endSession(),
	)
	command.AddCommand(c.poison()...)
	command.AddCommand(c.rebuilds()...)
	return command
}

// Relay returns the command relay, which looks after what publishes events.
func (c *Commands) Relay() *cobra.Command {
	status := c.status("Show how far the relays are that have run on this database",
		c.examples("relay status", "relay status --check --max-lag 10m"), ofKind(consumer.KindRelay))
	return group("relay", "Look after the relay, which publishes events", status, c.skip(), c.skipped(), c.published())
}

// Reactors returns the command reactors, which looks after what answers events.
func (c *Commands) Reactors() *cobra.Command {
	status := c.status("Show how far the reactors are that have run on this database",
		c.examples("reactors status", "reactors status --check --max-parked 100"), ofKind(consumer.KindReactor))
	return group("reactors", "Look after what answers events, and the events that it has parked", status,
		c.parked("parked", "List the events that a reactor has put aside, in the order of the log",
			"An event that fails for long is parked, and later events of the same stream behind it: those have no error and\n"+
				"no tries. "+c.quote("reactors resume")+" has them tried again.", reactor.Parking.Parked),
		c.parked("skipped", "List the events that a reactor was not to handle, the last ten thousand",
			"A reaction decides so, or "+c.quote("reactors skip")+".", reactor.Parking.Skipped),
		c.resumeParked(), c.parkFailing(), c.skipOfReactor())
}

// quote returns a command as it is typed, in quotes.
func (c *Commands) quote(command string) string { return "'" + c.config.Program + " " + command + "'" }

// examples returns commands as they are typed, each on a line.
func (c *Commands) examples(commands ...string) (lines string) {
	projection := "accounts"
	if len(c.config.Projections) > 0 {
		projection = c.config.Projections[0]
	}
	for i, command := range commands {
		if i > 0 {
			lines += "\n"
		}
		lines += "  " + c.config.Program + " " + strings.ReplaceAll(command, " accounts", " "+projection)
	}
	return lines
}
