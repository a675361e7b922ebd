package messaging

import (
	"errors"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// SubscriberConfig is the optional part of a [Subscriber]. The zero value works; a
// negative value is an error.
type SubscriberConfig struct {
	// Config is what all consumers have in common. HangTimeout is that of the handling of
	// one message; PollInterval also that of another subscriber of the group taking over;
	// BackOff that of an event which was nacked. Schema is that of the positions, and
	// not looked at.
	consumer.Config

	// ConsumerGroup names the durable position that subscribers share, one for
	// each topic. A new group starts with the first event of the log. When it is
	// empty, every subscription starts there, keeps no position and has all
	// events to itself: that suits what is built up anew in memory at each start.
	ConsumerGroup string

	// Unregistered allows topics that are no names of the registry: those of messages
	// that a [Publisher] stores under names of their own. By default Subscribe refuses
	// them, as a name that is spelled wrong would never get an event.
	Unregistered bool
}

func (c SubscriberConfig) problems(positions consumer.LeaseStore) []error {
	problems := c.Problems("messaging.SubscriberConfig")
	if c.ConsumerGroup != "" {
		problems = append(problems, need.Name("messaging.SubscriberConfig: ConsumerGroup", c.ConsumerGroup))
	}
	if c.ConsumerGroup != "" && need.Nil(positions) {
		problems = append(problems, errors.New("messaging.SubscriberConfig: ConsumerGroup needs a consumer.LeaseStore"))
	}
	return problems
}
