package importer_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
	"github.com/dancefinder/eventsourcing/internal/soak"
)

// sink is a store that keeps what is not of dances, as a database does elsewhere.
type sink struct{ *memstore.Store }

func (s *sink) Append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (eventsourced.Position, error) {
	if stream.AggregateName == domain.AggregateEvent {
		return 1, nil
	}
	return s.Store.Append(ctx, stream, expected, events)
}

func TestImportTakesNoMemoryForRows(t *testing.T) { // not parallel: it measures memory
	const perRow = 100 // bytes: what is kept to see which dances were withdrawn
	rows := soak.Times(40_000, 100_000)
	c := newCatalogue(t)
	dances := func(yield func(listing.Row, error) bool) {
		for i := range rows {
			day := time.Date(2026, 1, 1+i/300, 0, 0, 0, 0, time.UTC)
			row := listing.Row{
				Line: i, Date: day.Format(time.DateOnly), Start: "21:00", End: "01:00", Band: fmt.Sprintf("Band %d", i%300), Hall: fmt.Sprintf("Hall %d", i%1000),
				City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna", Extra: fmt.Sprintf("Logdans, kaffe, te och %d bullar", i),
			}
			if !yield(row, nil) {
				return
			}
		}
	}
	var early, late uint64
	result, err := importer.Import(t.Context(), domain.NewService(&sink{c.store}), c.store, dances, importer.Options{Progress: func(n int) {
		switch n {
		case rows / 20:
			early = heap()
		case rows:
			late = heap()
		}
	}})
	require.NoError(t, err)
	require.Equal(t, rows, result.Created)
	require.Less(t, late, early+uint64(rows)*perRow)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
