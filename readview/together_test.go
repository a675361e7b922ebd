package readview_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview"
)

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
		for i := range 10 {
			require.NoError(b.t, manager.Add(readview.Projection{Name: fmt.Sprintf("entries-%d", i), Handlers: entries().Handlers}))
		}
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
	manager, router := b.manager(fast(), balances(), audits())
	b.start(router)
	b.waitFor(manager, b.deposit(1))
	end := b.hold(`SELECT FROM readview_states WHERE name = 'balances' FOR UPDATE`)
	defer end()
	b.exec(`CREATE TABLE locked AS SELECT clock_timestamp() AS since`)
	b.eventually("the other one's lease is renewed", func() bool {
		return b.int(`SELECT count(*) FROM readview_states, locked WHERE name = 'audits' AND lease_until > since + interval '1 second'`) == 1
	})
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
