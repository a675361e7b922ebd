package readview_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// A page whose handlers take longer, together, than the server waits for its client gets on all the same, in steps, and so does a
// replay. Each event is handled once.
func TestASlowHandlerGetsOn(t *testing.T) {
	t.Parallel()
	const events, slow = 100, 25 * time.Millisecond
	b := newBank(t)
	b.exec(`CREATE TABLE made (position BIGINT PRIMARY KEY)`)
	b.history(events)
	var calls atomic.Int64
	p := balances(readview.On(func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
		calls.Add(1)
		time.Sleep(slow)
		return readview.Exec(ctx, tx, `INSERT INTO made (position) VALUES ($1)`, int64(eventsourced.FromContext(ctx).Position))
	}))
	p.Tables, p.Reset = []string{"made"}, nil
	observer := &told{ids: map[consumer.ID]bool{}}
	config := fast()
	config.HangTimeout, config.Observer = time.Second, observer
	manager, router := b.manager(config, p)
	pages := 0
	router.AddMiddleware(pageCount(&pages))
	b.start(router)
	b.waitFor(manager, events)
	require.Equal(t, b.rows(`SELECT tstamp::text FROM events ORDER BY tstamp`), b.rows(`SELECT position::text FROM made ORDER BY position`))
	require.Less(t, calls.Load(), int64(2*events), "it was not begun anew, but for a machine that stood still")
	require.Equal(t, 1, pages, "what was read is not read again")
	observer.mu.Lock()
	sum, before := 0, eventsourced.Position(0)
	for _, progress := range observer.handled {
		require.Greater(t, progress.Position, before)
		sum, before = sum+progress.Events, progress.Position
	}
	require.Equal(t, events, sum)
	require.GreaterOrEqual(t, len(observer.handled), 5)
	observer.mu.Unlock()

	calls.Store(0)
	result, err := manager.Rebuild(t.Context(), "balances", readview.RebuildOptions{})
	require.NoError(t, err)
	require.EqualValues(t, events, result.Events)
	require.Less(t, calls.Load(), int64(2*events))
}

func pidOf(ctx context.Context, tx readview.Tx) (pid int, err error) {
	err = tx.QueryRowContext(ctx, `SELECT pg_backend_pid()`).Scan(&pid)
	return pid, err
}

// A page that is begun anew because its connection was lost is on record when that happens again, until a part of it is done.
func TestAPageThatIsLostAgainAndAgainShows(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.history(6)
	var (
		calls         atomic.Int64
		seen, cleared = make(chan struct{}), make(chan struct{})
		see, clear    = sync.OnceFunc(func() { close(seen) }), sync.OnceFunc(func() { close(cleared) })
	)
	config := fast()
	manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		switch position := eventsourced.FromContext(ctx).Position; {
		case position == 2 && calls.Add(1) < 3:
			pid, err := pidOf(ctx, tx)
			if err != nil {
				return err
			}
			_, err = b.pool.Exec(ctx, `SELECT pg_terminate_backend($1)`, pid)
			return err
		case position == 2:
			<-seen
			time.Sleep(config.HangTimeout / 4) // the transaction ends with it
		case position == 3 && calls.Load() > 2:
			<-cleared
		case position == eventsourced.Position(6-calls.Load()): // the first time it is noticed at 5, then at 4
			if _, err := pidOf(ctx, tx); err != nil {
				return err
			}
		}
		return onDeposited(ctx, tx, e)
	})))
	b.start(router)
	t.Cleanup(see)
	t.Cleanup(clear)
	elsewhere, _ := b.manager(fast(), balances())
	for _, m := range []*readview.Manager{manager, elsewhere} {
		b.eventually("it shows", func() bool { return b.status(m, "balances").State == consumer.Retrying })
		failure := b.status(m, "balances").Failure
		require.Contains(t, failure.Error, "the connection was lost while the events after position 0 were applied, for the 2. time in a row")
		require.Contains(t, failure.Error, "terminating connection")
		require.Positive(t, failure.Attempts)
		require.Zero(t, failure.EventID, "it may be any event's")
	}
	see()
	b.eventually("it is forgotten", func() bool { return b.status(elsewhere, "balances").Failure == nil })
	clear()
	b.waitFor(manager, 6)
	b.requireExact(6)
}
