package inbox_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/inbox"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
	"github.com/dancefinder/eventsourcing/readview"
)

// contexts are a bank, whose relay publishes its events, and an office that reacts to them, each
// with a database and a log of its own.
type contexts struct {
	t      testing.TB
	bank   *consumertest.Bank
	office *consumertest.Bank
	broker *gochannel.GoChannel
}

func newContexts(t testing.TB) *contexts {
	t.Helper()
	c := &contexts{t: t, bank: consumertest.New(t), office: consumertest.New(t), broker: newBroker(t)}
	require.NoError(t, migrate.Run(t.Context(), c.office.Pool, migrate.Config{}, inbox.Migrations()))
	return c
}

func newBroker(t testing.TB) *gochannel.GoChannel {
	t.Helper()
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	return broker
}

func relaying(broker *gochannel.GoChannel) relay.Config {
	config := consumertest.Relaying()
	config.Name, config.Requests = "relay", broker
	return config
}

func feed(broker *gochannel.GoChannel) readview.Feed {
	return readview.Feed{Registry: consumertest.Registry(), Subscriber: staysOpen{broker}, Topic: relay.DefaultTopic, Requests: broker, RequestTopic: "relay.requests"}
}

// staysOpen is a subscriber whose broker others use as well.
type staysOpen struct{ message.Subscriber }

func (staysOpen) Close() error { return nil }

// relay runs the bank's relay.
func (c *contexts) relay() (stop func()) {
	c.t.Helper()
	_, stop = c.bank.Relay(c.broker, relaying(c.broker))
	return stop
}

// inbox runs one of the office's.
func (c *contexts) inbox(config reactor.Config, reactions ...reactor.Reaction) (it *inbox.Inbox, stop func()) {
	c.t.Helper()
	it, err := inbox.New(c.office.Pool, feed(c.broker), config, reactions...)
	require.NoError(c.t, err)
	return it, c.office.Run(it.Run)
}

var copies = eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "copy"}

// copier copies deposits to the office's log, with no id that would tell a repetition. After each it calls
// what it is given.
func copier(office *pgstore.Store, then ...func()) reactor.Reaction {
	accounts := eventsourced.NewRepository[consumertest.Account](office, copies.AggregateName, eventsourced.RepositoryConfig{})
	return reactor.OnTx(func(ctx context.Context, tx pgx.Tx, e *consumertest.Deposited) error {
		_, err := accounts.UpdateTx(ctx, office.Tx(tx), copies.AggregateID, func(a *consumertest.Account) error {
			return eventsourced.Record(a, &consumertest.Deposited{Amount: e.Amount})
		})
		for _, f := range then {
			f()
		}
		return err
	})
}

// copied returns the ids of the bank's events that were copied.
func (c *contexts) copied() (ids []string) {
	c.t.Helper()
	for event, err := range c.office.Store.ReadStream(c.t.Context(), copies, 0) {
		require.NoError(c.t, err)
		ids = append(ids, event.Metadata[eventsourced.MetaCausation])
	}
	return ids
}

func (c *contexts) waiting() (n int) {
	c.t.Helper()
	require.NoError(c.t, c.office.Pool.QueryRow(c.t.Context(), `SELECT count(*) FROM inbox_events`).Scan(&n))
	return n
}

// counted is a handler of a logger that counts a message.
type counted struct {
	slog.Handler
	message string
	n       atomic.Int64
}

func (c *counted) Enabled(context.Context, slog.Level) bool { return true }
func (c *counted) WithAttrs([]slog.Attr) slog.Handler       { return c }

func (c *counted) Handle(_ context.Context, record slog.Record) error {
	if record.Message == c.message {
		c.n.Add(1)
	}
	return nil
}
