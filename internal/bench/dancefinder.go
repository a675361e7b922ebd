package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
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

func rowsOf(edition generator.Edition) iter.Seq2[listing.Row, error] {
	return func(yield func(listing.Row, error) bool) {
		for row := range edition.Rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// handWritten is a projection as one would write it by hand: a switch over the
// names that it handles, which queues the statements.
type handWritten struct {
	name  string
	names []string
	queue func(batch *pgx.Batch, name, id string, at time.Time, payload []byte) error
}

var handWrittenProjections = []handWritten{
	{"band", []string{"BandCreated"}, func(batch *pgx.Batch, _, id string, at time.Time, payload []byte) error {
		var e domain.BandCreated
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		batch.Queue(`DELETE FROM band WHERE id = $1 AND name <> $2`, id, e.Name)
		batch.Queue(`INSERT INTO band (id, name, created) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET id = EXCLUDED.id, created = EXCLUDED.created`, id, e.Name, at)
		return nil
	}},
	{"dancehall", []string{"DanceHallCreated"}, func(batch *pgx.Batch, _, id string, at time.Time, payload []byte) error {
		var e domain.DanceHallCreated
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		batch.Queue(`INSERT INTO dance_hall (id, name, city, municipality, state, created) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (name, city, municipality, state) DO UPDATE SET id = EXCLUDED.id, created = EXCLUDED.created`, id, e.Name, e.City, e.Municipality, e.State, at)
		return nil
	}},
	{"event", []string{"EventCreated", "EventUpdated", "EventDeleted"}, queueEvent},
	{"userpreferences", []string{"BandCreated", "CityIgnored"}, func(batch *pgx.Batch, name, id string, at time.Time, payload []byte) error {
		if name == "BandCreated" {
			var e domain.BandCreated
			if err := json.Unmarshal(payload, &e); err != nil {
				return err
			}
			batch.Queue(`INSERT INTO userpreferences_lookup (band_key, band_id) VALUES ($1, $2) ON CONFLICT (band_key) DO UPDATE SET band_id = EXCLUDED.band_id`, domain.Key(e.Name), id)
			return nil
		}
		var e domain.CityIgnored
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		batch.Queue(`INSERT INTO ignored_city (id, subject, city, created) VALUES (gen_random_uuid(), $1, $2, $3) ON CONFLICT (subject, city) DO NOTHING`, e.Subject, e.City, at)
		return nil
	}},
}

func queueEvent(batch *pgx.Batch, name, id string, at time.Time, payload []byte) error {
	orNull := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	var e domain.EventCreated
	if err := json.Unmarshal(payload, &e); err != nil {
		return err
	}
	switch name {
	case "EventCreated":
		batch.Queue(`INSERT INTO event (id, event_date, start_time, end_time, extra_info, band_id, dance_hall_id, created, updated)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)
			ON CONFLICT (id) DO UPDATE SET event_date = EXCLUDED.event_date, start_time = EXCLUDED.start_time, end_time = EXCLUDED.end_time,
				extra_info = EXCLUDED.extra_info, band_id = EXCLUDED.band_id, dance_hall_id = EXCLUDED.dance_hall_id,
				created = EXCLUDED.created, updated = EXCLUDED.updated`,
			id, e.Date, orNull(e.StartTime), orNull(e.EndTime), e.ExtraInfo, e.BandID, e.DanceHallID, at)
	case "EventUpdated":
		batch.Queue(`UPDATE event SET event_date = $2, start_time = $3, end_time = $4, extra_info = $5, band_id = $6, dance_hall_id = $7, updated = $8 WHERE id = $1`,
			id, e.Date, orNull(e.StartTime), orNull(e.EndTime), e.ExtraInfo, e.BandID, e.DanceHallID, at)
	case "EventDeleted":
		batch.Queue(`DELETE FROM event WHERE id = $1`, id)
	}
	return nil
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

func (p handWritten) page(ctx context.Context, tx pgx.Tx) (more bool, err error) {
	var position int64
	if err := tx.QueryRow(ctx, `SELECT position FROM readviews WHERE name = $1 FOR UPDATE`, p.name).Scan(&position); err != nil {
		return false, err
	}
	rows, err := tx.Query(ctx, `SELECT tstamp, name, aggregate_id, occurred_at, payload FROM events
		WHERE name = ANY($1) AND tstamp > $2 ORDER BY tstamp LIMIT $3`, p.names, position, pageEvents)
	if err != nil {
		return false, err
	}
	batch, count := &pgx.Batch{}, 0
	for rows.Next() {
		var (
			name, id string
			at       time.Time
			payload  []byte
		)
		if err := rows.Scan(&position, &name, &id, &at, &payload); err != nil {
			return false, err
		}
		if err := p.queue(batch, name, id, at, payload); err != nil {
			return false, err
		}
		count++
	}
	if err := rows.Err(); err != nil {
		return false, err
	}
	batch.Queue(`UPDATE readviews SET position = $2 WHERE name = $1`, p.name, position)
	return count == pageEvents, tx.SendBatch(ctx, batch).Close()
}
