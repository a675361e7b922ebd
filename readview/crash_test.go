package readview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
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

func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	for name, c := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodesComeAndGo(newBank(t), c)
		})
	}
}

func nodesComeAndGo(b *bank, c way) {
	t := b.t
	ctx, cancel := context.WithTimeout(t.Context(), soak.For(4*time.Second, time.Minute))
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_, err := b.accounts.Update(t.Context(), fmt.Sprintf("account-%d", i%5), func(a *Account) error {
				return eventsourced.Record(a, &Deposited{Amount: 1})
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	nodes := []*exec.Cmd{b.spawn(c.environment), b.spawn(c.environment)}
	for ctx.Err() == nil { // two to five nodes, one more or one less each time
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.IntN(200)) * time.Millisecond):
		}
		if len(nodes) < 5 && (len(nodes) == 2 || rand.IntN(2) == 0) {
			nodes = append(nodes, b.spawn(c.environment))
			continue
		}
		victim := rand.IntN(len(nodes))
		signal := []os.Signal{syscall.SIGTERM, syscall.SIGKILL}[rand.IntN(2)]
		require.NoError(t, nodes[victim].Process.Signal(signal))
		nodes = append(nodes[:victim], nodes[victim+1:]...)
	}
	work.Wait()
	last := b.deposit(1)
	tool, _ := b.manager(fast(), c.projection)
	b.waitFor(tool, last)
	c.require(b, last)
}

func TestStoppedNodeIsTakenOverAndDoesNoHarm(t *testing.T) {
	t.Parallel()
	// The 150th event: the server has some of the page's statements by then.
	for name, c := range ways() {
		points := []string{"locked 1", "applied 1", "applied 150", "advanced 1", "committed 1"}
		if name != "statement by statement" && !soak.On {
			points = points[2:3] // the others are of the page, whichever way its statements go
		}
		for _, point := range points {
			t.Run("stopped when "+point+", "+name, func(t *testing.T) {
				t.Parallel()
				stoppedNode(newBank(t), c, point)
			})
		}
	}
}

func stoppedNode(b *bank, c way, point string) {
	t := b.t
	page := 7
	b.deposit(20)
	if point == "applied 150" {
		page = 1000
		b.deposit(180)
	}
	stopped := b.spawn(c.environment, childDies+"=SIGSTOP "+point, fmt.Sprint(childPage, "=", page))
	b.eventually("the node is stopped", func() bool { return processState(t, stopped.Process.Pid) == "T" })

	manager, router := b.manager(fast(), c.projection)
	b.start(router)
	last := b.deposit(5)
	b.waitFor(manager, last) // past what the stopped one holds
	c.require(b, last)

	require.NoError(t, stopped.Process.Signal(syscall.SIGCONT))
	b.eventually("the node goes on", func() bool { return processState(t, stopped.Process.Pid) != "T" })
	last = b.deposit(30)
	b.waitFor(manager, last)
	c.require(b, last)
	require.NoError(t, stopped.Process.Signal(syscall.SIGTERM))
	require.NoError(t, stopped.Wait(), "it ends in order")
	c.require(b, last)
}

// processState returns the letter of a process's state in the kernel's words.
func processState(t *testing.T, pid int) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-o", "state=", "-p", fmt.Sprint(pid)).Output()
	require.NoError(t, err)
	return string(out[:1])
}

func TestStandbyTakesOverWithinThePollInterval(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := fast()
	config.PollInterval = 2 * time.Second
	first, firstRouter := b.manager(config, balances())
	stop := b.start(firstRouter)
	b.waitFor(first, b.deposit(1))
	second, secondRouter := b.manager(config, balances())
	b.start(secondRouter)
	require.Equal(t, consumer.Live, b.status(first, "balances").State)
	require.Equal(t, consumer.Standby, b.status(second, "balances").State)
	b.waitFor(second, b.deposit(3))
	require.Equal(t, consumer.Standby, b.status(second, "balances").State, "one applies, the other stands by")

	stop()
	before := time.Now()
	last := b.deposit(3)
	b.waitFor(second, last)
	require.Less(t, time.Since(before), config.PollInterval)
	b.requireExact(last)
	require.Equal(t, consumer.Live, b.status(second, "balances").State)
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
