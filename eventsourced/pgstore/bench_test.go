package pgstore_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 2, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := testdb.New(b, testdb.MaxConns(64))
			if err := pgstore.Migrate(b.Context(), db.Pool); err != nil {
				b.Fatal(err)
			}
			store := pgstore.New(db.Pool, eventsourcedtest.Registry(), pgstore.Config{})
			defer store.Close()
			var n atomic.Int64
			parallel(b, writers, func() error {
				events, err := store.Registry().Encode(b.Context(), &eventsourcedtest.Noted{Text: "x"})
				if err == nil {
					_, err = store.Append(b.Context(), eventsourced.Stream{AggregateName: "n", AggregateID: fmt.Sprint(n.Add(1))}, eventsourced.NoStream, events)
				}
				return err
			})
		})
		b.Run(fmt.Sprintf("plain=%d", writers), func(b *testing.B) {
			db := testdb.New(b, testdb.MaxConns(64))
			if err := pgstore.Migrate(b.Context(), db.Pool); err != nil {
				b.Fatal(err)
			}
			if _, err := db.Pool.Exec(b.Context(), `CREATE SEQUENCE seq`); err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			parallel(b, writers, func() error {
				events, err := eventsourcedtest.Registry().Encode(b.Context(), &eventsourcedtest.Noted{Text: "x"})
				e := events[0]
				if err == nil {
					_, err = db.Pool.Exec(b.Context(), `INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, schema_version, occurred_at, payload)
						VALUES (nextval('seq'), $1, $2, $3, $4, $5, $6, $7, $8)`, [16]byte(e.ID), e.Name, "n", fmt.Sprint(n.Add(1)), 1, e.SchemaVersion, e.Time, e.Payload)
				}
				return err
			})
		})
	}
}

// parallel does b.N pieces of work with so many goroutines.
func parallel(b *testing.B, writers int, work func() error) {
	var group sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	for range writers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := work(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}
