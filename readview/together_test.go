package readview_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview"
)

// many returns n projections of deposits.
func many(n int) (all []readview.Projection) {
	for i := range n {
		all = append(all, readview.Projection{Name: fmt.Sprintf("entries-%d", i), Handlers: entries().Handlers})
	}
	return all
}

// nodesOf runs n nodes with ten projections of deposits, and returns one of them and what they all send.
func (b *bank) nodesOf(n int, config readview.Config) (*readview.Manager, *queries) {
	b.t.Helper()
	sent := new(queries)
	pool := b.answering(40, sent)
	store := pgstore.New(pool, registry(), pgstore.Config{})
	b.t.Cleanup(store.Close)
	var manager *readview.Manager
	for range n {
		router := newRouter(b.t)
		var err error
		manager, err = readview.NewManager(router, store, pool, config)
		require.NoError(b.t, err)
		require.NoError(b.t, manager.Add(many(10)...))
		b.start(router)
	}
	b.waitFor(manager, b.deposit(3))
	return manager, sent
}

// What nodes with nothing to apply send depends on how many they are, not on how many projections they have.
func TestProjectionsOfANodeAskTogether(t *testing.T) {
	t.Parallel()
	t.Run("when nothing happens", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		config := fast()
		config.PollInterval = time.Second
		_, sent := b.nodesOf(3, config)
		b.eventually("all have come to rest", func() bool {
			before := sent.Load()
			return wait.Sleep(t.Context(), 500*time.Millisecond) && sent.Load()-before < 50
		})
		before := sent.Load()
		require.True(t, wait.Sleep(t.Context(), time.Second))
		// Of each node 5 renewals and a look at the log, of two queries; of those that stand by for another one 2 looks
		// at the leases.
		require.Less(t, sent.Load()-before, int64(40))
		require.EqualValues(t, 10, b.int(`SELECT count(*) FROM readview_states WHERE lease_until > clock_timestamp()`))
	})
	t.Run("while events come that are none of theirs", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		manager, sent := b.nodesOf(1, fast())
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		var last eventsourced.Position
		began, before := time.Now(), sent.Load()
		for range 100 {
			last = b.record("anna", &Audited{})
			<-ticker.C
		}
		most := 400 * time.Since(began).Seconds()
		require.Less(t, float64(sent.Load()-before), most, "%s", time.Since(began))
		b.waitFor(manager, last)
		b.waitFor(manager, b.deposit(1))
		require.EqualValues(t, 10*4, b.int(`SELECT count(*) FROM journal`), "each of them has every deposit once")
	})
}

// A projection whose row somebody has locked, for a reset perhaps, keeps no other one from its lease.
func TestALockedProjectionLeavesTheOthersTheirLeases(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config, observer := fast(), &told{ids: map[consumer.ID]bool{}}
	config.Observer = observer
	manager, router := b.manager(config, balances(), audits())
	b.start(router)
	b.waitFor(manager, b.deposit(1))
	end := b.hold(`SELECT FROM readview_states WHERE name = 'balances' FOR UPDATE`)
	defer end()
	b.exec(`CREATE TABLE locked AS SELECT clock_timestamp() AS since`)
	b.eventually("the other one's lease is renewed", func() bool {
		return b.int(`SELECT count(*) FROM readview_states, locked WHERE name = 'audits' AND lease_until > since + interval '1 second'`) == 1
	})
	observer.mu.Lock()
	defer observer.mu.Unlock()
	require.Empty(t, observer.failures, "and no renewal has waited until it was given up")
}

// What comes while a projection applies a page, and nobody waits at the end of the log, is not left for the next poll.
func TestAnEventThatComesWhileAPageIsApplied(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config, entered, release := fast(), make(chan struct{}, 10), make(chan struct{})
	config.PollInterval = 10 * time.Minute
	manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		entered <- struct{}{}
		<-release
		return onDeposited(ctx, tx, e)
	})))
	b.start(router)
	b.waitFor(manager, b.record("anna", &Audited{})) // it waits at the end
	b.deposit(1)
	<-entered
	last := b.deposit(1)
	require.True(t, wait.Sleep(t.Context(), 100*time.Millisecond)) // the wake-up has come
	close(release)
	b.waitFor(manager, last)
	b.requireExact(last)
}

// A status asks the log once for all that stand at the same position and handle the same.
func TestAStatusOfManyAsksOnce(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.deposit(3)
	sent := new(queries)
	pool := b.answering(2, sent)
	store := pgstore.New(pool, registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	manager, err := readview.NewManager(nil, store, pool, fast(), many(10)...)
	require.NoError(t, err)
	all, err := manager.Status(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 10)
	for _, status := range all {
		require.EqualValues(t, 3, status.Behind)
	}
	require.Less(t, sent.Load(), int64(10))

	// Wherever they stand, what each waits for is asked about together, and counted from one to the next.
	b.deposit(7)
	b.exec(`INSERT INTO readviews (name, position) SELECT 'entries-' || n - 1, tstamp FROM
		(SELECT tstamp, row_number() OVER (ORDER BY tstamp) AS n FROM events WHERE name = 'Deposited') e ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position`)
	b.exec(`INSERT INTO readview_states (name, handled) SELECT name, '{Deposited}' FROM readviews ON CONFLICT DO NOTHING`)
	before := sent.Load()
	all, err = manager.Status(t.Context())
	require.NoError(t, err)
	for i, status := range all {
		require.EqualValues(t, 9-i, status.Behind, status.Name)
	}
	require.Less(t, sent.Load()-before, int64(18))
}

// The position of a projection is moved over others' events only as long as it is what it was.
func TestPositionsThatMayNotMove(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"of one that was paused":                       `UPDATE readview_states SET status = 'paused' WHERE name = 'balances'`,
		"of one that another program has taken":        `UPDATE readview_states SET generation = generation + 1 WHERE name = 'balances'`,
		"of one that somebody has set back":            `UPDATE readviews SET position = 1 WHERE name = 'balances'`,
		"of one whose position somebody has gone from": `DELETE FROM readviews WHERE name = 'balances'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			config := fast()
			config.PollInterval = time.Minute // nobody looks at states meanwhile
			other := readview.Projection{Name: "other", Handlers: entries().Handlers}
			manager, router := b.manager(config, balances(), other)
			b.start(router)
			b.waitFor(manager, b.record("anna", &Audited{}))
			b.exec(change)
			before := b.rows(`SELECT position::text FROM readviews WHERE name = 'balances'`)
			b.waitFor(manager, b.record("anna", &Audited{}), "other")
			require.Equal(t, before, b.rows(`SELECT position::text FROM readviews WHERE name = 'balances'`))
		})
	}
}
