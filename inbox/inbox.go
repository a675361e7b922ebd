package inbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview"
)

// Inbox is a reactor to another context's events. It has all that a [reactor.Reactor] has. Of
// several nodes that run an inbox of one name, one receives and one reacts, not necessarily
// the same.
type Inbox struct {
	*reactor.Reactor
	log     *log
	config  consumer.Config
	manager *readview.Manager
}

// New returns a reactor to the events that a feed brings, in the types of the feed's registry.
// All its tables are in the database that pool reaches: for what [reactor.OnTx] does, the
// one that has one's own log. [reactor.Config.Committed] is that log's Wake. It begins with the
// first event of the other context's history. A reaction that is added later, or to what the other context
// publishes only later, begins with what comes from then on, as that of a reactor at home does; for what was
// before make another inbox. StartAtHead of the config is refused, as nobody here knows the head of the other log.
// The error names every problem.
func New(pool *pgxpool.Pool, feed readview.Feed, config reactor.Config, reactions ...reactor.Reaction) (*Inbox, error) {
	problems := []error{feed.Validate()}
	if config.StartAtHead {
		problems = append(problems, errors.New("reactor.Config: StartAtHead is not possible: nobody here knows the other log's head"))
	}
	if len(ReceptionPrefix)+len(config.Name) > eventsourced.MaxName {
		problems = append(problems, fmt.Errorf("reactor.Config: Name needs 1 to %d bytes, for an inbox", eventsourced.MaxName-len(ReceptionPrefix)))
	}
	l := &log{registry: feed.Registry, name: config.Name, listeners: map[chan struct{}]struct{}{}, told: map[string]bool{}}
	it, err := reactor.New(l, pool, config, reactions...)
	if err := errors.Join(append(problems, err)...); err != nil {
		return nil, fmt.Errorf("inbox %q: %w", config.Name, err)
	}
	l.store = consumer.NewStore(pool, config.Config)
	for _, reaction := range reactions {
		name, _ := feed.Registry.NameOf(reaction.Type())
		l.names = append(l.names, feed.Registry.StoredNames(name)...)
	}
	i := &Inbox{Reactor: it, log: l, config: config.Config.WithDefaults()}
	receiving := i.config
	receiving.Observer, receiving.BackOff = waking{receiving.Observer, l}, config.BackOff
	if i.manager, err = readview.NewManager(nil, nil, pool, readview.Config{Config: receiving}); err != nil {
		return nil, fmt.Errorf("inbox %q: %w", config.Name, err)
	}
	reception := readview.Projection{
		Name: l.reception(), Reset: readview.ResetFunc(func(context.Context, readview.Tx) error { return nil }), AcceptNewEvents: true,
	}
	for _, reaction := range reactions {
		reception.Handlers = append(reception.Handlers, readview.OnType(reaction.Type(), l.receive))
	}
	if err := i.manager.AddRemote(reception, feed); err != nil {
		return nil, fmt.Errorf("inbox %q: %w", config.Name, err)
	}
	return i, nil
}

// Name returns the name that the reactor was configured with.
func (i *Inbox) Name() string { return i.log.name }

// Run receives events and handles them until ctx ends, and returns nil. It is called once.
func (i *Inbox) Run(ctx context.Context) error {
	pruner{i}.warn(ctx) // before any is passed over
	return consumer.Run(ctx, i.manager, pruner{i}, i.Reactor)
}

// pruner deletes now and then what has been handled.
type pruner struct{ *Inbox }

// pruneEvery is how often, and warnEvery how often it looks for what has no reaction: another program may receive such while this one reacts.
const (
	pruneEvery = 5 * time.Second
	warnEvery  = time.Minute
)

func (p pruner) warn(ctx context.Context) {
	if err := p.log.warn(ctx, p.config.Logger); err != nil && ctx.Err() == nil {
		p.config.Logger.WarnContext(ctx, "inbox not looked at, it is tried again", "inbox", p.log.name, "error", err)
	}
}

func (p pruner) Run(ctx context.Context) error {
	warned := time.Now()
	for pause := p.config.PollInterval; wait.Sleep(ctx, pause); pause = max(pruneEvery, p.config.PollInterval) {
		if err := p.log.prune(ctx); err != nil && ctx.Err() == nil {
			p.config.Logger.WarnContext(ctx, "inbox not pruned, it is tried again", "inbox", p.log.name, "error", err)
		}
		if time.Since(warned) >= warnEvery {
			p.warn(ctx)
			warned = time.Now()
		}
	}
	return nil
}

// Status returns how the inbox stands, whichever nodes run it: the reactor, and what keeps events
// from coming, if nothing keeps the reactor.
func (i *Inbox) Status(ctx context.Context) (consumer.Status, error) {
	status, err := i.Reactor.Status(ctx)
	if err != nil {
		return status, err
	}
	reception, err := i.Reception(ctx)
	if err != nil {
		return status, err
	}
	return merge(status, reception), nil
}

// Reception returns how the projection stands that receives the events, the reaction to them aside. Its name is what the
// operator log has of a reset.
func (i *Inbox) Reception(ctx context.Context) (consumer.Status, error) {
	all, err := i.manager.Status(ctx)
	if err != nil {
		return consumer.Status{}, err
	}
	return all[0], nil
}

// lateAfter is how long events may wait elsewhere before the inbox is not live.
const lateAfter = 2 * time.Second

// merge adds what is to be known of the reception to a reactor's status.
func merge(status, reception consumer.Status) consumer.Status {
	status.Head = max(status.Head, reception.Head)
	status.Lag = max(status.Lag, reception.Lag)
	if reception.Behind < 0 {
		status.Behind = -1
	}
	elsewhere := reception.State == consumer.Standby && reception.Node != ""
	if elsewhere && reception.Behind < 0 && (reception.Position == 0 || reception.Lag > lateAfter) {
		reception.State, elsewhere = consumer.CatchingUp, false
	}
	if (status.State == consumer.Live || status.State == consumer.CatchingUp) && reception.State != consumer.Live && !elsewhere {
		status.State = reception.State
	}
	if status.Failure == nil {
		status.Failure = reception.Failure
	}
	status.Refused = reception.Refused
	return status
}

// Resume lets the inbox go on: what [reactor.Reactor.Resume] says, and a reception that has
// stopped.
func (i *Inbox) Resume(ctx context.Context) error {
	if err := i.Reactor.Resume(ctx); err != nil {
		return err
	}
	return i.manager.Resume(ctx, i.log.reception())
}

// Reset has the whole history received again. What was handled is not handled again. With package operate it is the
// command readviews reset.
func (i *Inbox) Reset(ctx context.Context) error {
	return i.manager.ResetProjection(ctx, i.log.reception())
}
