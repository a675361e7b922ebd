package readview_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestAddRemote(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(t, err)
	manager, err := readview.NewManager(router, nil, c.branch.pool, fast())
	require.NoError(t, err)
	require.ErrorContains(t, manager.Add(balances()), "the manager has no log")
	err = manager.AddRemote(balances(), readview.Feed{Requests: newBus(0, 0), AskAgain: -1, AskEvents: -1})
	for _, says := range []string{"Registry is nil", "Subscriber is nil", "Topic is empty", "RequestTopic is empty", "AskAgain or AskAtLeast is negative", "AskEvents or AskBytes is negative"} {
		require.ErrorContains(t, err, says)
	}
	err = manager.AddRemote(readview.Projection{Durability: readview.Deferred}, readview.Feed{})
	for _, says := range []string{"Registry is nil", "its name needs", "at least one handler", "its Durability is Deferred, and its events come by messages"} {
		require.ErrorContains(t, err, says)
	}
	require.ErrorContains(t, manager.Add(readview.Projection{}), "its name needs")
	_, err = readview.NewManager(nil, nil, nil, readview.Config{}, readview.Projection{})
	for _, says := range []string{"the pool is nil", "the log is nil", "its name needs"} {
		require.ErrorContains(t, err, says)
	}
}

// A subscriber that can tell is refused when a projection can't do with it.
func TestSubscribersThatAProjectionCannotUse(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(*amqpbus.SubscriberConfig, *readview.Feed){
		"Attempts has to be 0":       func(config *amqpbus.SubscriberConfig, _ *readview.Feed) { config.Attempts = 3 },
		"Competing has to be false":  func(config *amqpbus.SubscriberConfig, _ *readview.Feed) { config.Competing = true },
		`Bindings are ["Deposited"]`: func(config *amqpbus.SubscriberConfig, _ *readview.Feed) { config.Bindings = []string{"Deposited"} },
		`ReplyTo is "queue:bank.x"`:  func(_ *amqpbus.SubscriberConfig, feed *readview.Feed) { feed.ReplyTo = "queue:bank.x" },
		"":                           func(*amqpbus.SubscriberConfig, *readview.Feed) {},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			config := amqpbus.SubscriberConfig{Group: "branch"}
			feed := readview.Feed{Registry: registry(), Topic: "bank", Requests: newBus(0, 0), RequestTopic: "requests", ReplyTo: "queue:bank.branch"}
			change(&config, &feed)
			subscriber, err := amqpbus.NewSubscriber("amqp://unused/", config)
			require.NoError(t, err)
			feed.Subscriber = subscriber
			manager, err := readview.NewManager(nil, nil, unusedPool(t), fast())
			require.NoError(t, err)
			if err = manager.AddRemote(balances(), feed); says != "" {
				require.ErrorContains(t, err, says)
				return
			}
			require.NoError(t, err)
			other := readview.Projection{Name: "other", Handlers: balances().Handlers}
			feed.Subscriber, err = amqpbus.NewSubscriber("amqp://unused/", config)
			require.NoError(t, err)
			require.ErrorContains(t, manager.AddRemote(other, feed), `reads from the queue of projection "balances"`)
			config.Group, feed.ReplyTo = "other", ""
			feed.Subscriber, err = amqpbus.NewSubscriber("amqp://unused/", config)
			require.NoError(t, err)
			require.NoError(t, manager.AddRemote(other, feed))
		})
	}
}

// unusedPool returns a pool that nothing is asked of.
func unusedPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), "postgres://127.0.0.1:1/")
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}
