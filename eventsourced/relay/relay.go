package relay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// In the table relay_topics.
const (
	beginning  = ""       // where the relay began
	reachedKey = "$relay" // the position that was saved with the others
)

// Relay publishes the events of a log to other bounded contexts, by any Watermill
// Publisher: in order, at least once, with stable message ids. Its position
// advances only after Publish has returned, which has to mean that the messages
// are safe (package amqpbus waits for the broker's confirms).
//
// Of several nodes that run a relay of one name, one publishes and the others
// stand by. Should two publish for a moment, because one was cut off and does not
// know it, messages come twice; see the package documentation on what consumers
// have to do.
//
// What can't be published is tried again for ever, and nothing after it is
// published before: a broker that is down, and an event that can't be translated.
// Status tells why, and [Relay.Skip] leaves such an event out.
//
// Its methods are safe for concurrent use, also while it does not run here.
type Relay struct {
	log          eventsourced.Log
	store        *consumer.Store
	publisher    message.Publisher
	config       Config
	names        []string // under which the events are stored
	follower     *consumer.Follower
	publications atomic.Pointer[publications] // not before there is a lease
	line         *line
	reached      atomic.Int64                                   // about the follower's position, for answers
	skips        atomic.Pointer[map[eventsourced.Position]bool] // what is left out
	stuck        *consumer.WorkError                            // the event that can't be published now; of the follower's goroutine
	sizes        workingSizes                                   // of pages, when some were refused
	beside       trouble                                        // with requests and their answers
	sent         map[string]eventsourced.Position               // the last message to each topic; of the follower's goroutine
	failing      bool                                           // the last group was not published; of the follower's goroutine

	failpoint func(point string) // tests kill the process here
}

// New returns a relay of log, whose position is in the table consumers that pool reaches. It
// sends nothing yet. While it runs, it uses up to three connections of the pool for moments.
// The error names every problem.
func New(log eventsourced.Log, pool *pgxpool.Pool, publisher message.Publisher, config Config) (*Relay, error) {
	problems := append(need.Log("relay.New", log), config.problems(log)...)
	if pool == nil {
		problems = append(problems, errors.New("relay.New: the pool is nil"))
	}
	if need.Nil(publisher) {
		problems = append(problems, errors.New("relay.New: the publisher is nil"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	if checker, checks := publisher.(interface {
		CheckReply(topic, replyTo string) error
	}); checks && config.CheckReply == nil {
		config.CheckReply = checker.CheckReply
	}
	r := &Relay{
		log:       log,
		store:     consumer.NewStore(pool, config.Config),
		publisher: publisher,
		config:    config,
		names:     log.Registry().StoredNames(config.Names...),
		line:      newLine(),
		failpoint: func(string) {},
	}
	r.follower = consumer.NewFollower(log, r.store, config.Config, consumer.Work{
		ID:          consumer.ID{Kind: consumer.KindRelay, Name: config.Name},
		Names:       r.names,
		PageEvents:  config.GroupEvents,
		StartAtHead: config.StartAtHead,
		Handle:      r.handle,
		Begin:       r.begin,
		Between:     r.between,
		Skip:        func(ctx context.Context, to eventsourced.Position) error { return r.save(ctx, to, maps.Clone(r.sent)) },
	})
	return r, nil
}

// Run publishes until ctx ends, and returns nil. What is being published then may
// go on for [consumer.Config.DrainTimeout], and is not waited for much longer. It is
// called once.
func (r *Relay) Run(ctx context.Context) error {
	r.follower.Run(ctx)
	return nil
}

// Status returns how the relay stands, whichever node runs it.
func (r *Relay) Status(ctx context.Context) (consumer.Status, error) { return r.follower.Status(ctx) }

// Pause keeps the relay from publishing, on all nodes, until it is resumed: see
// [consumer.Store.Pause]. What is being published then ends first.
func (r *Relay) Pause(ctx context.Context) error { return r.follower.Pause(ctx) }

// Resume lets a relay go on that is paused, or that has stopped because it is ahead of the
// log, see [consumer.Ahead], from its position, unless it still is.
func (r *Relay) Resume(ctx context.Context) error { return r.follower.Resume(ctx) }

// begin reads what was sent, and answers requests as long as the lease is held.
func (r *Relay) begin(ctx context.Context) (end func(), err error) {
	if r.sent, err = readTopics(ctx, r.store, r.config.Name); err != nil {
		return nil, err
	}
	if err := r.loadSkips(ctx); err != nil {
		return nil, err
	}
	if err := r.publishAs(ctx); err != nil {
		return nil, err
	}
	r.failing = false
	f := r.follower
	if reached, known := r.sent[reachedKey]; !known || reached != f.Position() {
		// It is new, or somebody has set its position. What comes next does not
		// follow what was sent: who has not all up to here has to ask.
		for topic := range r.sent {
			r.sent[topic] = f.Position()
		}
		r.sent[beginning], r.sent[reachedKey] = f.Position(), f.Position()
		if err := r.saveTopics(ctx, f.Position(), r.sent); err != nil {
			return nil, err
		}
	}
	r.reached.Store(int64(f.Position()))
	r.stuck = nil
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { r.tell(ctx) })
	if r.config.Requests != nil {
		r.line.gather()
		beside.Go(func() { r.receive(ctx) })
		beside.Go(func() { r.answer(ctx) })
	}
	return func() {
		cancel()
		beside.Wait()
	}, nil
}

// between is called between two groups.
func (r *Relay) between(ctx context.Context) error {
	r.reached.Store(int64(r.follower.Position()))
	for _, w := range r.line.lasts() {
		r.serve(ctx, w, r.follower.Position(), true)
	}
	return nil
}

// handle publishes a group of events. Messages of one topic that stand in a row
// are published at once: Publish may send them together and wait once.
func (r *Relay) handle(ctx context.Context, events []eventsourced.Recorded) (err error) {
	if r.failing { // somebody may have said since then what is to be left out
		if err := r.loadSkips(ctx); err != nil {
			return err
		}
	}
	defer func() { r.failing = err != nil }()
	group := newGroup(r)
	for i := range events {
		err := group.add(ctx, events[i])
		if err == nil && i == len(events)-1 {
			err = group.publish(ctx)
		}
		if err != nil {
			r.stuck = nil
			if errors.As(err, &r.stuck); ctx.Err() != nil {
				r.stuck = nil
			}
			saveErr := r.save(ctx, group.done, group.sent) // what is out need not go out again
			return errors.Join(err, saveErr)
		}
	}
	r.stuck = nil
	r.failpoint("published")
	if err := r.save(ctx, group.done, group.sent); err != nil {
		return err
	}
	r.failpoint("saved")
	return nil
}

// save moves the position, and with it what was sent.
func (r *Relay) save(ctx context.Context, to eventsourced.Position, sent map[string]eventsourced.Position) error {
	f := r.follower
	if to == f.Position() {
		return nil
	}
	sent[reachedKey] = to
	changed := maps.Clone(sent)
	maps.DeleteFunc(changed, func(topic string, position eventsourced.Position) bool { return r.sent[topic] == position })
	err := f.SaveBy(ctx, to, func(ctx context.Context) error {
		return r.saveTopics(ctx, to, changed)
	})
	if err == nil {
		r.sent = sent
	}
	return err
}

func (r *Relay) publish(ctx context.Context, p consumer.Part, event *eventsourced.Recorded, topic string, messages ...*message.Message) error {
	err := r.follower.Guard(ctx, p, event, "publishing to "+topic, func(ctx context.Context) error {
		for _, msg := range messages {
			msg.SetContext(ctx)
		}
		return r.publisher.Publish(topic, messages...)
	})
	if err != nil && !strings.HasPrefix(err.Error(), "publish to "+topic) { // publishers of ours say it themselves
		err = fmt.Errorf("publish to %s: %w", topic, err)
	}
	return err
}
