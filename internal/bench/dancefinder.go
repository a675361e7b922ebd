package main

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// danceFinderYears is how many years of dances make about 240,000 events.
const (
	danceFinderYears = 10
	danceFinderUsers = 12_000 // with five preferences each
)

func prepareDanceFinder(ctx context.Context, e *environment) ([]contender, error) {
	// DanceFinder makes its tables only where there are none.
	if _, err := e.pool.Exec(ctx, `DROP SCHEMA public CASCADE; CREATE SCHEMA public`); err != nil {
		return nil, err
	}
	if _, err := migrations.Up(ctx, e.pool); err != nil {
		return nil, err
	}
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	if err != nil {
		return nil, err
	}
	n, err := e.danceFinderLog(ctx, memstore.New(registry))
	if err != nil {
		return nil, err
	}
	store := pgstore.New(e.pool, registry, pgstore.Config{})
	empty := func(ctx context.Context) error {
		_, err := e.pool.Exec(ctx, `TRUNCATE readviews, readview_states, band, dance_hall, event, origin, ignored_band,
			ignored_dance_hall, ignored_city, ignored_municipality, ignored_state, userpreferences_lookup`)
		return err
	}
	made := ""
	alike := func(run func(ctx context.Context) (float64, error)) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			if err := empty(ctx); err != nil {
				return 0, err
			}
			value, err := run(ctx)
			if err != nil {
				return 0, err
			}
			before := made
			if made, err = e.danceFinderTables(ctx); err == nil && before != "" && made != before {
				err = fmt.Errorf("the tables are%s, and were%s", made, before)
			}
			return value, err
		}
	}
	return []contender{
		{ours, alike(func(ctx context.Context) (float64, error) { return e.run(ctx, e.pool, store, n, projections.All()...) })},
		{pgxLoop, alike(func(ctx context.Context) (float64, error) {
			return rate(n, func() error { return e.danceFinderLoops(ctx) })
		})},
	}, nil
}

// danceFinderTables returns how many rows each table has and a hash of them, which
// have to be the same for all contenders.
func (e *environment) danceFinderTables(ctx context.Context) (all string, err error) {
	for _, table := range []string{"band", "dance_hall", "event", "(SELECT subject, city, created FROM ignored_city)", "userpreferences_lookup"} {
		var contents string
		err := e.pool.QueryRow(ctx, `SELECT count(*) || ' ' || md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM `+table+` t`).Scan(&contents)
		if err != nil {
			return "", err
		}
		all += " " + table + " " + contents
	}
	return all, nil
}

// danceFinderLog makes a log of about 300,000 mixed events: by the real commands,
// in memory, and copied from there.
func (e *environment) danceFinderLog(ctx context.Context, store *memstore.Store) (int, error) {
	service := domain.NewService(store)
	for _, edition := range generator.Editions(generator.Config{Seed: 1, Years: danceFinderYears}) {
		if _, err := importer.Import(ctx, service, store, rowsOf(edition), importer.Options{}); err != nil {
			return 0, err
		}
	}
	for user := range danceFinderUsers {
		subject := fmt.Sprint("user-", user)
		for k := range 5 {
			_, _, err := service.Prefer(ctx, domain.IgnoreCity{Subject: subject, City: fmt.Sprint("Ort ", (user+k)%300)})
			if err != nil {
				return 0, err
			}
		}
	}
	next, stop := iter.Pull2(store.ReadLog(ctx, eventsourced.LogQuery{}))
	defer stop()
	columns := []string{"tstamp", "id", "name", "aggregate_name", "aggregate_id", "version", "schema_version", "occurred_at", "payload"}
	n, err := e.pool.CopyFrom(ctx, pgx.Identifier{"events"}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		event, err, ok := next()
		if !ok || err != nil {
			return nil, err
		}
		return []any{int64(event.Position), [16]byte(event.ID), event.Name, event.Stream.AggregateName, event.Stream.AggregateID,
			int64(event.Version), event.SchemaVersion, event.Time, event.Payload}, nil
	}))
	if err != nil {
		return 0, err
	}
	return int(n), e.settle(ctx)
}

// danceFinderLoops runs the four by hand, at once, to the end of the log.
func (e *environment) danceFinderLoops(ctx context.Context) error {
	var group sync.WaitGroup
	errs := make(chan error, len(handWrittenProjections))
	for _, p := range handWrittenProjections {
		group.Go(func() {
			if _, err := e.pool.Exec(ctx, `INSERT INTO readviews VALUES ($1, 0)`, p.name); err != nil {
				errs <- err
				return
			}
			for more := true; more; {
				err := pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) (err error) {
					more, err = p.page(ctx, tx)
					return err
				})
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}
