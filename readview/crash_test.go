package readview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

// The rounds are several so that kills also hit moments that no point names, such as
// the one between the server's commit and the client's knowledge of it.
func TestKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	for name, c := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rounds := soak.Times(8, 120)
			b := newBank(t)
			points := []string{"locked", "applied", "advanced", "committed"}
			for round := range rounds {
				b.deposit(10) // two pages
				point := points[round%len(points)]
				times := 1 + rand.IntN(2)
				if point == "applied" {
					times = 1 + rand.IntN(10) // in the midst of either page, or at its end
				}
				node := b.spawn(c.environment, fmt.Sprintf("%s=SIGKILL %s %d", childDies, point, times))
				require.ErrorContains(t, node.Wait(), "killed", "the node reaches its point")
			}
			last := b.deposit(1)
			manager, router := b.manager(fast(), c.projection)
			b.start(router)
			b.waitFor(manager, last)
			c.require(b, last)
		})
	}
}

// way is one of the two in which a projection's rows reach their tables.
type way struct {
	projection  readview.Projection
	environment string // of a child
	require     func(*bank, eventsourced.Position)
}

func ways() map[string]way {
	return map[string]way{
		"statement by statement": {balances(), childBulk + "=no", (*bank).requireExact},
		"rows that go together":  {entries(), childBulk + "=yes", (*bank).requireEntries},
	}
}

func TestKilledInAReset(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	last := b.deposit(20)
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	b.waitFor(manager, last)
	stop()
	for _, point := range []string{"reset", "emptied"} {
		node := b.spawn(childDoes+"=reset", childDies+"=SIGKILL "+point+" 1")
		require.ErrorContains(t, node.Wait(), "killed")
		b.eventually("the server ends the transaction of the dead node", func() bool {
			return b.int(`SELECT count(*) FROM pg_locks WHERE relation IN ('balance'::regclass, 'readviews'::regclass)`) == 0
		})
		require.Equal(t, last, b.status(manager, "balances").Position)
		b.requireExact(last) // never empty tables with an old position
	}
	require.NoError(t, b.spawn(childDoes+"=reset").Wait())
	require.Zero(t, b.status(manager, "balances").Position)
	require.Zero(t, b.int(`SELECT count(*) FROM journal`))
}

// A reader who takes the tables the other way round does not make a reset fail.
func TestResetGivesWay(t *testing.T) {
	t.Parallel()
	// The server ends the first that looks for a deadlock and finds one: the reset, as long as it has not looked before
	// the reader waits, too.
	b := newBank(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["deadlock_timeout"] = "4s" })
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	b.waitFor(manager, b.deposit(3))
	stop()
	reader, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `LOCK TABLE journal IN ACCESS SHARE MODE`)
	require.NoError(t, err)
	reset := make(chan error, 1)
	go func() { reset <- manager.ResetProjection(t.Context(), "balances") }()
	b.eventually("the reset waits", func() bool {
		return b.int(`SELECT count(*) FROM pg_locks WHERE relation = 'journal'::regclass AND NOT granted`) == 1
	})
	_, err = reader.Exec(t.Context(), `LOCK TABLE balance IN ACCESS SHARE MODE`)
	require.NoError(t, err)
	require.NoError(t, reader.Commit(t.Context()))
	require.NoError(t, <-reset)
	require.Zero(t, b.int(`SELECT count(*) FROM journal`))
	require.Zero(t, b.status(manager, "balances").Position)
}

func TestResetsWhileFourWritersAppend(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := fast()
	config.PageEvents = 20
	manager, router := b.manager(config, balances())
	b.start(router)
	first := b.deposit(1)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				_, err := b.accounts.Update(t.Context(), fmt.Sprintf("account-%d", w), func(a *Account) error {
					return eventsourced.Record(a, &Deposited{Amount: 1})
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range soak.Times(10, 120) {
		require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
		b.requireConsistent()
		b.waitFor(manager, first)
		b.requireConsistent()
	}
	cancel()
	writers.Wait()
	last := b.deposit(1)
	b.waitFor(manager, last)
	b.requireExact(last)
}

// requireConsistent fails unless, in one snapshot, the read view has exactly the
// events up to the position that stands beside it.
func (b *bank) requireConsistent() {
	b.t.Helper()
	require.Zero(b.t, b.int(`SELECT (SELECT count(*) FROM journal) - count(*) FROM events, readviews r
		WHERE r.name = 'balances' AND tstamp <= r.position AND events.name = 'Deposited'`))
}

func TestClosingTheRouter(t *testing.T) {
	t.Parallel()
	// enter blocks the handler of the third event of a page.
	setUp := func(t *testing.T, drain time.Duration) (b *bank, entered, release chan struct{}, stop func()) {
		b = newBank(t)
		b.deposit(5)
		config := fast()
		config.DrainTimeout = drain
		entered, release = make(chan struct{}), make(chan struct{})
		n := 0
		_, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			if n++; n == 3 {
				close(entered)
				select {
				case <-release:
				case <-ctx.Done():
				}
			}
			return onDeposited(ctx, tx, e)
		})))
		return b, entered, release, b.start(router)
	}
	t.Run("lets the page be finished", func(t *testing.T) {
		t.Parallel()
		b, entered, release, stop := setUp(t, time.Minute)
		<-entered
		stopped := make(chan struct{})
		go func() { defer close(stopped); stop() }()
		select {
		case <-stopped:
			require.Fail(t, "the router did not wait for the page")
		case <-time.After(100 * time.Millisecond):
		}
		close(release)
		<-stopped
		b.requireExact(eventsourced.Position(b.int(`SELECT max(tstamp) FROM events`)))
	})
	t.Run("rolls the page back after the drain timeout", func(t *testing.T) {
		t.Parallel()
		b, entered, _, stop := setUp(t, 50*time.Millisecond)
		<-entered
		stop()
		require.Zero(t, b.int(`SELECT count(*) FROM journal`), "no half page")
		require.Zero(t, b.int(`SELECT position FROM readviews`))
	})
}

func TestIrrelevantEvents(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT n, gen_random_uuid(), 'Audited', 'bank.Account', 'audited', n, now(), '{}' FROM generate_series(1, 50000) n`)
	manager, router := b.manager(fast(), balances())
	pages := 0
	router.AddMiddleware(pageCount(&pages))
	last := b.deposit(1)
	b.start(router)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.Equal(t, 1, pages, "what is not handled is not read")
}
