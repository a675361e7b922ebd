package messaging

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Marshaler makes Watermill's cqrs.EventProcessor, EventGroupProcessor and EventBus
// work with the events of a registry, under the names that they have there. A handler
// gets an event with its aggregate's id and its time, and in today's schema version.
// An event that is published goes to the stream of its own aggregate. It implements
// cqrs.CommandEventMarshaler and is safe for concurrent use.
//
// To publish, give the event its base:
//
//	bus.Publish(ctx, &Deposited{BaseEvent: eventsourced.BaseEvent{EventAggregateId: "anna"}, Amount: 5})
type Marshaler struct {
	registry *eventsourced.Registry
	config   MarshalerConfig
	names    map[string]string // today's, by those that events may have
}

// MarshalerConfig is the optional part of a [Marshaler]. The zero value works for those
// who only receive.
type MarshalerConfig struct {
	// AggregateName returns the kind of aggregate that an event is of, such as
	// "bank.Account", as its repository has it; "" when there is none. Without it, or
	// a name, nothing is published: an event in a stream that nobody reads is lost.
	AggregateName func(eventsourced.Event) string
}

// NewMarshaler returns a marshaler of the registry's events. It returns an error without a registry.
func NewMarshaler(registry *eventsourced.Registry, config MarshalerConfig) (*Marshaler, error) {
	if registry == nil {
		return nil, errors.New("messaging.NewMarshaler: the registry is nil")
	}
	return &Marshaler{registry: registry, config: config, names: namesToday(registry)}, nil
}

// Marshal makes a message of an event, for a [Publisher]: with a new UUID, which is
// the event's id, and the current schema version. An event without a time occurs now.
//
// It returns [eventsourced.ErrUnknownEvent] for what is no event of the registry, and
// [ErrNoAggregate] for an event of which it does not know the aggregate.
func (m *Marshaler) Marshal(v any) (*message.Message, error) {
	event, ok := v.(eventsourced.Event)
	name, known := m.registry.NameOf(reflect.TypeOf(v))
	if !ok || !known {
		return nil, fmt.Errorf("marshal %T: %w: it has to be a pointer to a type of the registry", v, eventsourced.ErrUnknownEvent)
	}
	if reflect.ValueOf(v).IsNil() {
		return nil, fmt.Errorf("marshal %T: %w: it is nil", v, eventsourced.ErrInvalid)
	}
	stream := eventsourced.Stream{AggregateID: event.AggregateID()}
	if m.config.AggregateName != nil {
		stream.AggregateName = m.config.AggregateName(event)
	}
	if stream.AggregateID == "" || stream.AggregateName == "" {
		return nil, fmt.Errorf("marshal %s: %w: its id is %q and its name %q; set BaseEvent.EventAggregateId and MarshalerConfig.AggregateName",
			name, ErrNoAggregate, stream.AggregateID, stream.AggregateName)
	}
	encoded, err := m.registry.Encode(context.Background(), event)
	if err != nil {
		return nil, err
	}
	if encoded[0].Time.IsZero() {
		encoded[0].Time = time.Now()
	}
	encoded[0].Time = encoded[0].Time.UTC().Truncate(time.Microsecond)
	msg, err := MarshalRecorded(eventsourced.Recorded{EventData: encoded[0], Stream: stream})
	if err != nil {
		return nil, err
	}
	delete(msg.Metadata, MetaVersion) // it is not in the log yet
	delete(msg.Metadata, MetaPosition)
	return msg, nil
}

// Unmarshal sets the event v, a pointer to a type of the registry, to that of the
// message, be it one of a [Subscriber], of a relay or of an EventBus. It returns
// [ErrMalformed], [ErrWireVersion], and what [eventsourced.Registry.Decode] returns.
func (m *Marshaler) Unmarshal(msg *message.Message, v any) error {
	if err := CheckWireVersion(msg); err != nil {
		return err
	}
	r := reader{msg: msg}
	recorded := eventsourced.Recorded{
		EventData: r.event(eventID(msg.Metadata[MetaName], msg), defaults{schemaVersion: "1"}),
		Stream:    eventsourced.Stream{AggregateName: msg.Metadata[MetaAggregateName], AggregateID: r.text(MetaAggregateID, "")},
	}
	if err := r.err(); err != nil {
		return err
	}
	events, err := m.registry.Decode(msg.Context(), recorded)
	if err != nil {
		return err
	}
	to := reflect.ValueOf(v)
	if len(events) != 1 {
		return fmt.Errorf("message %.40q: %w: it is a %s, which has become %d events", msg.UUID, ErrMalformed, recorded.Name, len(events))
	}
	from := reflect.ValueOf(events[0])
	if from.Type() != to.Type() || to.IsNil() {
		return fmt.Errorf("message %.40q: %w: it is a %s, which is a %T and no %T", msg.UUID, ErrMalformed, recorded.Name, events[0], v)
	}
	to.Elem().Set(from.Elem())
	return nil
}

// Name returns the registered name of an event, given as a pointer to its type. It
// panics for what is no event of the registry: a handler of it would never be called.
func (m *Marshaler) Name(v any) string {
	name, known := m.registry.NameOf(reflect.TypeOf(v))
	if !known {
		panic(fmt.Sprintf("messaging.Marshaler: %T is no event of the registry", v))
	}
	return name
}

// NameFromMessage returns the name of a message's event: that which it has today, if
// its type had another one when it was sent.
func (m *Marshaler) NameFromMessage(msg *message.Message) string {
	name := msg.Metadata[MetaName]
	if today, known := m.names[name]; known {
		return today
	}
	return name
}

// namesToday returns the names by those that they had. One that has become several has none.
func namesToday(registry *eventsourced.Registry) map[string]string {
	names := map[string]string{}
	several := map[string]bool{}
	for _, today := range registry.Names() {
		for _, stored := range registry.StoredNames(today) {
			several[stored] = several[stored] || names[stored] != ""
			names[stored] = today
		}
	}
	for name := range several {
		if several[name] {
			delete(names, name)
		}
	}
	return names
}
