package metrics_test

import (
	"context"
	"log"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/operate/metrics"
	"github.com/dancefinder/eventsourcing/readview"
)

// One Metrics is registered and is the observer of the store and of all consumers. How these stand is asked for with a scrape.
func Example() {
	var ( // what the program has already
		pool     *pgxpool.Pool
		registry *eventsourced.Registry
		balances readview.Projection
		manager  *readview.Manager
	)
	var store *pgstore.Store
	consumers := consumer.NewStore(pool, consumer.Config{})
	m := metrics.New(metrics.Config{
		Pool: pool,
		Status: func(ctx context.Context) ([]consumer.Status, error) {
			projections, err := manager.Status(ctx)
			if err != nil {
				return nil, err
			}
			others, err := consumers.Status(ctx, store) // reactors, relays and consumer groups, for who has them
			return append(projections, others...), err
		},
	})
	store = pgstore.New(pool, registry, pgstore.Config{Observer: m})
	manager, err := readview.NewManager(nil, store, pool, readview.Config{Config: consumer.Config{Observer: m}}, balances)
	if err != nil {
		log.Fatal(err)
	}
	prometheus.MustRegister(m)
	http.Handle("GET /metrics", promhttp.Handler())
	if err := manager.Run(context.Background()); err != nil {
		log.Print(err)
	}
	if err := m.Close(context.Background()); err != nil { // another node reports from now on
		log.Print(err)
	}
}
