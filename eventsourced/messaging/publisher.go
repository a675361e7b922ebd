package messaging

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// Publisher appends messages to a log as events, so that what speaks Watermill can
// write to it: cqrs.EventBus, a router's handler, a consumer of another broker. A
// domain's own changes go through an [eventsourced.Repository], which knows what
// version they were decided on. It is safe for concurrent use.
//
// A message becomes this event:
//
//   - its name is the topic. A message that names itself differently, in
//     [MetaName], is refused;
//   - its stream is that of [MetaAggregateName] and [MetaAggregateID]. An event of the
//     registry has to have both: see [Marshaler]. Any other message is in a stream of
//     its own without them, named by the topic and its UUID. The version is the
//     stream's next; [MetaVersion] and [MetaPosition] of the message don't matter;
//   - its schema version is [MetaSchemaVersion], by default 1, and its time
//     [MetaOccurredAt], by default now;
//   - its id is the message's UUID, or [MetaEventID], if the message has MetaName
//     and that is a UUID of RFC 9562: it is this event, wherever it turns up. Any
//     other message's UUID may have any form and counts within its topic only, as
//     Watermill has it; the event's id is derived from both;
//   - its payload is the message's. What is not JSON is stored as a JSON string in
//     base64, which is a third longer and has a mark in the metadata that
//     [Marshal] undoes;
//   - its metadata is the rest of the message's.
//
// So a [Subscriber] gets the message with the UUID, payload and metadata that it
// was published with.
type Publisher struct {
	store      eventsourced.Store
	registered map[string]bool

	mu     sync.RWMutex // held for reading while publishing
	closed bool
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher to store. It panics without one.
func NewPublisher(store eventsourced.Store) *Publisher {
	if need.Nil(store) || store.Registry() == nil {
		panic("messaging.NewPublisher: the store is nil, or has no registry")
	}
	p := &Publisher{store: store, registered: map[string]bool{}}
	for _, name := range store.Registry().Names() {
		p.registered[name] = true
	}
	return p
}

// Publish appends each message on its own, in order, under its own context, and
// stops at the first that fails. Publishing a message to the same topic again
// stores it once, so after an error all may be published again.
//
// Errors are those of [eventsourced.Appender], [ErrClosed], and [ErrMalformed] if
// any of the messages can't become an event; nothing is stored then. That includes
// what the registry can't decode, of an event that it knows: in the log it would
// stop every consumer.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return fmt.Errorf("publish to %s: %w", topic, ErrClosed)
	}
	events := make([]eventsourced.Recorded, len(messages))
	for i, msg := range messages {
		var err error
		if events[i], err = p.event(topic, msg); err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
	}
	for i, event := range events {
		_, err := p.store.Append(messages[i].Context(), event.Stream, eventsourced.Any, []eventsourced.EventData{event.EventData})
		if err != nil {
			return fmt.Errorf("publish to %s: message %.40q: %w", topic, messages[i].UUID, err)
		}
	}
	return nil
}

// Close waits for what is being published. It may be called again.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

// event returns what a message is stored as.
func (p *Publisher) event(topic string, msg *message.Message) (eventsourced.Recorded, error) {
	r := reader{msg: msg}
	own := eventsourced.Stream{AggregateName: topic, AggregateID: msg.UUID}
	if p.registered[topic] {
		own = eventsourced.Stream{} // nobody would look for it there
	}
	event := eventsourced.Recorded{
		EventData: r.event(eventID(topic, msg), defaults{
			name:          topic,
			schemaVersion: strconv.Itoa(max(p.store.Registry().SchemaVersion(topic), 1)),
			occurredAt:    time.Now().Format(time.RFC3339Nano),
		}),
		Stream: eventsourced.Stream{
			AggregateName: r.text(MetaAggregateName, own.AggregateName),
			AggregateID:   r.text(MetaAggregateID, own.AggregateID),
		},
	}
	event.Time = event.Time.Truncate(time.Microsecond)
	if event.Name != topic {
		r.problems = append(r.problems, fmt.Errorf("metadata %q: %.200q, but the topic is %.200q", MetaName, event.Name, topic))
	}
	if topic == AllEvents {
		r.problems = append(r.problems, fmt.Errorf("the topic %q is for subscribing", topic))
	}
	if msg.UUID == "" {
		r.problems = append(r.problems, errors.New("it has no UUID to know it by when it comes again"))
	}
	for key, value := range event.Metadata {
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			r.problems = append(r.problems, fmt.Errorf("metadata %q: %.40q is not UTF-8", key, value))
		}
	}
	if p.registered[topic] {
		if _, err := p.store.Registry().Decode(msg.Context(), event); err != nil {
			r.problems = append(r.problems, err)
		}
	}
	return event, r.err()
}

// eventID returns the id of the event that a message becomes, always the same.
func eventID(topic string, msg *message.Message) eventsourced.EventID {
	if msg.Metadata[MetaName] != "" {
		id, err := eventsourced.ParseEventID(cmp.Or(msg.Metadata[MetaEventID], msg.UUID))
		if err == nil && !id.IsZero() {
			return id
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", len(topic), topic, msg.UUID))
	id := eventsourced.EventID(sum[:16])
	id[6] = id[6]&0x0f | 0x80 // a UUID of version 8: of our own making
	id[8] = id[8]&0x3f | 0x80
	return id
}
