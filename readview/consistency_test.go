package readview_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview"
)

func key(letter string) []byte { return []byte(strings.Repeat(letter, readview.MinKey)) }

// consistency returns one whose queries pool answers.
func (b *bank) consistency(manager *readview.Manager, pool *pgxpool.Pool, limit time.Duration, keys ...[]byte) *readview.Consistency {
	b.t.Helper()
	if keys == nil {
		keys = [][]byte{key("k")}
	}
	c, err := readview.NewConsistency(b.t.Context(), manager, pool, readview.ConsistencyConfig{Keys: keys, Limit: limit})
	require.NoError(b.t, err)
	return c
}

// queries counts what is sent to the server.
type queries struct{ atomic.Int64 }

func (q *queries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	q.Add(1)
	return ctx
}

func (q *queries) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// answering returns a pool of a few connections of its own to the bank's database.
func (b *bank) answering(connections int32, sent pgx.QueryTracer) *pgxpool.Pool {
	b.t.Helper()
	config, err := pgxpool.ParseConfig(b.db.URL)
	require.NoError(b.t, err)
	config.MaxConns = connections
	config.ConnConfig.Tracer = sent
	pool, err := pgxpool.NewWithConfig(b.t.Context(), config)
	require.NoError(b.t, err)
	b.t.Cleanup(pool.Close)
	return pool
}

func TestConsistencyReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for name, node := range map[string]func(b *bank, running *readview.Manager) *readview.Manager{
		"on the node that applies it": func(_ *bank, running *readview.Manager) *readview.Manager { return running },
		"on a node that applies nothing": func(b *bank, _ *readview.Manager) *readview.Manager {
			manager, _ := b.manager(fast(), balances())
			return manager
		},
	} {
		rounds := map[bool]int{true: soak.Times(200, 2000), false: 50}[strings.Contains(name, "that applies it")]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			running, router := b.manager(fast(), balances())
			b.start(router)
			c := b.consistency(node(b, running), b.answering(2, new(queries)), time.Minute)
			for round := range rounds {
				token := c.Token(b.record("anna", &Deposited{Amount: 1}))
				result, err := c.Wait(t.Context(), token, "balances")
				require.NoError(t, err)
				require.True(t, result.Satisfied, "%v", result.Projections)
				require.EqualValues(t, round+1, b.int(`SELECT amount FROM balance WHERE account = 'anna'`), "the read is not stale")
			}
		})
	}
}

// What this process applies is seen without asking at intervals.
func TestConsistencyIsWokenUp(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances(), audits())
	b.start(router)
	c, err := readview.NewConsistency(t.Context(), manager, b.pool, readview.ConsistencyConfig{
		Keys: [][]byte{key("k")}, Limit: 30 * time.Second, PollInterval: time.Hour,
	})
	require.NoError(t, err)
	for range 50 {
		result, err := c.Wait(t.Context(), c.Token(b.deposit(1)))
		require.NoError(t, err)
		require.True(t, result.Satisfied)
	}
}

func TestConsistencyOfManyWhoWait(t *testing.T) {
	t.Parallel()
	const waiters = 1000
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	sent := new(queries)
	pool := b.answering(3, sent)
	c := b.consistency(manager, pool, time.Minute)
	require.False(t, readview.Watching(c), "nobody waits, and nothing is asked")

	var tokens []string
	for range 10 {
		tokens = append(tokens, c.Token(b.deposit(1)))
	}
	var group sync.WaitGroup
	var stale atomic.Int64
	for i := range waiters {
		group.Go(func() {
			result, err := c.Wait(t.Context(), tokens[i%len(tokens)], "balances")
			var rows int
			if err == nil && result.Satisfied {
				err = pool.QueryRow(t.Context(), `SELECT count(*) FROM journal`).Scan(&rows)
			}
			if err != nil || rows < i%len(tokens)+1 {
				stale.Add(1)
			}
		})
	}
	b.eventually("all wait", func() bool { return readview.Waiting(c) == waiters })
	before := sent.Load()
	b.eventually("they are looked after", func() bool { return sent.Load() >= before+3 })
	require.LessOrEqual(t, pool.Stat().AcquiredConns(), int32(1), "all of them share one connection")

	before = sent.Load()
	b.start(router)
	group.Wait()
	require.Zero(t, stale.Load())
	require.False(t, readview.Watching(c), "nobody waits any longer")
	require.Less(t, sent.Load()-before-waiters, int64(waiters)/2, "they share the looks")
}

func TestConsistencyEnds(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), balances())
	position := b.deposit(1)
	t.Run("at its limit, with how far the projection is", func(t *testing.T) {
		t.Parallel()
		c := b.consistency(manager, b.pool, 500*time.Millisecond) // time enough for a first look on a busy machine
		result, err := c.Wait(t.Context(), c.Token(position))
		require.NoError(t, err)
		require.Equal(t, readview.ConsistencyResult{Projections: []readview.ProjectionProgress{
			{Name: "balances", Position: 0, Target: position, State: consumer.Standby},
		}}, result)
		require.ErrorIs(t, result.Err(), readview.ErrConsistencyTimeout)
		require.ErrorContains(t, result.Err(), "balances is standby at position 0")
	})
	t.Run("with its context", func(t *testing.T) {
		t.Parallel()
		manager, _ := b.manager(fast(), balances()) // nobody else waits with it
		c := b.consistency(manager, b.pool, time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := c.Wait(ctx, c.Token(position))
			ended <- err
		}()
		b.eventually("it waits", func() bool { return readview.Waiting(c) == 1 })
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.False(t, readview.Watching(c))
	})
	t.Run("with the database's error when that can't be asked", func(t *testing.T) {
		t.Parallel()
		pool := b.answering(1, new(queries))
		held, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		defer held.Release()
		c := b.consistency(manager, pool, 50*time.Millisecond)
		_, err = c.Wait(t.Context(), c.Token(position))
		require.ErrorContains(t, err, "wait for balances")
	})
	t.Run("at once for a name that nobody knows", func(t *testing.T) {
		t.Parallel()
		c := b.consistency(manager, b.pool, time.Hour)
		_, err := c.Wait(t.Context(), c.Token(position), "nobody")
		require.ErrorIs(t, err, readview.ErrUnknownProjection)
	})
}

// A replica is behind the database that the projections write to. What counts is the one that answers.
func TestConsistencyOfAReplica(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	position := b.deposit(3)
	b.waitFor(manager, position)

	replica := testdb.New(t)
	require.NoError(t, migrate.Run(t.Context(), replica.Pool, migrate.Config{}, readview.Migrations()))
	_, err := replica.Pool.Exec(t.Context(), `INSERT INTO readviews (name, position) VALUES ('balances', $1)`, int64(position)-1)
	require.NoError(t, err)
	_, err = replica.Pool.Exec(t.Context(), `INSERT INTO readview_states (name, handled, node, lease_length, lease_until)
		VALUES ('balances', '{Deposited}', 'x/1', '1 hour', clock_timestamp() + interval '1 hour')`)
	require.NoError(t, err)

	c := b.consistency(manager, replica.Pool, 100*time.Millisecond)
	result, err := c.Wait(t.Context(), c.Token(position))
	require.NoError(t, err)
	require.False(t, result.Satisfied)
	require.Len(t, result.Projections, 1)
	require.Equal(t, position-1, result.Projections[0].Position)

	c = b.consistency(manager, replica.Pool, time.Minute)
	arrived := make(chan readview.ConsistencyResult, 1)
	go func() {
		result, _ := c.Wait(t.Context(), c.Token(position))
		arrived <- result
	}()
	b.eventually("it waits", func() bool { return readview.Waiting(c) == 1 })
	_, err = replica.Pool.Exec(t.Context(), `UPDATE readviews SET position = $1`, int64(position))
	require.NoError(t, err)
	require.True(t, (<-arrived).Satisfied)
}

func TestConsistencyConfigIsChecked(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), balances())
	_, err := readview.NewConsistency(t.Context(), nil, nil, readview.ConsistencyConfig{Limit: -1, PollInterval: -1})
	for _, problem := range []string{"Keys is empty", "Limit is negative", "PollInterval is negative", "the manager is nil", "the pool is nil"} {
		require.ErrorContains(t, err, problem)
	}
	_, err = readview.NewConsistency(t.Context(), manager, b.pool, readview.ConsistencyConfig{Keys: [][]byte{key("k"), []byte("short")}})
	require.ErrorContains(t, err, "Keys[1] has 5 bytes")
	require.NotContains(t, err.Error(), "short")

	router := newRouter(t)
	unnamed, err := readview.NewManager(router, struct{ eventsourced.Log }{b.store}, b.pool, fast())
	require.NoError(t, err)
	_, err = readview.NewConsistency(t.Context(), unnamed, b.pool, readview.ConsistencyConfig{Keys: [][]byte{key("k")}})
	require.ErrorContains(t, err, "eventsourced.Identified")

	remote, err := readview.NewManager(router, nil, b.pool, fast())
	require.NoError(t, err)
	_, err = readview.NewConsistency(t.Context(), remote, b.pool, readview.ConsistencyConfig{Keys: [][]byte{key("k")}})
	require.ErrorContains(t, err, "the manager has no log")
}
