package readview_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
	"github.com/dancefinder/eventsourcing/readview"
)

// What has piled up in a projection's queue, which can't ask for history, goes through in pages. An event that fails is that
// event's failure, and all before it are applied.
func TestWhatHasPiledUpGoesInPages(t *testing.T) {
	t.Parallel()
	const events = 400
	for name, fails := range map[string]bool{"all are applied": false, "one fails": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContexts(t, testamqp.URL(t))
			c.prefetch = 100
			observer := &told{ids: map[consumer.ID]bool{}}
			config := fast()
			config.Observer = observer
			subscriber := c.subscriber("branch")
			require.NoError(t, subscriber.SubscribeInitialize(c.topic))
			router := newRouter(t)
			manager, err := readview.NewManager(router, nil, c.branch.pool, config)
			require.NoError(t, err)
			require.NoError(t, manager.AddRemote(balances(), readview.Feed{Registry: registry(), Subscriber: subscriber, Topic: c.topic}))
			c.deposit(events / 2)
			if fails {
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
			if fails {
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
