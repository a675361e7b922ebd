package messaging

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const (
	relayTopic = "$relay" // in the table consumers
	beginning  = ""       // in the table relay_topics: where the relay began
	reachedKey = "$relay" // there: the position that was saved with the others
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
// Status tells why.
type Relay struct {
	log       eventsourced.Log
	positions *Positions
	publisher message.Publisher
	config    RelayConfig
	follower  *follower
	tails     chan *tail
	reached   atomic.Int64                     // about the follower's position, for the replays
	sent      map[string]eventsourced.Position // the last message to each topic; of the follower's goroutine
	failing   bool                             // a failure is on record

	failpoint func(point string) // tests kill the process here
}

// NewRelay returns a relay of log. It sends nothing yet. While it runs, it uses up
// to three connections of the positions' pool for moments.
func NewRelay(log eventsourced.Log, positions *Positions, publisher message.Publisher, config RelayConfig) (*Relay, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	r := &Relay{
		log:       log,
		positions: positions,
		publisher: publisher,
		config:    config,
		follower:  newFollower(log, positions, config.following(), Consumer{Group: config.Name, Topic: relayTopic}),
		tails:     make(chan *tail, 1),
		failpoint: func(string) {},
	}
	r.follower.names = config.Names
	r.follower.pageEvents = config.GroupEvents
	if config.StartAtHead {
		r.follower.startAt = positions.start
	}
	r.follower.session = r.begin
	r.follower.between = r.between
	r.follower.handle = r.handle
	r.follower.skip = func(ctx context.Context, to eventsourced.Position) error { return r.save(ctx, to, maps.Clone(r.sent)) }
	return r, nil
}

// Run publishes until ctx ends, and returns nil. What is being published then may
// go on for [RelayConfig.DrainTimeout]. It is called once.
func (r *Relay) Run(ctx context.Context) error {
	r.follower.run(ctx)
	return nil
}

// Status returns how the relay stands, whichever node runs it.
func (r *Relay) Status(ctx context.Context) (Status, error) {
	return r.positions.status(ctx, r.log, r.follower.consumer)
}

// begin reads what was sent, and answers requests as long as the lease is held.
func (r *Relay) begin(ctx context.Context) (end func(), err error) {
	if r.sent, err = r.positions.topics(ctx, r.follower.consumer); err != nil {
		return nil, err
	}
	f := r.follower
	r.failing = true // perhaps, on another node
	if reached, known := r.sent[reachedKey]; !known || reached != f.position {
		// It is new, or somebody has set its position. What comes next does not
		// follow what was sent: who has not all up to here has to ask.
		for topic := range r.sent {
			r.sent[topic] = f.position
		}
		r.sent[beginning], r.sent[reachedKey] = f.position, f.position
		if err := r.positions.saveTopics(ctx, f.consumer, f.node, f.position, f.position, r.sent); err != nil {
			return nil, err
		}
	}
	r.reached.Store(int64(f.position))
	if r.config.Requests == nil {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	var replays sync.WaitGroup
	replays.Go(func() { r.answer(ctx) })
	return func() {
		cancel()
		replays.Wait()
	}, nil
}

// between is called between two groups.
func (r *Relay) between(ctx context.Context) error {
	r.reached.Store(int64(r.follower.position))
	r.serveTails(ctx)
	return nil
}

// handle publishes a group of events. Messages of one topic that stand in a row
// are published at once: Publish may send them together and wait once.
func (r *Relay) handle(ctx context.Context, events []eventsourced.Recorded) error {
	group := newGroup(r)
	for i := range events {
		err := group.add(ctx, events[i])
		if err == nil && i == len(events)-1 {
			err = group.publish(ctx)
		}
		if err != nil {
			saveErr := r.save(ctx, group.done, group.sent) // what is out need not go out again
			return errors.Join(r.fail(ctx, err), saveErr)
		}
	}
	r.failpoint("published")
	if err := r.save(ctx, group.done, group.sent); err != nil {
		return err
	}
	r.failpoint("saved")
	return r.succeed(ctx)
}

// save moves the position, and with it what was sent.
func (r *Relay) save(ctx context.Context, to eventsourced.Position, sent map[string]eventsourced.Position) error {
	f := r.follower
	if to == f.position {
		return nil
	}
	sent[reachedKey] = to
	changed := maps.Clone(sent)
	maps.DeleteFunc(changed, func(topic string, position eventsourced.Position) bool { return r.sent[topic] == position })
	err := f.saveBy(ctx, to, func(ctx context.Context) error {
		return r.positions.saveTopics(ctx, f.consumer, f.node, f.position, to, changed)
	})
	if err == nil {
		r.sent = sent
	}
	return err
}

// fail puts on record why the relay does not get on, with the first failure in a
// row, and returns the error.
func (r *Relay) fail(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return cause
	}
	var failed *relayError
	var event *eventsourced.Recorded
	if errors.As(cause, &failed) {
		event = &failed.event
	}
	err := detached(ctx, func(ctx context.Context) error {
		return r.positions.fail(ctx, r.follower.consumer, r.follower.node, event, cause, false)
	})
	r.failing = true
	return errors.Join(cause, err)
}

func (r *Relay) succeed(ctx context.Context) error {
	if !r.failing {
		return nil
	}
	err := detached(ctx, func(ctx context.Context) error { return r.positions.recover(ctx, r.follower.consumer) })
	r.failing = err != nil
	return err
}

// relayError is an event that can't become a message.
type relayError struct {
	event eventsourced.Recorded
	err   error
}

func (e *relayError) Error() string {
	return fmt.Sprintf("relay %s of %s, position %d, id %s: %v", e.event.Name, e.event.Stream, e.event.Position, e.event.ID, e.err)
}

func (e *relayError) Unwrap() error { return e.err }

// outgoing returns an event in the form in which it leaves the context, and its
// topic, "" for one that stays inside. It survives functions that panic.
func (r *Relay) outgoing(recorded eventsourced.Recorded) (event eventsourced.Recorded, topic string, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panic: %v", value)
		}
		if err != nil {
			err = &relayError{event: recorded, err: err}
		}
	}()
	if event, err = r.log.Registry().Upcast(recorded); err != nil {
		return event, "", err
	}
	if r.config.Translate != nil {
		translated, err := r.config.Translate(event)
		if err != nil || translated.Name == "" {
			return event, "", err
		}
		event.Name, event.SchemaVersion = translated.Name, max(translated.SchemaVersion, 1)
		event.Payload, event.Metadata = translated.Payload, translated.Metadata
		if err := checkTranslated(event); err != nil {
			return event, "", err
		}
	}
	if event.Metadata[eventsourced.MetaCorrelation] == "" { // the chain begins with it
		event.Metadata = maps.Clone(event.Metadata)
		if event.Metadata == nil {
			event.Metadata = eventsourced.Metadata{}
		}
		event.Metadata[eventsourced.MetaCorrelation] = event.ID.String()
	}
	return event, r.config.Topic(recorded), nil
}

// checkTranslated finds what no consumer could make anything of.
func checkTranslated(event eventsourced.Recorded) error {
	err := eventsourced.ValidateAppend(event.Stream, []eventsourced.EventData{event.EventData}, math.MaxInt)
	if !json.Valid(event.Payload) {
		err = errors.Join(err, errors.New("the payload is not JSON"))
	}
	if err != nil {
		return fmt.Errorf("what Translate returned: %w", err)
	}
	return nil
}

// group collects messages of one topic.
type group struct {
	relay    *Relay
	topic    string
	messages []*message.Message
	last     eventsourced.Position            // of the messages
	passed   eventsourced.Position            // all up to it is done once the messages are out
	done     eventsourced.Position            // all up to it is out
	sent     map[string]eventsourced.Position // the last one out to each topic
}

func newGroup(r *Relay) *group {
	return &group{relay: r, passed: r.follower.position, done: r.follower.position, sent: maps.Clone(r.sent)}
}

// add takes an event into the group, after publishing it if the event belongs to
// another one.
func (g *group) add(ctx context.Context, recorded eventsourced.Recorded) error {
	event, topic, err := g.relay.outgoing(recorded)
	if err != nil {
		return errors.Join(err, g.publish(ctx))
	}
	if topic == "" {
		g.passed = recorded.Position
		return nil
	}
	if topic != g.topic {
		if err := g.publish(ctx); err != nil {
			return err
		}
		g.topic, g.last = topic, g.relay.lastSent(g.sent, topic)
	}
	msg, err := marshal(event)
	if err != nil {
		return errors.Join(&relayError{event: recorded, err: err}, g.publish(ctx))
	}
	msg.Metadata[MetaPrevious] = formatPosition(g.last)
	g.messages = append(g.messages, msg)
	g.last, g.passed = event.Position, event.Position
	return nil
}

// publish sends the messages and waits until they are safe.
func (g *group) publish(ctx context.Context) error {
	if len(g.messages) > 0 {
		g.relay.failpoint("publishing")
		if err := g.relay.publish(ctx, g.topic, g.messages...); err != nil {
			return err
		}
		g.sent[g.topic] = g.last
		g.messages, g.topic = nil, ""
	}
	g.done = g.passed
	return nil
}

// lastSent returns the position of the last message to a topic, where the relay
// began if there was none.
func (r *Relay) lastSent(sent map[string]eventsourced.Position, topic string) eventsourced.Position {
	if position, known := sent[topic]; known {
		return position
	}
	return sent[beginning]
}

func (r *Relay) publish(ctx context.Context, topic string, messages ...*message.Message) error {
	ctx, cancel := r.follower.draining(ctx)
	defer cancel()
	for _, msg := range messages {
		msg.SetContext(ctx)
	}
	if err := r.publisher.Publish(topic, messages...); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}
