package readview_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
	"github.com/dancefinder/eventsourcing/readview"
)

// What has piled up in a projection's queue goes through in pages, also while it waits for history, which comes behind that. An event that fails is that
// event's failure, and all before it are applied.
func TestWhatHasPiledUpGoesInPages(t *testing.T) {
	t.Parallel()
	const events = 400
	for name, is := range map[string]struct{ failing, asking bool }{"all are applied": {}, "one fails": {failing: true}, "it asks for history": {asking: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContexts(t, testamqp.URL(t))
			observer := &told{ids: map[consumer.ID]bool{}}
			config := fast()
			config.Observer = observer
			subscriber := c.subscriber("branch")
			require.NoError(t, subscriber.SubscribeInitialize(c.topic))
			router := newRouter(t)
			manager, err := readview.NewManager(router, nil, c.branch.pool, config)
			require.NoError(t, err)
			feed := readview.Feed{Registry: registry(), Subscriber: subscriber, Topic: c.topic}
			if is.asking {
				requests, err := amqpbus.NewPublisher(c.url, amqpbus.PublisherConfig{Logger: fast().Logger})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, requests.Close()) })
				feed.Requests, feed.RequestTopic, feed.ReplyTo = requests, c.requestTopic(), amqpbus.QueueTopic(subscriber.Queue(c.topic))
			}
			require.NoError(t, manager.AddRemote(balances(), feed))
			c.deposit(events / 2)
			if is.failing {
				c.record("account-1", &Deposited{Amount: 99})
				c.branch.exec(`ALTER TABLE journal ADD CONSTRAINT journal_amount CHECK (amount <> 99)`)
			}
			last := c.deposit(events / 2)
			it := c.startRelay()
			c.branch.eventually("all are published", func() bool {
				status, err := it.Status(t.Context())
				return err == nil && status.Position >= last
			})
			c.branch.start(router)
			if is.failing {
				c.branch.eventually("it has failed", func() bool { return c.branch.status(manager, "balances").State == consumer.Failed })
				require.EqualValues(t, events/2, c.branch.int(`SELECT count(*) FROM journal`))
				c.branch.exec(`ALTER TABLE journal DROP CONSTRAINT journal_amount`)
				require.NoError(t, manager.Resume(t.Context(), "balances"))
			}
			c.branch.waitFor(manager, last)
			c.requireSame()
			observer.mu.Lock()
			defer observer.mu.Unlock()
			require.Less(t, len(observer.handled), events/4, "transactions")
		})
	}
}
