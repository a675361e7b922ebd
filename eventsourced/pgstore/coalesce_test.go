package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// attempt is an append of [TestAppendsThatGoTogether] and what came of it.
type attempt struct {
	kind     string
	events   []eventsourced.EventData
	position eventsourced.Position
	err      error
}

// TestAppendsThatGoTogether has 64 writers, of two processes, that append,
// conflict, send nonsense and give up, while connections are lost. Each gets its
// own outcome, whatever its neighbours do, and a reader sees the log in order.
func TestAppendsThatGoTogether(t *testing.T) {
	t.Parallel()
	application := "together-" + eventsourced.NewEventID().String()
	named := func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = application }
	db := testdb.New(t, named)
	one := open(t, db)
	config, err := pgxpool.ParseConfig(db.URL)
	require.NoError(t, err)
	named(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	two := pgstore.New(pool, storetest.Registry(), pgstore.Config{})
	t.Cleanup(two.Close)

	// For two seconds, and longer on a busy machine.
	started := time.Now()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var (
		group    sync.WaitGroup
		mu       sync.Mutex
		attempts []attempt
	)
	for w := range 64 {
		store := []*pgstore.Store{one, two}[w%2]
		group.Go(func() {
			for ctx.Err() == nil {
				a := tryToAppend(t, store)
				mu.Lock()
				if attempts = append(attempts, a); len(attempts) >= 1500 && time.Since(started) > soak.For(2*time.Second, 30*time.Second) {
					stop()
				}
				mu.Unlock()
			}
		})
	}
	group.Go(func() {
		admin := db.SQL()
		for ctx.Err() == nil {
			_, _ = admin.ExecContext(ctx, `SELECT pg_terminate_backend(pid) FROM (
				SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = $1 ORDER BY random() LIMIT 1) s`, application)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	var seen []eventsourced.Recorded
	for ctx.Err() == nil {
		seen = append(seen, tail(t, one, seen)...)
	}
	group.Wait()
	seen = append(seen, tail(t, one, seen)...)

	log := read(t, one, eventsourced.LogQuery{})
	require.Equal(t, log, seen, "the reader saw the log")
	requireOutcomes(t, log, attempts)
}

// tryToAppend makes one append of a random kind to one of a few streams.
func tryToAppend(t *testing.T, store *pgstore.Store) attempt {
	a := attempt{kind: []string{"good", "good", "good", "conflict", "nonsense", "given up"}[rand.IntN(6)]}
	s := stream(fmt.Sprint(rand.IntN(40)))
	a.events = encode(t, make([]string, 1+rand.IntN(4))...)
	ctx, expected := t.Context(), eventsourced.Any
	switch a.kind {
	case "conflict":
		expected = eventsourced.AtVersion(1_000_000)
	case "nonsense":
		a.events[len(a.events)-1].Payload = []byte(`{"Text": `)
	case "given up":
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
		defer cancel()
	}
	a.position, a.err = store.Append(ctx, s, expected, a.events)
	return a
}

func requireOutcomes(t *testing.T, log []eventsourced.Recorded, attempts []attempt) {
	t.Helper()
	positions := map[eventsourced.EventID]eventsourced.Position{}
	versions := map[eventsourced.Stream]eventsourced.Version{}
	for _, event := range log {
		positions[event.ID] = event.Position
		versions[event.Stream]++
		require.Equal(t, versions[event.Stream], event.Version)
	}
	require.Len(t, positions, len(log), "nothing twice")
	good, lost := 0, 0
	for _, a := range attempts {
		stored := 0
		for i, event := range a.events {
			position, ok := positions[event.ID]
			if !ok {
				continue
			}
			if stored++; a.err == nil {
				require.Equal(t, a.position-eventsourced.Position(len(a.events)-1-i), position, "each caller gets its own position")
			}
		}
		switch {
		case a.err == nil:
			require.Contains(t, []string{"good", "given up"}, a.kind)
			require.Equal(t, len(a.events), stored)
			good++
		case a.kind == "conflict" && errors.Is(a.err, eventsourced.ErrConflict), a.kind == "nonsense" && errors.Is(a.err, eventsourced.ErrInvalid):
			require.Zero(t, stored)
		case a.kind == "given up" && errors.Is(a.err, context.DeadlineExceeded):
			require.Contains(t, []int{0, len(a.events)}, stored, "all or nothing")
		default:
			// Its connection was lost again and again: its outcome is open, and it is rare.
			require.True(t, pgerr.Lost(a.err), "%s: %v", a.kind, a.err)
			lost++
		}
	}
	require.Greater(t, good, 500)
	require.Less(t, lost, good/10)
}

func tail(t *testing.T, store *pgstore.Store, seen []eventsourced.Recorded) []eventsourced.Recorded {
	t.Helper()
	var after eventsourced.Position
	if len(seen) > 0 {
		after = seen[len(seen)-1].Position
	}
	return read(t, store, eventsourced.LogQuery{After: after})
}
