package readview_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// unlucky is a receiver whose subscriptions fail or end, as those of transports that give up.
type unlucky struct {
	*receiver
	refuses atomic.Bool
	ends    atomic.Pointer[context.CancelFunc] // the last subscription
}

func (u *unlucky) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if u.refuses.Load() {
		return nil, errUnlucky
	}
	ctx, cancel := context.WithCancel(ctx)
	u.ends.Store(&cancel)
	return u.receiver.Subscribe(ctx, topic)
}

func TestSubscriptionThatFailsOrEndsIsMadeAgain(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	b.bind(c.topic, "branch")
	c.startRelayOver(b)
	subscriber := &unlucky{receiver: b.receiver("branch")}
	subscriber.refuses.Store(true)
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) { feed.Subscriber = subscriber })
	c.start(router)
	says := func(why string) {
		t.Helper()
		c.branch.eventually("it says why nothing comes", func() bool {
			status := c.branch.status(manager, "balances")
			return status.State == consumer.Retrying && status.Failure.Error == "no messages come: subscribe to "+c.topic+": "+why && readview.WantsBroker(status.Failure)
		})
	}
	says(errUnlucky.Error())
	subscriber.refuses.Store(false)
	c.branch.waitFor(manager, c.deposit(1))

	subscriber.refuses.Store(true)
	(*subscriber.ends.Load())()
	says(errUnlucky.Error())
	last := c.deposit(1)
	subscriber.refuses.Store(false)
	c.branch.waitFor(manager, last)
	c.branch.eventually("it is over", func() bool {
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Live && status.Failure == nil
	})
	c.requireSame()
	require.True(t, router.IsRunning())
}
