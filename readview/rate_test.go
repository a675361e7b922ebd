package readview_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// history appends n deposits at once.
func (b *bank) history(n int) {
	b.t.Helper()
	b.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT coalesce((SELECT max(tstamp) FROM events), 0) + n, gen_random_uuid(), 'Deposited', 'bank.Account', 'history', n, now(), '{"Amount": 1}' FROM generate_series(1, $1::int) n`, n)
	b.exec(`ANALYZE events`)
}

// A status says how fast a projection is and how long it takes, also to another process, and
// how much there is without counting it.
func TestStatusForetells(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.history(30_000)
	hang := make(chan struct{})
	config := fast()
	config.HangTimeout = time.Minute
	manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if eventsourced.FromContext(ctx).Version == 8000 {
			<-hang
		}
		return readview.Exec(ctx, tx, `INSERT INTO journal (position, amount) VALUES (1, $1)`, e.Amount)
	})))
	tool, _ := b.manager(fast(), balances())
	status := b.status(tool, "balances")
	require.EqualValues(t, eventsourced.MaxBacklog, status.Behind)
	require.InDelta(t, 30_000, status.Estimate, 3_000)
	require.Zero(t, status.Rate)
	require.Zero(t, status.Left, "nobody is at it")
	b.start(router)
	for _, m := range []*readview.Manager{manager, tool} {
		b.eventually("it has a rate", func() bool {
			status = b.status(m, "balances")
			return status.Position >= 7000 && status.Rate > 0
		})
		require.True(t, status.More)
		require.InDelta(t, 23_000, status.Estimate, 3_000)
		require.InEpsilon(t, float64(status.Estimate)/status.Rate, status.Left.Seconds(), 0.01)
	}
	close(hang)
	b.waitFor(manager, 30_000)
	status = b.status(tool, "balances")
	require.Positive(t, status.Rate)
	require.Zero(t, status.Left)
	require.Zero(t, status.Estimate)
}

// What a rebuild is at, or has come to, is in the status.
func TestStatusOfARebuild(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`CREATE TABLE made (position BIGINT PRIMARY KEY)`)
	p := balances(readview.On(func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
		return readview.Exec(ctx, tx, `INSERT INTO made (position) VALUES ($1)`, int64(eventsourced.FromContext(ctx).Position))
	}))
	p.Tables, p.Reset, p.Version = []string{"made"}, nil, 3
	manager, router := b.manager(fast(), p)
	b.start(router)
	b.waitFor(manager, b.deposit(5))
	require.Nil(t, b.status(manager, "balances").Rebuild)
	_, err := manager.Rebuild(t.Context(), "balances", readview.RebuildOptions{})
	require.NoError(t, err)
	status := b.status(manager, "balances")
	require.Equal(t, 3, status.Version)
	require.NotNil(t, status.Rebuild)
	require.Nil(t, status.Verify)
	require.Equal(t, "rebuild", status.Rebuild.Command)
	require.Equal(t, "done", status.Rebuild.Phase)
	require.False(t, status.Rebuild.Running)
	require.EqualValues(t, 5, status.Rebuild.Events)
	require.False(t, status.Rebuild.Ended.Before(status.Rebuild.Began))
	require.Contains(t, status.Rebuild.Detail, "5 events replayed")

	b.exec(`UPDATE readview_rebuilds SET phase = 'replaying', ended_at = NULL, started_at = clock_timestamp() - interval '10 seconds', events = 100, total = 1100`)
	status = b.status(manager, "balances")
	require.True(t, status.Rebuild.Running)
	require.InDelta(t, 10, status.Rebuild.Rate, 5)
	require.Positive(t, status.Rebuild.Left)
	b.exec(`UPDATE readview_rebuilds SET beat_at = clock_timestamp() - interval '1 minute'`)
	require.Equal(t, "interrupted", b.status(manager, "balances").Rebuild.Phase)
}

// countedLog notes how much is counted.
type countedLog struct {
	*pgstore.Store
	counted int64
}

func (c *countedLog) CountLog(ctx context.Context, query eventsourced.LogQuery) (int64, error) {
	n, err := c.Store.CountLog(ctx, query)
	c.counted += n
	return n, err
}

// Of projections that are far behind, the first is counted: what is behind it has no less. No event is counted twice.
func TestStatusOfManyThatAreBehind(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.history(30_000)
	log := &countedLog{Store: b.store}
	manager, err := readview.NewManager(nil, log, b.pool, fast())
	require.NoError(t, err)
	for name, position := range map[string]int{"first": 12_000, "second": 11_000, "third": 10_000, "last": 25_000, "last but one": 24_000} {
		require.NoError(t, manager.Add(readview.Projection{Name: name, Handlers: []readview.Handler{
			readview.On(func(context.Context, readview.Tx, *Deposited) error { return nil }),
		}}))
		b.exec(`INSERT INTO readviews (name, position) VALUES ($1, $2)`, name, position)
		b.exec(`INSERT INTO readview_states (name, handled) VALUES ($1, '{Deposited}')`, name)
	}
	all, err := manager.Status(t.Context())
	require.NoError(t, err)
	for _, status := range all {
		behind, more := int64(eventsourced.MaxBacklog), true
		switch status.Name {
		case "last":
			behind, more = 5_000, false
		case "last but one":
			behind, more = 6_000, false
		}
		require.Equal(t, behind, status.Behind, status.Name)
		require.Equal(t, more, status.More, status.Name)
		require.Positive(t, status.Lag)
	}
	require.Equal(t, manager.Names(), []string{all[0].Name, all[1].Name, all[2].Name, all[3].Name, all[4].Name}, "in the order of Add")
	require.EqualValues(t, eventsourced.MaxBacklog+1, log.counted)
}
