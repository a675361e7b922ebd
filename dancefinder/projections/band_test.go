package projections_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// bandModel is what the table band should hold: names by id.
type bandModel map[string]string

// apply is what the handlers did when they made room before each event.
func (m bandModel) apply(name, id, bandName string) {
	switch name {
	case "BandCreated":
		m.release(bandName)
		m[id] = bandName
	case "BandRenamed":
		if was := m[id]; was != bandName {
			m.release(bandName)
			if was != "" {
				m[id] = bandName
			}
		}
	case "BandDeleted":
		delete(m, id)
	}
}

func (m bandModel) release(name string) {
	maps.DeleteFunc(m, func(_, other string) bool { return other == name })
}

// Any history leaves what it left when there was a DELETE before each insert, also when all
// of it comes again over its own rows.
func TestBandsOfAnyHistory(t *testing.T) {
	t.Parallel()
	store, pool := newStore(t)
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // so that a failure comes again
	model := bandModel{}
	type step struct{ name, id, band string }
	var history []step
	var last eventsourced.Position
	for i := range 150 {
		s := step{
			name: []string{"BandCreated", "BandCreated", "BandRenamed", "BandDeleted"}[random.IntN(4)],
			id:   fmt.Sprintf("00000000-0000-4000-8000-%012d", random.IntN(12)),
			band: fmt.Sprint("Orkester ", random.IntN(8)),
		}
		history = append(history, s)
		payload, err := json.Marshal(map[string]string{"name": s.band})
		require.NoError(t, err)
		last, err = store.Append(t.Context(), eventsourced.Stream{AggregateName: domain.AggregateBand, AggregateID: s.id}, eventsourced.Any, []eventsourced.EventData{{
			ID: eventsourced.NewEventID(), Name: s.name, SchemaVersion: 1, Payload: payload, Time: time.Unix(int64(1_700_000_000+i), 0),
		}})
		require.NoError(t, err)
	}
	manager := run(t, store, pool)
	for _, when := range []string{"the first time", "again"} {
		for _, s := range history {
			model.apply(s.name, s.id, s.band)
		}
		require.NoError(t, manager.WaitFor(t.Context(), last, "band"))
		var want []string
		for id, name := range model {
			want = append(want, id+" "+name)
		}
		slices.Sort(want)
		var got []string
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT array_agg(id || ' ' || name ORDER BY id) FROM band`).Scan(&got))
		require.Equal(t, want, got, when)
		if when == "again" {
			break
		}
		require.NoError(t, manager.Pause(t.Context(), "band"))
		_, err := pool.Exec(t.Context(), `UPDATE readviews SET position = 0 WHERE name = 'band'`)
		require.NoError(t, err)
		require.NoError(t, manager.Resume(t.Context(), "band"))
		require.Eventually(t, func() bool {
			var position int64
			err := pool.QueryRow(t.Context(), `SELECT position FROM readviews WHERE name = 'band'`).Scan(&position)
			return err == nil && position >= int64(last)
		}, time.Minute, 25*time.Millisecond)
	}
}

// Bands that are created one after the other are a few statements.
func TestBandsGoTogether(t *testing.T) {
	t.Parallel()
	store, pool := newStore(t)
	const bands = 200
	service := domain.NewService(store)
	var last eventsourced.Position
	for i := range bands {
		var err error
		_, last, err = service.CreateBand(t.Context(), domain.CreateBand{Name: fmt.Sprint("Orkester ", i)})
		require.NoError(t, err)
	}
	manager := run(t, store, pool) // by pages of 20
	require.NoError(t, manager.WaitFor(t.Context(), last, "band"))
	var rows, statements int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT (xmin::text, cmin::text)) FROM band`).Scan(&rows, &statements))
	require.Equal(t, bands, rows)
	require.LessOrEqual(t, statements, bands/10, "one a page, and the first one of a connection by itself")
}
