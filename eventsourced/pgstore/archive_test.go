package pgstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// oldLog is a log whose events are up to a month old, the last of them an hour.
type oldLog struct {
	t      *testing.T
	random *rand.Rand
	db     *testdb.DB
	dir    string
	store  *pgstore.Store
	events []eventsourced.Recorded // as they were before anything was archived
}

func newOldLog(t *testing.T, n int) *oldLog {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	l := &oldLog{t: t, random: rand.New(rand.NewPCG(seed, 0)), db: testdb.New(t, testdb.MaxConns(4)), dir: t.TempDir()}
	open(t, l.db)
	l.store = l.open(pgstore.Config{Archive: os.DirFS(l.dir)})
	var rows [][]any
	versions, began := map[string]int{}, time.Now().Add(-30*24*time.Hour)
	for i := range n {
		position := began.Add(time.Duration(i) * (30*24*time.Hour - time.Hour) / time.Duration(n)).UnixMicro()
		id := fmt.Sprint(l.random.IntN(1 + n/8))
		if i%5 == 0 {
			id = "long"
		}
		versions[id]++
		var metadata, tags any
		if l.random.IntN(2) == 0 {
			metadata = map[string]string{eventsourced.MetaCorrelation: fmt.Sprint(l.random.IntN(4))}
		}
		if l.random.IntN(9) == 0 {
			tags = []string{"a:1", "b:2"}
		}
		rows = append(rows, []any{position, [16]byte(encode(t, "x")[0].ID), []string{"Noted", "Unnoted"}[l.random.IntN(2)], "test.Note", id, versions[id],
			time.UnixMicro(position - l.random.Int64N(1e9)), fmt.Sprintf(`{"Text":  "%d"}`, i), metadata, tags})
	}
	_, err := l.db.Pool.CopyFrom(t.Context(), pgx.Identifier{"events"},
		[]string{"tstamp", "id", "name", "aggregate_name", "aggregate_id", "version", "occurred_at", "payload", "metadata", "tags"}, pgx.CopyFromRows(rows))
	require.NoError(t, err)
	l.events = read(t, l.store, eventsourced.LogQuery{})
	require.Len(t, l.events, n)
	return l
}

// open returns another process's store.
func (l *oldLog) open(config pgstore.Config) *pgstore.Store {
	store := pgstore.New(l.db.Pool, storetest.Registry(), config)
	l.t.Cleanup(store.Close)
	return store
}

func (l *oldLog) archive(ctx context.Context, before eventsourced.Position, segment int, progress func(pgstore.ArchiveProgress)) (pgstore.ArchiveReport, error) {
	return l.store.Archive(ctx, pgstore.ArchiveOptions{Before: before.Time(), Dir: l.dir, SegmentEvents: segment, Progress: progress})
}

// withhold takes the events from the i-th on out of the table, as if they were still to be appended, until the function that
// it returns is called.
func (l *oldLog) withhold(i int) (restore func()) {
	l.t.Helper()
	do := func(query string, arguments ...any) {
		_, err := l.db.Pool.Exec(l.t.Context(), query, arguments...)
		require.NoError(l.t, err)
	}
	do(`CREATE TABLE later (LIKE events)`)
	do(`WITH gone AS (DELETE FROM events WHERE tstamp >= $1 RETURNING *) INSERT INTO later SELECT * FROM gone`, int64(l.events[i].Position))
	return func() {
		do(`INSERT INTO events SELECT * FROM later`)
		do(`DROP TABLE later`)
	}
}

// old returns how many events may be archived.
func (l *oldLog) old() int {
	i, _ := slices.BinarySearchFunc(l.events, time.Now().Add(-25*time.Hour), func(e eventsourced.Recorded, at time.Time) int {
		return e.Position.Time().Compare(at)
	})
	return i - 1
}

func (l *oldLog) query() (q eventsourced.LogQuery) {
	some := func() eventsourced.Recorded { return l.events[l.random.IntN(len(l.events))] }
	set := func(f func()) {
		if l.random.IntN(4) == 0 {
			f()
		}
	}
	set(func() { q.After = some().Position - eventsourced.Position(l.random.IntN(2)) })
	set(func() { q.UpTo = some().Position })
	set(func() { q.Names = []string{some().Name, "Unknown"} })
	set(func() { q.Streams = []eventsourced.Stream{some().Stream, stream("long")} })
	set(func() { q.AggregateName = "test.Note" })
	set(func() { q.Since = some().Time })
	set(func() { q.Until = some().Time })
	set(func() { q.Correlation = "3" })
	set(func() { q.Limit = 1 + l.random.IntN(100) })
	q.Backwards = l.random.IntN(2) == 0
	return q
}

// same requires that everybody reads the log as it was.
func (l *oldLog) same(store *pgstore.Store, queries int) {
	l.t.Helper()
	require.Equal(l.t, l.events, read(l.t, store, eventsourced.LogQuery{}))
	for range queries {
		query := l.query()
		var want []eventsourced.Recorded
		for _, event := range l.events {
			if query.Selects(event) {
				want = append(want, event)
			}
		}
		if query.Backwards {
			slices.Reverse(want)
		}
		if query.Limit > 0 && len(want) > query.Limit {
			want = want[:query.Limit]
		}
		require.Equal(l.t, want, read(l.t, store, query), "%+v", query)
		n, err := store.CountLog(l.t.Context(), query)
		require.NoError(l.t, err)
		require.EqualValues(l.t, len(want), n, "%+v", query)
	}
	l.sameFirst(store, queries)
	for range queries {
		event := l.events[l.random.IntN(len(l.events))]
		l.sameStream(store, event.Stream, eventsourced.Version(l.random.IntN(int(event.Version)+1)))
	}
	l.sameStream(store, stream("long"), 0)
	l.sameStream(store, stream("none"), 0)
}

// sameFirst requires that many queries that are asked together are answered as if each were alone.
func (l *oldLog) sameFirst(store *pgstore.Store, n int) {
	l.t.Helper()
	var queries []eventsourced.LogQuery
	var want, got []eventsourced.Position
	for range n {
		asked := l.query()
		query := eventsourced.LogQuery{After: asked.After, UpTo: asked.UpTo, Names: asked.Names}
		i := slices.IndexFunc(l.events, query.Selects)
		queries, want = append(queries, query), append(want, append([]eventsourced.Recorded{{}}, l.events...)[i+1].Position)
	}
	first, err := store.FirstOfEach(l.t.Context(), queries)
	require.NoError(l.t, err)
	for _, event := range first {
		got = append(got, event.Position)
	}
	require.Equal(l.t, want, got, "%+v", queries)
}

func (l *oldLog) sameStream(store eventsourced.StreamReader, s eventsourced.Stream, after eventsourced.Version) {
	l.t.Helper()
	var want, got []eventsourced.Recorded
	for _, event := range l.events {
		if event.Stream == s && event.Version > after {
			want = append(want, event)
		}
	}
	for event, err := range store.ReadStream(l.t.Context(), s, after) {
		require.NoError(l.t, err)
		got = append(got, event)
	}
	require.Equal(l.t, want, got, "%s after %d", s, after)
}

func TestArchivedLogReadsAsItWas(t *testing.T) {
	t.Parallel()
	l := newOldLog(t, 500)
	other := l.open(pgstore.Config{Archive: os.DirFS(l.dir)}) // which is told nothing
	var archived int
	for cut := l.old() / 4; cut <= l.old(); cut += 1 + l.random.IntN(l.old()/3) {
		restore := l.withhold(cut + l.random.IntN(20))
		plan, err := l.store.Archive(t.Context(), pgstore.ArchiveOptions{Before: l.events[cut].Position.Time(), DryRun: true})
		require.NoError(t, err)
		report, err := l.archive(t.Context(), l.events[cut].Position, 30+l.random.IntN(100), nil)
		require.NoError(t, err)
		require.EqualValues(t, cut-archived, report.Events)
		require.Equal(t, l.events[cut-1].Position, report.To)
		require.Equal(t, plan.Events, report.Events)
		require.Equal(t, report.Events, report.Kept+plan.Removed)
		require.GreaterOrEqual(t, report.Removed, plan.Removed, "what was kept before goes too when it is no more the last")
		archived = cut
		restore()
		l.same(l.store, 15)
		l.same(other, 5)
	}
	require.NoError(t, pgx.BeginFunc(t.Context(), l.db.Pool, func(tx pgx.Tx) error {
		l.sameStream(l.store.Tx(tx), stream("long"), 0)
		l.sameStream(l.open(pgstore.Config{Archive: os.DirFS(l.dir)}).Tx(tx), stream("long"), 3)
		return nil
	}))

	all, err := l.store.Partitions(t.Context())
	require.NoError(t, err)
	m, err := logarchive.ReadManifest(os.DirFS(l.dir))
	require.NoError(t, err)
	require.Len(t, all, len(m.Segments)+1)
	var events int64
	for i, s := range m.Segments {
		require.Equal(t, []any{s.File, s.First, s.Last, s.SHA256}, []any{all[i].File, all[i].From, all[i].To, all[i].SHA256})
		require.NoError(t, logarchive.Check(t.Context(), os.DirFS(l.dir), m.Log, s))
		events += all[i].Events
	}
	require.EqualValues(t, archived, events)
	table := all[len(all)-1]
	require.Equal(t, l.events[archived].Position, table.From)
	require.Equal(t, l.events[len(l.events)-1].Position, table.To)
	estimates, err := l.store.EstimateEach(t.Context(), []eventsourced.LogQuery{
		{After: m.Segments[0].Last, UpTo: m.Segments[1].Last}, {UpTo: m.Segments[0].Last},
	})
	require.NoError(t, err)
	require.Equal(t, []int64{m.Segments[1].Events, m.Segments[0].Events}, estimates)
}

// What an append decides does not depend on what is archived.
func TestAppendsToArchivedStreams(t *testing.T) {
	t.Parallel()
	l := newOldLog(t, 300)
	for _, cut := range []int{l.old() / 2, l.old()} {
		restore := l.withhold(cut) // the last of each stream that is archived stays, and is not the last for ever
		_, err := l.archive(t.Context(), l.events[cut].Position, 1_000, nil)
		require.NoError(t, err)
		restore()
		last := map[eventsourced.Stream]eventsourced.Recorded{}
		for _, event := range l.events {
			last[event.Stream] = event
		}
		for s, event := range last {
			for version := range event.Version + 2 {
				if version != event.Version && (s.AggregateID == "long" || version < 3) {
					_, err := l.store.Append(t.Context(), s, eventsourced.AtVersion(version), encode(t, "x"))
					require.ErrorIs(t, err, eventsourced.ErrConflict, "%s has version %d, not %d", s, event.Version, version)
				}
			}
			at, err := l.store.Append(t.Context(), s, eventsourced.StreamExists, []eventsourced.EventData{event.EventData})
			require.NoError(t, err)
			require.Equal(t, event.Position, at, "a repeated append of the last event is recognised for ever")
		}
	}
	for _, s := range []eventsourced.Stream{stream("long"), l.events[1].Stream} {
		last := len(read(t, l.store, eventsourced.LogQuery{Streams: []eventsourced.Stream{s}}))
		_, err := l.store.Append(t.Context(), s, eventsourced.AtVersion(eventsourced.Version(last)), encode(t, "x"))
		require.NoError(t, err)
	}
	l.events = append(l.events, read(t, l.store, eventsourced.LogQuery{After: l.events[len(l.events)-1].Position})...)
	l.same(l.store, 10)
}

// It ends at each of its steps, by its context or with its connection, and goes on.
func TestArchiveIsEndedAnywhere(t *testing.T) {
	t.Parallel()
	l := newOldLog(t, 200)
	other := l.open(pgstore.Config{Archive: os.DirFS(l.dir)})
	for end := 1; ; end++ {
		require.Less(t, end, 100)
		ctx, cancel := context.WithCancel(t.Context())
		step := 0
		_, err := l.archive(ctx, l.events[l.old()].Position, 50+end, func(p pgstore.ArchiveProgress) {
			if step++; step != end {
				return
			}
			if end%2 == 0 && p.Step != pgstore.ArchiveDone {
				_, err := l.db.Pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1702260337 AND objid = 'events'::regclass::oid`)
				require.NoError(t, err)
				return
			}
			cancel()
		})
		cancel()
		l.same(other, 2)
		if step < end {
			require.NoError(t, err)
			break
		}
	}
	m, err := logarchive.ReadManifest(os.DirFS(l.dir))
	require.NoError(t, err)
	require.Greater(t, len(m.Segments), 2)
	files, err := filepath.Glob(filepath.Join(l.dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, len(m.Segments)+1, "and the manifest: what was written before the end is used")
	var n int64
	require.NoError(t, l.db.Pool.QueryRow(t.Context(), `SELECT sum(events) FROM log_archive`).Scan(&n))
	require.EqualValues(t, l.old(), n)
}

// Readers that know nothing of it follow the log in pages while it is archived below them.
func TestReadersWhileEventsAreArchived(t *testing.T) {
	t.Parallel()
	l := newOldLog(t, 400)
	var group sync.WaitGroup
	ended := make(chan struct{})
	for reader := range 2 {
		store := l.open(pgstore.Config{Archive: os.DirFS(l.dir)})
		group.Go(func() {
			for done := false; !done; {
				select {
				case <-ended:
					done = true // and once more
				default:
				}
				var all []eventsourced.Recorded
				for after := eventsourced.Position(0); ; after = all[len(all)-1].Position {
					n := len(all)
					for event, err := range store.ReadLog(t.Context(), eventsourced.LogQuery{After: after, Limit: 40 + 50*reader}) {
						if err != nil {
							t.Error(err)
							return
						}
						all = append(all, event)
					}
					if len(all) == n {
						break
					}
				}
				if len(all) != len(l.events) {
					t.Errorf("%d events of %d", len(all), len(l.events))
					return
				}
				n := 0
				for _, err := range store.ReadStream(t.Context(), stream("long"), 0) {
					if n++; err != nil {
						t.Error(err)
						return
					}
				}
				if n != len(l.events)/5 {
					t.Errorf("%d events of the stream, of %d", n, len(l.events)/5)
					return
				}
			}
		})
	}
	_, err := l.archive(t.Context(), l.events[l.old()].Position, 25, nil)
	close(ended)
	group.Wait()
	require.NoError(t, err)
}
