package messaging_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// Watermill's acceptance suite. What it leaves out for want of a feature:
//
//   - once with ExactlyOnceDelivery, which refuses duplicates; two of its tests are
//     not made for that and run in the other;
//   - TestReconnect and TestNewSubscriberReceivesOldMessages are on their own;
//   - ContextPreserved: a log is read by other processes.
//
// The run without ExactlyOnceDelivery has the full numbers of messages, the other
// one those of short mode: they differ in nothing else.
func TestConformance(t *testing.T) {
	for name, features := range map[string]tests.Features{
		"at least once":                     {},
		"exactly once, while no node fails": {ExactlyOnceDelivery: true, ForceShort: true},
	} {
		features.ConsumerGroups = true
		features.GuaranteedOrder = true
		features.Persistent = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			tests.TestPubSub(t, features, b.pubSub("suite"), b.groupPubSub)
		})
	}
}

func TestNewSubscriberReceivesOldMessages(t *testing.T) {
	t.Parallel()
	for name, group := range map[string]func() string{
		"with a new group":  func() string { return eventsourced.NewEventID().String() },
		"without any group": func() string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			features := tests.Features{GuaranteedOrder: true, Persistent: true, NewSubscriberReceivesOldMessages: true, ExactlyOnceDelivery: true}
			tests.TestNewSubscriberReceivesOldMessages(t, tests.TestContext{TestID: tests.NewTestID(), Features: features},
				func(t *testing.T) (message.Publisher, message.Subscriber) { return b.groupPubSub(t, group()) })
		})
	}
}

func (b *bank) pubSub(group string) tests.PubSubConstructor {
	return func(t *testing.T) (message.Publisher, message.Subscriber) { return b.groupPubSub(t, group) }
}

// groupPubSub is a [tests.ConsumerGroupPubSubConstructor]. The poll interval, and
// with it the lease, is so long that a slow machine does not lose one: wake-ups
// and released leases are what the suite runs on.
func (b *bank) groupPubSub(t *testing.T, group string) (message.Publisher, message.Subscriber) {
	config := consumertest.Grouped(group)
	config.PollInterval = 5 * time.Second
	config.BackOff = time.Millisecond
	config.Unregistered = true
	config.MaxBackOff = 10 * time.Millisecond
	subscriber, err := messaging.NewSubscriber(b.Store, b.Consumers, config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, subscriber.Close()) }) // some of the suite's tests don't
	return messaging.NewPublisher(b.Store), subscriber
}
