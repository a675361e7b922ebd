package readview_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// A projection is reset over a log whose old part is archived, with the rows that it had.
func TestProjectionOfAnArchivedLog(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.deposit(60)
	b.exec(`UPDATE events SET tstamp = tstamp - 3 * 86400000000`)
	last := b.deposit(20)
	tables := func() []string {
		return append(b.rows(`SELECT account || ' ' || amount || ' ' || version FROM balance ORDER BY account`),
			b.rows(`SELECT position || ' ' || amount FROM journal ORDER BY position`)...)
	}
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	b.waitFor(manager, last)
	b.requireExact(last)
	want := tables()
	stop()

	dir := t.TempDir()
	bare := b.store
	b.store = pgstore.New(b.pool, registry(), pgstore.Config{Archive: os.DirFS(dir)})
	t.Cleanup(b.store.Close)
	report, err := b.store.Archive(t.Context(), pgstore.ArchiveOptions{Before: time.Now().Add(-48 * time.Hour), Dir: dir, SegmentEvents: 25})
	require.NoError(t, err)
	require.EqualValues(t, 60, report.Events)
	require.EqualValues(t, 55, report.Removed, "of five accounts the first event stays, and the last is newer")

	manager, router = b.manager(fast(), balances())
	stop = b.start(router)
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	b.waitFor(manager, last)
	require.Equal(t, want, tables())
	stop()

	// Without the archive it says what is missing, and applies nothing.
	b.store = bare
	manager, router = b.manager(fast(), balances())
	b.start(router)
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	b.eventually("the status says why", func() bool {
		failure := b.status(manager, "balances").Failure
		return failure != nil && failure.Error != ""
	})
	require.Contains(t, b.status(manager, "balances").Failure.Error, "in the archive")
	require.Zero(t, b.int(`SELECT count(*) FROM journal`))
}
