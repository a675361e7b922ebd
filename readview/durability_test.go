package readview_test

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

// A page that is not flushed is lost with its position when the server crashes, and applied again.
func TestDeferredPages(t *testing.T) {
	t.Parallel()
	b := newCrashingBank(t, map[string]string{"wal_writer_delay": "10s"})
	b.exec(ledgerTables)
	at := func(sql string) (n int64, err error) {
		err = b.pool.QueryRow(t.Context(), sql).Scan(&n)
		return n, err
	}
	position := func() (int64, error) { return at(`SELECT position FROM readviews WHERE name = 'ledger'`) }
	projection := ledger()
	projection.Durability = readview.Deferred
	manager, router := b.manager(fast(), projection)
	var armed atomic.Bool
	var crashes, lost atomic.Int64
	readview.SetFailpoint(manager, func(point string) {
		if point != "committed" || !armed.Swap(false) {
			return
		}
		visible, err := position()
		assert.NoError(t, err)
		b.crash()
		after, err := position()
		assert.NoError(t, err)
		if after < visible {
			lost.Add(1)
		}
		highest, err := at(`SELECT coalesce(max(position), 0) FROM ledger`)
		assert.NoError(t, err)
		assert.Equal(t, after, highest, "rows and position are of one page")
		crashes.Add(1)
	})
	b.start(router)
	last := b.deposit(3)
	b.waitFor(manager, last)
	rounds := int64(1)
	if soak.On {
		rounds = 10
	}
	for crashes.Load() < 5*rounds && lost.Load() < rounds {
		before := crashes.Load()
		armed.Store(true)
		last = b.deposit(1)
		b.eventually("the server has crashed and all is applied", func() bool {
			applied, err := position()
			return err == nil && crashes.Load() > before && applied >= int64(last)
		})
		b.requireLedger(last)
	}
	require.GreaterOrEqual(t, lost.Load(), rounds, "of %d crashes", crashes.Load())
}
