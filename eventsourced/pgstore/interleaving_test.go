package pgstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// Steps of a session, each one word to the server.
const (
	begin    = "begin"
	write    = "write" // to another table, so that the transaction has an id early or late
	appends  = "append"
	commit   = "commit"
	rollback = "rollback"
)

// TestInterleavings runs every order of the steps of two and of three sessions,
// with every outcome, while a reader tails. What the reader has seen in the end,
// in the order in which it saw it, is the log: nothing skipped, nothing twice,
// each aggregate in order.
func TestInterleavings(t *testing.T) {
	t.Parallel()
	early, late := []string{begin, write, appends}, []string{begin, appends, write}
	brief := []string{begin, appends}
	t.Run("of two sessions", func(t *testing.T) {
		t.Parallel()
		w := newWorkshop(t, 2)
		for _, scripts := range [][][]string{{early, early}, {early, late}, {late, late}} {
			w.runAll(scripts)
		}
	})
	t.Run("of three sessions", func(t *testing.T) {
		t.Parallel()
		w := newWorkshop(t, 3)
		w.runAll([][]string{brief, brief, brief})
	})
}

// workshop has the sessions, the log and its reader.
type workshop struct {
	t        *testing.T
	db       *testdb.DB
	store    *pgstore.Store
	sessions []*session
	seen     []eventsourced.Recorded
	cases    int
}

type session struct {
	conn   *pgx.Conn
	tx     pgx.Tx
	number int
	todo   chan func()   // its steps, in a goroutine of its own
	done   chan struct{} // a value for each step that is through
}

func newWorkshop(t *testing.T, sessions int) *workshop {
	t.Helper()
	db := testdb.New(t)
	w := &workshop{t: t, db: db, store: open(t, db)}
	_, err := db.Pool.Exec(t.Context(), `CREATE TABLE other (n BIGINT)`)
	require.NoError(t, err)
	for i := range sessions {
		conn, err := pgx.Connect(t.Context(), db.URL)
		require.NoError(t, err)
		s := &session{conn: conn, number: i, todo: make(chan func(), 10), done: make(chan struct{}, 10)}
		go func() {
			for step := range s.todo {
				step()
				s.done <- struct{}{}
			}
		}()
		t.Cleanup(func() {
			close(s.todo)
			require.NoError(t, conn.Close(context.WithoutCancel(t.Context())))
		})
		w.sessions = append(w.sessions, s)
	}
	return w
}

// runAll runs all interleavings of the scripts, each ending with every
// combination of commit and rollback.
func (w *workshop) runAll(scripts [][]string) {
	interleave(make([]int, len(scripts)), scripts, nil, func(order []int) {
		for outcomes := range 1 << len(scripts) {
			w.run(scripts, order, outcomes)
			if w.t.Failed() {
				return
			}
		}
	})
	require.Greater(w.t, w.cases, 100)
}

// interleave yields every order in which sessions can take their steps, the end
// being one step more than the script. Where two sessions have one script, only
// orders in which they begin by number: the others are the same but for names.
func interleave(taken []int, scripts [][]string, order []int, yield func([]int)) {
	finished := true
	for i, script := range scripts {
		if taken[i] > len(script) {
			continue
		}
		finished = false
		if taken[i] == 0 && i > 0 && taken[i-1] == 0 && fmt.Sprint(scripts[i-1]) == fmt.Sprint(script) {
			continue
		}
		taken[i]++
		interleave(taken, scripts, append(order, i), yield)
		taken[i]--
	}
	if finished {
		yield(order)
	}
}

func (w *workshop) run(scripts [][]string, order []int, outcomes int) {
	w.cases++
	taken := make([]int, len(scripts))
	waiting := make([]int, len(scripts)) // steps issued and not known to be through
	holder := -1                         // of the log's lock
	var queue []int                      // sessions that wait for it, in turn
	story := ""

	// settle waits for the session's steps to be through.
	settle := func(i int) {
		for ; waiting[i] > 0; waiting[i]-- {
			select {
			case <-w.sessions[i].done:
			case <-time.After(20 * time.Second):
				require.Fail(w.t, "session "+fmt.Sprint(i)+" hangs", story)
			}
		}
	}
	for _, i := range order {
		step := commit
		if taken[i] < len(scripts[i]) {
			step = scripts[i][taken[i]]
		} else if outcomes>>i&1 == 1 {
			step = rollback
		}
		taken[i]++
		story += fmt.Sprintf("%d:%s ", i, step)
		waiting[i]++
		w.sessions[i].todo <- func() { w.step(w.sessions[i], step) }
		if step == appends {
			if holder >= 0 {
				queue = append(queue, i)
				w.awaitBlocked(len(queue), story)
				continue
			}
			holder = i
		}
		if waits(queue, i) {
			continue // behind its own append
		}
		settle(i)
		for (step == commit || step == rollback) && holder == i {
			// The next one in turn gets the lock, and may have its end in its queue.
			holder = -1
			if len(queue) > 0 {
				holder, queue = queue[0], queue[1:]
				settle(holder)
				if taken[holder] > len(scripts[holder]) {
					i = holder
				}
			}
		}
		if step != begin && step != write { // which show a reader nothing
			w.tail()
		}
	}
	for i := range scripts {
		settle(i)
	}
	w.tail()
	if w.t.Failed() {
		return
	}
	log := read(w.t, w.store, eventsourced.LogQuery{})
	require.Len(w.t, w.seen, len(log), story)
	versions := map[eventsourced.Stream]eventsourced.Version{}
	for i, event := range log {
		versions[event.Stream]++
		if event.ID != w.seen[i].ID || event.Version != versions[event.Stream] {
			require.Equal(w.t, log, w.seen, story)
			require.Equal(w.t, versions[event.Stream], event.Version, story)
		}
	}
	if w.cases%10 == 0 { // the comparison of a long log takes longer than the case
		_, err := w.db.Pool.Exec(w.t.Context(), `DELETE FROM events`)
		require.NoError(w.t, err)
		w.seen = nil
	}
}

func waits(queue []int, session int) bool {
	for _, waiting := range queue {
		if waiting == session {
			return true
		}
	}
	return false
}

// step runs in the session's goroutine.
func (w *workshop) step(s *session, step string) {
	ctx := w.t.Context()
	var err error
	switch step {
	case begin:
		s.tx, err = s.conn.Begin(ctx)
	case write:
		_, err = s.tx.Exec(ctx, `INSERT INTO other VALUES ($1)`, s.number)
	case appends:
		events := make([]eventsourced.Event, s.number+1)
		for i := range events {
			events[i] = &storetest.Noted{}
		}
		var encoded []eventsourced.EventData
		if encoded, err = storetest.Registry().Encode(ctx, events...); err == nil {
			// Two sessions share a stream, the third has its own.
			id := fmt.Sprint(s.number / 2)
			_, err = w.store.AppendTx(ctx, s.tx, eventsourced.Stream{AggregateName: "test.Note", AggregateID: id}, eventsourced.Any, encoded)
		}
	case commit:
		err = s.tx.Commit(ctx)
	case rollback:
		err = s.tx.Rollback(ctx)
	}
	if err != nil {
		w.t.Errorf("session %d, %s: %v", s.number, step, err)
	}
}

// tail reads what is new, as a consumer does.
func (w *workshop) tail() {
	var after eventsourced.Position
	if len(w.seen) > 0 {
		after = w.seen[len(w.seen)-1].Position
	}
	w.seen = append(w.seen, read(w.t, w.store, eventsourced.LogQuery{After: after})...)
}

// awaitBlocked waits until so many sessions wait for the log's lock.
func (w *workshop) awaitBlocked(want int, story string) {
	require.Eventually(w.t, func() bool { // with rests: a look costs the server more than an append
		var blocked int
		err := w.db.Pool.QueryRow(w.t.Context(), `SELECT count(*) FROM pg_locks
			WHERE locktype = 'advisory' AND NOT granted AND objid = 'events'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&blocked)
		return assert.NoError(w.t, err) && blocked == want
	}, 20*time.Second, time.Millisecond, "%d sessions wait: %s", want, story)
}

// An append waits for whoever has the lock, and goes on from what that one leaves, even
// if it is ahead of the clock: so it looks at the log after it has the lock, although its
// statement is there before. It is so for each way of appending, and with plans of each kind.
func TestAppendsFollowTheOneBefore(t *testing.T) {
	t.Parallel()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe} {
		for _, plans := range []string{"auto", "force_generic_plan", "force_custom_plan"} {
			t.Run(fmt.Sprint(mode, ", plans: ", plans), func(t *testing.T) {
				t.Parallel()
				followTheOneBefore(t, testdb.New(t, func(c *pgxpool.Config) {
					c.ConnConfig.DefaultQueryExecMode = mode
					c.ConnConfig.RuntimeParams["plan_cache_mode"] = plans
				}))
			})
		}
	}
}

func followTheOneBefore(t *testing.T, db *testdb.DB) {
	w := &workshop{t: t, db: db, store: open(t, db)}
	_, err := w.store.Append(t.Context(), stream("old"), eventsourced.NoStream, encode(t, "x"))
	require.NoError(t, err)
	for _, large := range []bool{false, true} { // a log, which changes the statements
		if large {
			_, err := w.db.Pool.Exec(t.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
				SELECT n, gen_random_uuid(), 'Noted', 'Note', 'old-' || n, 1, now(), '{}' FROM generate_series(1, 20000) n`)
			require.NoError(t, err)
		}
		for _, way := range []struct {
			id       string
			expected eventsourced.Expected
			texts    []string
			inTx     bool
		}{
			{"one", eventsourced.NoStream, []string{"a"}, false},
			{"one", eventsourced.AtVersion(1), []string{"b"}, false},
			{"many", eventsourced.NoStream, []string{"a", "b"}, false},
			{"tx", eventsourced.NoStream, []string{"a"}, true},
			{"tx", eventsourced.AtVersion(1), []string{"b", "c"}, true},
		} {
			story := fmt.Sprintf("%+v, large %v", way, large)
			tx, err := w.db.Pool.Begin(t.Context())
			require.NoError(t, err)
			before, err := w.store.AppendTx(t.Context(), tx, stream("before-"+story), eventsourced.NoStream, encode(t, "x"))
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), `UPDATE events SET tstamp = tstamp + 3600000000 WHERE tstamp = $1`, before)
			require.NoError(t, err)
			events, appended := encode(t, way.texts...), make(chan eventsourced.Position, 1)
			go func() {
				position, err := w.append(stream(fmt.Sprint(way.id, large)), way.expected, events, way.inTx)
				assert.NoError(t, err, story)
				appended <- position
			}()
			w.awaitBlocked(1, story)
			require.NoError(t, tx.Commit(t.Context()))
			require.Equal(t, before+3600000000+eventsourced.Position(len(way.texts)), <-appended, story)
		}
	}
}

// append appends, by a transaction of the caller's if inTx.
func (w *workshop) append(s eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData, inTx bool) (position eventsourced.Position, err error) {
	if !inTx {
		return w.store.Append(w.t.Context(), s, expected, events)
	}
	err = pgx.BeginFunc(w.t.Context(), w.db.Pool, func(tx pgx.Tx) (err error) {
		position, err = w.store.AppendTx(w.t.Context(), tx, s, expected, events)
		return err
	})
	return position, err
}

func read(t *testing.T, store *pgstore.Store, query eventsourced.LogQuery) (all []eventsourced.Recorded) {
	t.Helper()
	for event, err := range store.ReadLog(t.Context(), query) {
		require.NoError(t, err)
		all = append(all, event)
	}
	return all
}
