package pgstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// inspected is a log of a hundred events: each tenth is of the aggregate "rare" and has a
// correlation, the first of them a NUL in its metadata.
func inspected(t *testing.T) (*testdb.DB, *pgstore.Store) {
	t.Helper()
	db := testdb.New(t)
	store := open(t, db)
	_, err := db.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload, metadata)
		SELECT n, gen_random_uuid(), CASE WHEN n % 2 = 0 THEN 'Even' ELSE 'Odd' END, CASE WHEN n % 10 = 0 THEN 'rare' ELSE 'frequent' END, 'x', n, now(), '{"secret": 1}',
			CASE WHEN n = 10 THEN '{"correlation_id": "c", "z": "\u0000"}' WHEN n % 10 = 0 THEN '{"correlation_id": "c"}' END::json
		FROM generate_series(1, 100) n`)
	require.NoError(t, err)
	return db, store
}

func positions(events []eventsourced.Recorded) (all []int64) {
	for _, event := range events {
		all = append(all, int64(event.Position))
	}
	return all
}

// Who looks into the log gets a page of it, and is told whether that is all.
func TestInspectorFinds(t *testing.T) {
	t.Parallel()
	_, store := inspected(t)
	inspector := store.Inspector(pgstore.InspectorConfig{Scan: 25})
	type query = eventsourced.LogQuery
	x := []eventsourced.Stream{{AggregateName: "frequent", AggregateID: "x"}}
	for name, test := range map[string]struct {
		query query
		want  []int64
		more  pgstore.Found // without events
	}{
		"the last ones":            {query{Backwards: true, Limit: 3}, []int64{100, 99, 98}, pgstore.Found{More: true, Next: 97}},
		"those before":             {query{Backwards: true, Limit: 3, UpTo: 3}, []int64{3, 2, 1}, pgstore.Found{}},
		"onwards":                  {query{After: 10, Limit: 2}, []int64{11, 12}, pgstore.Found{More: true, Next: 12}},
		"exactly all":              {query{After: 98, Limit: 2}, []int64{99, 100}, pgstore.Found{}},
		"a name, however far away": {query{Names: []string{"Even"}, Backwards: true, UpTo: 95, Limit: 2}, []int64{94, 92}, pgstore.Found{More: true, Next: 91}},
		"a stream":                 {query{Streams: x, Backwards: true, UpTo: 10, Limit: 2}, []int64{9, 8}, pgstore.Found{More: true, Next: 7}},
		"an aggregate, among those that are looked at": {query{AggregateName: "rare", Backwards: true}, []int64{100, 90, 80}, pgstore.Found{More: true, Cut: true, Next: 75}},
		"and further back":                                 {query{AggregateName: "rare", Backwards: true, UpTo: 75}, []int64{70, 60}, pgstore.Found{More: true, Cut: true, Next: 50}},
		"and to the beginning":                             {query{AggregateName: "rare", Backwards: true, UpTo: 25}, []int64{20, 10}, pgstore.Found{}},
		"and to just before it":                            {query{AggregateName: "rare", Backwards: true, UpTo: 26}, []int64{20, 10}, pgstore.Found{More: true, Cut: true, Next: 1}},
		"a correlation, onwards":                           {query{Correlation: "c", After: 5}, []int64{10, 20, 30}, pgstore.Found{More: true, Cut: true, Next: 30}},
		"a correlation, and there are more than the limit": {query{Correlation: "c", Limit: 1}, []int64{10}, pgstore.Found{More: true, Next: 10}},
		"a correlation of a name":                          {query{Correlation: "c", Names: []string{"Even"}, Backwards: true}, []int64{100, 90, 80, 70, 60}, pgstore.Found{More: true, Cut: true, Next: 51}},
		"a name in a stream":                               {query{Streams: x, Names: []string{"Even"}, UpTo: 30}, []int64{2, 4, 6, 8, 12, 14, 16, 18, 22, 24, 26}, pgstore.Found{More: true, Cut: true, Next: 27}},
		"nothing":                                          {query{Names: []string{"Neither"}}, nil, pgstore.Found{}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := inspector.Find(t.Context(), test.query)
			require.NoError(t, err)
			require.Equal(t, test.want, positions(found.Events))
			for _, event := range found.Events {
				require.Nil(t, event.Payload)
				require.Equal(t, "x", event.Stream.AggregateID)
			}
			found.Events = nil
			require.Equal(t, test.more, found)
		})
	}
	t.Run("a correlation, however it is written", func(t *testing.T) {
		db, store := inspected(t)
		for position, metadata := range map[int]string{11: `{"correlation_id": "\u0064 \"å\""}`, 12: `{"correlation_id": "d \"\u00e5\""}`, 13: `{"correlation_\u0069d": "d \u0022å\u0022"}`, 14: `{"other": "d \"å\""}`} {
			_, err := db.Pool.Exec(t.Context(), `UPDATE events SET metadata = $2 WHERE tstamp = $1`, position, metadata)
			require.NoError(t, err)
		}
		found, err := store.Inspector(pgstore.InspectorConfig{}).Find(t.Context(), query{Correlation: `d "å"`})
		require.NoError(t, err)
		require.Equal(t, []int64{11, 12, 13}, positions(found.Events))
	})
	t.Run("counted, as far as it looks", func(t *testing.T) {
		for _, test := range []struct {
			query query
			n     int64
			more  bool
		}{
			{query{}, 100, false},
			{query{Limit: 100}, 100, false},
			{query{Limit: 99}, 99, true},
			{query{Correlation: "c"}, 2, true},
			{query{Correlation: "c", After: 80}, 2, false},
			{query{Correlation: "c", Backwards: true}, 3, true},
		} {
			n, more, err := inspector.Count(t.Context(), test.query)
			require.NoError(t, err)
			require.Equal(t, test.n, n, "%+v", test.query)
			require.Equal(t, test.more, more, "%+v", test.query)
		}
		_, _, err := inspector.Count(t.Context(), query{Limit: -1})
		require.ErrorIs(t, err, eventsourced.ErrInvalid)
	})
	t.Run("one event, with its payload", func(t *testing.T) {
		event, err := inspector.Event(t.Context(), 20)
		require.NoError(t, err)
		require.JSONEq(t, `{"secret": 1}`, string(event.Payload))
		same, err := inspector.EventByID(t.Context(), event.ID)
		require.NoError(t, err)
		require.Equal(t, event, same)
		none, err := inspector.Event(t.Context(), 1000)
		require.NoError(t, err)
		require.Nil(t, none)
	})
	t.Run("a query that no store accepts is refused", func(t *testing.T) {
		_, err := inspector.Find(t.Context(), query{Limit: -1})
		require.ErrorIs(t, err, eventsourced.ErrInvalid)
	})
	t.Run("a config that makes no sense is refused", func(t *testing.T) {
		require.PanicsWithValue(t, "pgstore.InspectorConfig: Timeout is -1ns, want up to 1m0s, or 0 for 2s\npgstore.InspectorConfig: Scan is negative",
			func() { store.Inspector(pgstore.InspectorConfig{Timeout: -1, Scan: -1}) })
	})
}

// A question that takes too long is given up by the server, and its connection is kept.
func TestInspectorGivesUp(t *testing.T) {
	t.Parallel()
	db, store := inspected(t)
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), `LOCK TABLE events IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	inspector := store.Inspector(pgstore.InspectorConfig{Timeout: 20 * time.Millisecond})
	before := db.Pool.Stat().NewConnsCount()
	for name, ask := range map[string]func() error{
		"a search": func() error { _, err := inspector.Find(t.Context(), eventsourced.LogQuery{}); return err },
		"an event": func() error { _, err := inspector.Event(t.Context(), 1); return err },
		"figures":  func() error { _, err := inspector.Figures(t.Context()); return err },
		"a chain": func() error {
			_, err := inspector.Chain(t.Context(), &eventsourced.Recorded{EventData: eventsourced.EventData{ID: eventsourced.NewEventID()}})
			return err
		},
	} {
		require.ErrorIs(t, ask(), pgstore.ErrTooLong, name)
	}
	require.LessOrEqual(t, db.Pool.Stat().NewConnsCount(), before+1)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = inspector.Event(ended, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, pgstore.ErrTooLong)
}

// A search that takes too long, here because of a lock, is asked once more of a twentieth of the events.
func TestInspectorCutsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	db, store := inspected(t)
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), `LOCK TABLE events IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	type answer struct {
		found pgstore.Found
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		found, err := store.Inspector(pgstore.InspectorConfig{Timeout: 2 * time.Second, Scan: 20 * 3}).Find(t.Context(), eventsourced.LogQuery{Correlation: "nobody's"})
		answers <- answer{found, err}
	}()
	waits := map[time.Time]bool{} // the transactions that have
	require.Eventually(t, func() bool {
		rows, err := db.Pool.Query(t.Context(), `SELECT xact_start FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid IN
			(SELECT pid FROM pg_locks WHERE relation = 'events'::regclass AND NOT granted)`)
		require.NoError(t, err)
		began, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
		require.NoError(t, err)
		for _, at := range began {
			waits[at] = true
		}
		return len(waits) == 2
	}, time.Minute, 5*time.Millisecond, "it is asked once more")
	require.NoError(t, tx.Rollback(t.Context()))
	got := <-answers
	require.NoError(t, got.err)
	require.True(t, got.found.Cut)
	require.Empty(t, got.found.Events)
	require.EqualValues(t, 3, got.found.Next)
}
