package main

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

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
