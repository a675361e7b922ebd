package consumer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestRightLogComesBack(t *testing.T) {
	t.Parallel()
	for name, start := range consumers() {
		t.Run(name+" goes on by itself", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.Deposit(3)
			c := start(b)
			show := b.Hide(b.Becomes(c, "all is handled", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == events[2].Position }))
			b.Becomes(c, "it notices", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Node != "" && s.Failure.Attempts > 0 })
			show()
			b.Becomes(c, "it goes on", consumertest.IsLive)
			more := b.Deposit(1)
			b.Becomes(c, "with what comes next", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == more[0].Position })
			require.Equal(t, append(consumertest.IDsOf(events), consumertest.IDsOf(more)...), c.seen())
		})
		t.Run(name+" goes on by itself after a restart", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.Deposit(3)
			c := start(b)
			show := b.Hide(b.Becomes(c, "all is handled", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == events[2].Position }))
			b.Becomes(c, "it notices", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Node != "" && s.Failure.Attempts > 0 })
			c.stop()
			show()
			c = start(b)
			b.Becomes(c, "it goes on", consumertest.IsLive)
			more := b.Deposit(1)
			b.Eventually("with what comes next", func() bool { return len(c.seen()) == 1 })
			require.Equal(t, consumertest.IDsOf(more), c.seen())
		})
		t.Run(name+" is ahead no more when its position is set while nobody runs", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			events := b.Deposit(3)
			c := start(b)
			b.Hide(b.Becomes(c, "all is handled", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == events[2].Position }))
			b.Becomes(c, "it notices", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Node != "" && s.Failure.Attempts > 0 })
			c.stop()
			// As docs/operating.md has it.
			b.Exec(`UPDATE consumers SET position = (SELECT coalesce(max(tstamp), 0) FROM events)`)
			all, err := b.Consumers.Status(t.Context(), b.Store)
			require.NoError(t, err)
			require.Len(t, all, 1)
			require.Equal(t, consumer.Standby, all[0].State)
			require.Nil(t, all[0].Failure)
			if _, subscription := c.Statuses.(consumertest.One); !subscription {
				status, err := c.Status(t.Context())
				require.NoError(t, err)
				require.Equal(t, all[0], status, "the process that ran it knows no better")
			}
			c = start(b)
			more := b.Deposit(1)
			b.Eventually("it goes on from there", func() bool { return len(c.seen()) == 1 })
			require.Equal(t, consumertest.IDsOf(more), c.seen())
			b.Becomes(c, "nothing is left of it", consumertest.IsLive)
		})
	}
}

func TestRightLogComesBackForAnotherLeaseStore(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := b.Deposit(2)
	subscriber := b.SubscriberOver(&consumertest.CutOff{LeaseStore: b.Consumers}, consumertest.Grouped("g"))
	messages := b.Subscribe(subscriber, "Deposited")
	for _, event := range events {
		b.Receive(messages, event).Ack()
	}
	live := b.Becomes(consumertest.One{Subscriber: subscriber}, "all is handled", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == events[1].Position })
	show := b.Hide(live)
	b.Becomes(consumertest.One{Subscriber: subscriber}, "it notices", func(s consumer.Status) bool { return consumertest.IsAhead(s) && s.Failure.Attempts > 0 })
	show()
	b.Becomes(consumertest.One{Subscriber: subscriber}, "it goes on", consumertest.IsLive)
	b.Receive(messages, b.Deposit(1)[0]).Ack()
}
