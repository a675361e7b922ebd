package readviewui

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

// Defaults of [Config].
const (
	DefaultTitle      = "Read views"
	DefaultTimeout    = 5 * time.Second
	DefaultMaxStreams = 50
)

// Config is what the page shows besides projections, and who may do what. The zero value
// works: it is a page of projections to look at.
type Config struct {
	// Title is the application's name, which stands on top of each page. Defaults to
	// [DefaultTitle].
	Title string

	// Authorize says who is asking, and whether they may do something: an error is the answer
	// 403, goes to the Logger, and is not shown. The actor goes into the operator log, and must not
	// be empty. It is also asked for each button that a page would show, so it must be
	// quick. Without it nobody may do anything but look. Who may look is for the handler
	// around the page to say.
	Authorize func(r *http.Request, action Action) (actor string, err error)

	// Redact returns an event as everybody may see it, who may look at the page: its Payload, Metadata and Tags
	// without personal data, and another AggregateID if that is personal. It must not change those that it is given, and
	// is also called without a Payload, and with no more than name, position and stream, for what stands in lists.
	// When it is set, these are hidden as well, unless OpenRows has the consumer: rows of tables, as in explanations,
	// verifications and dry-runs; statements with their arguments; errors at an event, also of parked and skipped ones
	// and in the operator log. Texts in the queries of other sessions are left out. Reasons that operators give are
	// shown, and so are errors that are no event's, stacks, and what an action answers who has done it. Who may [Reveal] sees all of an event, an aggregate or
	// a consumer after asking for it, which goes into the operator log. By default nothing is hidden.
	Redact func(event eventsourced.Recorded) eventsourced.Recorded

	// States has, by the name of an aggregate such as "domain.Band", what shows how one was after each of
	// its events, see [StatesOf]. By default the history of an aggregate is its events.
	States map[string]States

	// OpenRows are projections, reactors and relays, by name, whose rows and errors have nothing to hide, when Redact is set.
	OpenRows []string

	// Consumers has relays, reactors and consumer groups, whichever process runs them.
	// By default the page is without.
	Consumers *consumer.Store

	// Reactors are shown also when they have never run on this database.
	Reactors []*reactor.Reactor

	// Relay returns the relay with a name, so that events can be skipped that it can't publish. By
	// default they can't, from the page.
	Relay func(name string) (*relay.Relay, error)

	// CheckReset refuses a reset that would lose something. By default none does.
	CheckReset func(ctx context.Context) error

	// Hint says what to do about a failure, beyond what the page says; "" is nothing. By default there
	// is nothing more to say.
	Hint func(ctx context.Context, failure string) string

	// Serves says what users see of a projection, by its name: "Dates and times on the site". Then
	// the page can say who notices when it stands still.
	Serves map[string]string

	// Location is the time zone of what is shown. Defaults to UTC.
	Location *time.Location

	// Timeout limits what is asked of the database for a page. Defaults to [DefaultTimeout].
	Timeout time.Duration

	// MaxStreams is how many open pages are told of changes at the same time; others are as they were
	// when they were loaded. Defaults to [DefaultMaxStreams].
	MaxStreams int

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

// Action is something that [Config.Authorize] allows or refuses.
type Action string

// The actions. Each is one of the library's calls, named like its command.
const (
	Pause    Action = "pause"
	Resume   Action = "resume"
	Reset    Action = "reset"
	Rebuild  Action = "rebuild"
	Swap     Action = "swap" // a rebuild that swaps the tables
	Rollback Action = "rollback"
	Verify   Action = "verify"
	Explain  Action = "explain"
	DryRun   Action = "dry-run"
	Skip     Action = "skip"
	Park     Action = "park"
	Retry    Action = "retry"
	Reveal   Action = "reveal" // shows what Config.Redact hides

	// EndSession ends a session of the database's server that keeps appends, a projection or a rebuild waiting, or
	// cancels a projection's statement.
	EndSession Action = "end-session"
)

func (c Config) withDefaults() (Config, error) {
	var problems []error
	if c.Timeout < 0 {
		problems = append(problems, errors.New("Config.Timeout is negative"))
	}
	if c.MaxStreams < 0 {
		problems = append(problems, errors.New("Config.MaxStreams is negative"))
	}
	for i, r := range c.Reactors {
		if r == nil {
			problems = append(problems, fmt.Errorf("Config.Reactors[%d] is nil", i))
		}
	}
	for name, states := range c.States {
		if states == nil {
			problems = append(problems, fmt.Errorf("Config.States[%q] is nil", name))
		}
	}
	if c.Title == "" {
		c.Title = DefaultTitle
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = DefaultMaxStreams
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if len(problems) > 0 {
		return c, fmt.Errorf("%w: %w", ErrConfig, errors.Join(problems...))
	}
	return c, nil
}
