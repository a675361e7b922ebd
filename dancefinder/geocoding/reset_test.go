package geocoding_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/readview"
)

// TestResetCallsNoProvider geocodes the halls of a listing, and resets the read
// view that shows where they are: the coordinates come back from the log.
func TestResetCallsNoProvider(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	manager := a.project()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	rows := func(yield func(listing.Row, error) bool) {
		for i, hall := range []string{"Folkets Park", "Logen", "Bygdegården", "M/S Vågdans"} {
			row := listing.Row{
				Line: i + 1, Date: "2026-07-04", Start: "21:00", Band: "Ängs", Hall: hall,
				City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna",
			}
			if hall == "M/S Vågdans" {
				row.City, row.Municipality, row.State = "", domain.Ferry, domain.Ferry
			}
			if !yield(row, nil) {
				return
			}
		}
	}
	result, err := importer.Import(ctx, a.service, a.store, rows, importer.Options{})
	require.NoError(t, err)
	require.Equal(t, 4, result.Halls)
	require.Zero(t, result.Problems)

	geocoder := &fake{geocode: geocoding.Gazetteer{}.Geocode}
	worker := a.worker(geocoder, geocoding.WorkerConfig{})
	a.deliver(worker)
	a.run(worker)
	a.await(worker, geocoding.Status{Done: 3, NotFound: 1})
	require.Equal(t, 4, geocoder.total())

	head, err := a.store.Head(ctx)
	require.NoError(t, err)
	require.NoError(t, manager.WaitFor(ctx, head))
	want := a.positions()
	require.Equal(t, []string{"Bygdegården 60.68329 13.71542", "Folkets Park 60.68329 13.71542", "Logen 60.68329 13.71542", "M/S Vågdans"}, want)
	for _, name := range manager.Names() {
		require.NoError(t, manager.ResetProjection(ctx, name))
		if name == "dancehall" {
			a.deliver(worker) // and even if all was delivered again
		}
		require.NoError(t, manager.WaitFor(ctx, head))
		require.Equal(t, want, a.positions(), "after a reset of %s", name)
	}

	status, err := worker.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, geocoding.Status{Done: 3, NotFound: 1}, status)
	require.Equal(t, 4, geocoder.total(), "no provider is called")
	after, err := a.store.Head(ctx)
	require.NoError(t, err)
	require.Equal(t, head, after, "nothing new has happened")
}

// project runs all projections until the test ends.
func (a *app) project() *readview.Manager {
	a.t.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	require.NoError(a.t, err)
	manager, err := readview.NewManager(router, a.store, a.pool, readview.Config{})
	require.NoError(a.t, err)
	require.NoError(a.t, manager.Add(projections.All()...))
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.t.Context()))
	done := make(chan error, 1)
	go func() { done <- router.Run(ctx) }()
	a.t.Cleanup(func() {
		cancel()
		require.NoError(a.t, <-done)
	})
	return manager
}

// positions returns the halls of the read view and where they are.
func (a *app) positions() (all []string) {
	a.t.Helper()
	rows, err := a.pool.Query(a.t.Context(), `SELECT concat_ws(' ', name, latitude, longitude) FROM dance_hall ORDER BY 1`)
	require.NoError(a.t, err)
	defer rows.Close()
	for rows.Next() {
		var row string
		require.NoError(a.t, rows.Scan(&row))
		all = append(all, row)
	}
	require.NoError(a.t, rows.Err())
	return all
}
