package readview_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview"
)

// web returns a manager that applies nothing, with connections of its own, and what it sends.
func (b *bank) web(connections int32, projections ...readview.Projection) (*readview.Manager, *queries) {
	b.t.Helper()
	sent := new(queries)
	manager, err := readview.NewManager(nil, b.store, b.answering(connections, sent), fast(), projections...)
	require.NoError(b.t, err)
	return manager, sent
}

// Whoever waits, and for however many projections: it is one statement at a time, on one connection.
func TestAllWhoWaitShareTheLooks(t *testing.T) {
	t.Parallel()
	const waiters = 500
	b := newBank(t)
	manager, sent := b.web(3, many(8)...)
	_, router := b.manager(fast(), many(8)...)
	c := b.consistency(manager, readview.Pool(manager), time.Minute)
	last := b.deposit(10)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var (
		group sync.WaitGroup
		stale atomic.Int64
	)
	for i := range waiters {
		group.Go(func() {
			if i%10 == 0 {
				result, err := c.WaitPosition(ctx, last)
				if err != nil || !result.Satisfied {
					stale.Add(1)
				}
			} else if manager.WaitFor(ctx, last) != nil {
				stale.Add(1)
			}
		})
	}
	b.eventually("all wait, and some looks have been made", func() bool { return readview.WaitingFor(manager) == waiters && sent.Load() > 5 })
	require.LessOrEqual(t, readview.Pool(manager).Stat().AcquiredConns(), int32(1), "all of them share one connection")
	b.start(router)
	group.Wait()
	require.Zero(t, stale.Load())
	require.EqualValues(t, 80, b.int(`SELECT count(*) FROM journal`))
	require.Less(t, sent.Load(), int64(waiters), "by themselves they would have sent 8 each, at least")
	require.False(t, readview.Looks(manager), "nobody waits any longer")
	after := sent.Load()
	require.NoError(t, manager.WaitFor(ctx, last))
	require.LessOrEqual(t, sent.Load()-after, int64(2), "what is there already is one look")
}

func TestOneWhoGivesUpLeavesTheOthersWaiting(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.web(2, balances())
	_, router := b.manager(fast(), balances())
	last := b.deposit(1)
	stays, gaveUp := make(chan error, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { stays <- manager.WaitFor(t.Context(), last) }()
	go func() { gaveUp <- manager.WaitFor(ctx, last) }()
	b.eventually("both wait", func() bool { return readview.WaitingFor(manager) == 2 })
	cancel()
	require.ErrorIs(t, <-gaveUp, context.Canceled)
	require.Equal(t, 1, readview.WaitingFor(manager))
	b.start(router)
	require.NoError(t, <-stays)
	require.False(t, readview.Looks(manager))
	require.ErrorIs(t, manager.WaitFor(ctx, last), context.Canceled, "also what need not be waited for")
}

// A connection that is lost is not the end of all who share it.
func TestAWaitOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, sent := b.web(1, balances())
	_, router := b.manager(fast(), balances())
	var pid int32
	require.NoError(t, readview.Pool(manager).QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid))
	last := b.deposit(1)
	arrived := make(chan error, 1)
	go func() { arrived <- manager.WaitFor(t.Context(), last) }()
	b.eventually("it looks", func() bool { return sent.Load() > 4 })
	b.exec(`SELECT pg_terminate_backend($1)`, pid)
	b.eventually("it looks on another one", func() bool { return readview.Pool(manager).Stat().NewConnsCount() > 1 || len(arrived) > 0 })
	require.Empty(t, arrived)
	b.start(router)
	require.NoError(t, <-arrived)
}

// stuck lets no look but the first through, until it is told to.
type stuck struct {
	looks   atomic.Int64
	release chan struct{}
}

func (s *stuck) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if strings.Contains(data.SQL, "s.rebuild_to") && strings.Contains(data.SQL, "ANY($1)") && s.looks.Add(1) > 1 {
		<-s.release
	}
	return ctx
}

func (s *stuck) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// What this process applies, those who wait are told without that the database is asked.
func TestWhatIsAppliedHereNeedsNoLook(t *testing.T) {
	t.Parallel()
	tracer, entered, release := &stuck{release: make(chan struct{})}, make(chan struct{}, 10), make(chan struct{})
	b := newBank(t)
	pool := b.answering(20, tracer)
	t.Cleanup(func() { close(tracer.release) }) // before the pool is closed
	handler := readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		entered <- struct{}{}
		<-release
		return onDeposited(ctx, tx, e)
	})
	router := newRouter(t)
	manager, err := readview.NewManager(router, b.store, pool, fast(), balances(handler))
	require.NoError(t, err)
	b.start(router)
	last := b.deposit(1)
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	arrived := make(chan error, 1)
	go func() { arrived <- manager.WaitFor(ctx, last) }()
	b.eventually("it has looked", func() bool { return tracer.looks.Load() > 1 })
	close(release)
	require.NoError(t, <-arrived)
	b.requireExact(last)
}

// What was committed before a wait began says nothing about the time after: there may have been a reset.
func TestACommitBeforeTheWaitDoesNotEndIt(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var first sync.Once
	committed, goOn, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var again atomic.Bool
	entered := make(chan struct{}, 10)
	manager, router := b.manager(fast(), balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if again.Load() {
			entered <- struct{}{}
			<-release
		}
		return onDeposited(ctx, tx, e)
	})))
	readview.SetFailpoint(manager, func(point string) {
		if point == "committed" {
			first.Do(func() {
				close(committed)
				<-goOn
			})
		}
	})
	last := b.deposit(1)
	b.start(router)
	<-committed
	again.Store(true)
	other, _ := b.manager(fast(), balances())
	require.NoError(t, other.ResetProjection(t.Context(), "balances"))
	arrived := make(chan error, 1)
	go func() { arrived <- manager.WaitFor(t.Context(), last) }()
	b.eventually("it waits", func() bool { return readview.WaitingFor(manager) == 1 })
	close(goOn)
	<-entered
	require.Empty(t, arrived, "the tables are empty")
	close(release)
	require.NoError(t, <-arrived)
	b.requireExact(last)
}
