package relay

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// group collects messages of one topic.
type group struct {
	relay    *Relay
	topic    string
	messages []*message.Message
	causes   []eventsourced.Metadata          // of their events
	first    eventsourced.Recorded            // of the messages
	last     eventsourced.Position            // of the messages
	passed   eventsourced.Position            // all up to it is done once the messages are out
	done     eventsourced.Position            // all up to it is out
	sent     map[string]eventsourced.Position // the last one out to each topic
}

func newGroup(r *Relay) *group {
	return &group{relay: r, passed: r.follower.Position(), done: r.follower.Position(), sent: maps.Clone(r.sent)}
}

// add takes an event into the group, after publishing it if the event belongs to
// another one.
func (g *group) add(ctx context.Context, recorded eventsourced.Recorded) error {
	out, err := g.relay.outgoing(ctx, consumer.PartEvents, recorded)
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
	if topic != g.topic || g.relay.failing { // alone: then it is known which one can't be published
		if err := g.publish(ctx); err != nil {
			return err
		}
		g.topic, g.last = topic, g.relay.lastSent(g.sent, topic)
	}
	msg, err := g.relay.marshalParts(g.last, parts)
	if err != nil {
		return errors.Join(&consumer.WorkError{Event: recorded, Err: newTranslateError(recorded, err)}, g.publish(ctx))
	}
	if len(g.messages) == 0 {
		g.first = recorded
	}
	msg.Metadata[messaging.MetaPrevious] = formatPosition(g.last)
	setPublication(msg, g.relay.widened(nil))
	g.messages, g.causes = append(g.messages, msg), append(g.causes, recorded.Metadata)
	g.last = recorded.Position
	return nil
}

// marshalParts makes one message of an event, or of several of its parts: a page, with the
// id of the first.
func (r *Relay) marshalParts(after eventsourced.Position, parts []eventsourced.Recorded) (*message.Message, error) {
	var msg *message.Message
	var err error
	if len(parts) > 1 {
		if msg, err = MarshalPage(Page{After: after, UpTo: parts[0].Position, Events: parts}); err == nil {
			msg.UUID = parts[0].ID.String()
			err = setNames(msg, parts)
		}
	} else if msg, err = messaging.MarshalRecorded(parts[0]); err == nil && r.config.CloudEventsSource != "" {
		messaging.SetCloudEvent(msg, parts[0], r.config.CloudEventsSource)
	}
	if err != nil {
		return nil, err
	}
	if r.config.AppID != "" {
		msg.Metadata[messaging.MetaAppID] = r.config.AppID
	}
	return msg, nil
}

// setNames says what the parts of an event are, and whose, to those who choose by it.
func setNames(msg *message.Message, parts []eventsourced.Recorded) error {
	var names []string
	for _, part := range parts {
		if !slices.Contains(names, part.Name) {
			names = append(names, part.Name)
		}
	}
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	msg.Metadata[messaging.MetaNames] = string(text)
	msg.Metadata[messaging.MetaAggregateName] = parts[0].Stream.AggregateName
	msg.Metadata[messaging.MetaAggregateID] = parts[0].Stream.AggregateID
	return nil
}

// publish sends the messages and waits until they are safe.
func (g *group) publish(ctx context.Context) error {
	if len(g.messages) > 0 {
		g.relay.failpoint("publishing")
		ctx, ended := g.relay.config.Tracer.Handling(ctx, consumer.Handling{
			ID: g.relay.follower.ID(), Topic: g.topic, Events: len(g.messages), Causes: slices.Values(g.causes),
		})
		if err := g.relay.publish(ctx, consumer.PartEvents, &g.first, g.topic, g.messages...); err != nil {
			ended(0, err)
			return &consumer.WorkError{Event: g.first, Err: err}
		}
		ended(g.last, nil)
		g.sent[g.topic] = g.last
		g.messages, g.causes, g.topic = nil, nil, ""
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
