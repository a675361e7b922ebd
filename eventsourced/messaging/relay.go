package messaging

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
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

	failpoint func(point string) // tests kill the process here
}

// NewRelay returns a relay of log. It sends nothing yet. While it runs, it uses up
// to three connections of the positions' pool for moments.
func NewRelay(log eventsourced.Log, positions *Positions, publisher message.Publisher, config RelayConfig) (*Relay, error) {
	problems := append(logProblems("NewRelay", log), config.problems(log)...)
	if positions == nil {
		problems = append(problems, errors.New("messaging.NewRelay: the positions are nil"))
	}
	if isNil(publisher) {
		problems = append(problems, errors.New("messaging.NewRelay: the publisher is nil"))
	}
	if err := errors.Join(problems...); err != nil {
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
	r.follower.names = log.Registry().StoredNames(config.Names...)
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
// go on for [RelayConfig.DrainTimeout], and is not waited for much longer. It is
// called once.
func (r *Relay) Run(ctx context.Context) error {
	r.follower.run(ctx)
	return nil
}

// Status returns how the relay stands, whichever node runs it.
func (r *Relay) Status(ctx context.Context) (Status, error) {
	return r.follower.status(ctx)
}

// Resume lets a relay go on that has stopped because it is ahead of the log, see
// [Ahead], from its position, unless it still is.
func (r *Relay) Resume(ctx context.Context) error { return r.follower.resume(ctx) }

// begin reads what was sent, and answers requests as long as the lease is held.
func (r *Relay) begin(ctx context.Context) (end func(), err error) {
	if r.sent, err = r.positions.topics(ctx, r.follower.consumer); err != nil {
		return nil, err
	}
	f := r.follower
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
			return errors.Join(err, saveErr)
		}
	}
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

var errNoTopic = errors.New("it has no topic; it is Translate that keeps events inside")

// outgoing is an event in the form in which it leaves the context, and its topic.
type outgoing struct {
	event eventsourced.Recorded
	topic string
}

// outgoing returns how an event leaves: not at all, if all of it stays inside, and in parts
// if it was split. The error is about the event: it survives functions that panic.
func (r *Relay) outgoing(ctx context.Context, p part, recorded eventsourced.Recorded) ([]outgoing, error) {
	made := make(chan []outgoing, 1)
	err := r.follower.guard(ctx, p, &recorded, "Translate or Topic", func(ctx context.Context) error {
		out, err := r.translateAll(ctx, recorded)
		made <- out
		return err
	})
	if err != nil {
		return nil, &eventError{recorded, fmt.Errorf("relay %s of %s, position %d, id %s: %w",
			recorded.Name, recorded.Stream, recorded.Position, recorded.ID, err)}
	}
	return <-made, nil
}

func (r *Relay) translateAll(ctx context.Context, recorded eventsourced.Recorded) (all []outgoing, err error) {
	parts, err := r.log.Registry().Upcast(ctx, recorded)
	if err != nil {
		return nil, err
	}
	for _, part := range parts {
		if len(r.config.Names) > 0 && !slices.Contains(r.config.Names, part.Name) {
			continue
		}
		out, err := r.translate(part)
		if err != nil {
			return nil, err
		}
		if out.topic != "" {
			all = append(all, out)
		}
	}
	return all, nil
}

// translate returns how an event in today's form leaves, without a topic if it does not.
func (r *Relay) translate(today eventsourced.Recorded) (out outgoing, err error) {
	event := today
	if r.config.Translate != nil {
		translated, err := r.config.Translate(event)
		if err != nil || translated.Name == "" {
			return out, err
		}
		event.Name, event.SchemaVersion = translated.Name, max(translated.SchemaVersion, 1)
		event.Payload, event.Metadata = translated.Payload, translated.Metadata
		if err := checkTranslated(event); err != nil {
			return out, err
		}
	}
	if event.Metadata[eventsourced.MetaCorrelation] == "" { // the chain begins with it
		event.Metadata = maps.Clone(event.Metadata)
		if event.Metadata == nil {
			event.Metadata = eventsourced.Metadata{}
		}
		event.Metadata[eventsourced.MetaCorrelation] = event.ID.String()
	}
	topic := r.config.Topic(today)
	if topic == "" {
		return out, errNoTopic
	}
	return outgoing{event, topic}, nil
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
	first    eventsourced.Recorded            // of the messages
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
	out, err := g.relay.outgoing(ctx, ofEvents, recorded)
	if err != nil {
		return errors.Join(err, g.publish(ctx))
	}
	for len(out) > 0 { // once for each topic, mostly one
		topic := out[0].topic
		var parts []eventsourced.Recorded
		out = slices.DeleteFunc(out, func(o outgoing) bool {
			if o.topic == topic {
				parts = append(parts, o.event)
			}
			return o.topic == topic
		})
		if err := g.addTo(ctx, topic, recorded, parts); err != nil {
			return err
		}
	}
	g.passed = recorded.Position
	return nil
}

// addTo takes what of an event goes to a topic into the group, as one message: a consumer
// that keeps a position takes all of it or nothing.
func (g *group) addTo(ctx context.Context, topic string, recorded eventsourced.Recorded, parts []eventsourced.Recorded) error {
	if topic != g.topic {
		if err := g.publish(ctx); err != nil {
			return err
		}
		g.topic, g.last = topic, g.relay.lastSent(g.sent, topic)
	}
	msg, err := marshalParts(g.last, parts)
	if err != nil {
		return errors.Join(&eventError{recorded, err}, g.publish(ctx))
	}
	if len(g.messages) == 0 {
		g.first = recorded
	}
	msg.Metadata[MetaPrevious] = formatPosition(g.last)
	g.messages = append(g.messages, msg)
	g.last = recorded.Position
	return nil
}

// marshalParts makes one message of an event, or of several of its parts: a page, with the
// id of the first.
func marshalParts(after eventsourced.Position, parts []eventsourced.Recorded) (*message.Message, error) {
	if len(parts) == 1 {
		return marshal(parts[0])
	}
	msg, err := MarshalPage(Page{After: after, UpTo: parts[0].Position, Events: parts})
	if err == nil {
		msg.UUID = parts[0].ID.String()
	}
	return msg, err
}

// publish sends the messages and waits until they are safe.
func (g *group) publish(ctx context.Context) error {
	if len(g.messages) > 0 {
		g.relay.failpoint("publishing")
		if err := g.relay.publish(ctx, ofEvents, &g.first, g.topic, g.messages...); err != nil {
			return &eventError{g.first, err}
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

func (r *Relay) publish(ctx context.Context, p part, event *eventsourced.Recorded, topic string, messages ...*message.Message) error {
	err := r.follower.guard(ctx, p, event, "publishing to "+topic, func(ctx context.Context) error {
		for _, msg := range messages {
			msg.SetContext(ctx)
		}
		return r.publisher.Publish(topic, messages...)
	})
	if err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}
