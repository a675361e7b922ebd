package readview_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// A catch-up has a few pages in memory, however long it is, and whatever has kept something of one of them.
func TestACatchUpLetsGoOfItsPages(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	const pages, perPage = 200, 50
	var last eventsourced.Position
	for account := range 10 {
		last = b.record(fmt.Sprint("account-", account), slices.Repeat([]eventsourced.Event{&Deposited{Amount: 1}}, pages*perPage/10)...)
	}
	var live atomic.Int64 // events
	most, calls := int64(0), 0
	var kept context.Context
	config := fast()
	config.PageEvents = perPage
	manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if kept == nil {
			kept = ctx
		}
		live.Add(1)
		runtime.AddCleanup(e, func(live *atomic.Int64) { live.Add(-1) }, &live)
		if calls++; calls%(20*perPage) == 0 {
			runtime.GC()
			runtime.GC() // cleanups of the one before have begun
			most = max(most, live.Load())
		}
		return onDeposited(ctx, tx, e)
	})))
	b.start(router)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.NotNil(t, kept)
	require.Less(t, most, int64(20*perPage))
	runtime.KeepAlive(kept)
}
