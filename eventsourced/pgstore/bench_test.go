package pgstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := testdb.New(b, testdb.MaxConns(20))
			if err := pgstore.Migrate(b.Context(), db.Pool); err != nil {
				b.Fatal(err)
			}
			store := pgstore.New(db.Pool, eventsourcedtest.Registry(), pgstore.Config{})
			defer store.Close()
			b.SetParallelism(writers)
			var n atomic.Int64
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					events, err := store.Registry().Encode(b.Context(), &eventsourcedtest.Noted{Text: "x"})
					if err == nil {
						_, err = store.Append(b.Context(), eventsourced.Stream{AggregateName: "n", AggregateID: fmt.Sprint(n.Add(1))}, eventsourced.NoStream, events)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
