package query_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

// newDatabase returns a database with DanceFinder's tables.
func newDatabase(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	db := readviewtest.NewDatabase(tb)
	_, err := migrations.Up(tb.Context(), db.Pool)
	require.NoError(tb, err)
	return db.Pool
}

// A year of dances as production has it: 300 bands, 1,000 halls all over Sweden,
// 20,000 dances, a user with two homes and things not to see.
const year = `
	INSERT INTO band SELECT md5('band' || i)::uuid, 'Band ' || i, now() FROM generate_series(1, 300) i;
	INSERT INTO dance_hall (id, name, city, municipality, state, latitude, longitude, created)
	SELECT md5('hall' || i)::uuid, 'Hall ' || i, 'Ort ' || i % 400, 'Kommun ' || i % 290, 'Län ' || i % 21,
		55.5 + 12 * (hashint4(i)::float8 / 4294967296 + 0.5), 12 + 10 * (hashint4(i + 5000)::float8 / 4294967296 + 0.5), now()
	FROM generate_series(1, 1000) i;
	INSERT INTO event (id, event_date, start_time, end_time, band_id, dance_hall_id, created, updated)
	SELECT md5('event' || i)::uuid, '2026-01-01'::date + i % 365, '19:00', '23:00', md5('band' || (1 + abs(hashint4(i)) % 300))::uuid,
		md5('hall' || (1 + abs(hashint4(i + 77)) % 1000))::uuid, now(), now()
	FROM generate_series(1, 20000) i;
	INSERT INTO origin (id, subject, origin, latitude, longitude, created)
	VALUES (gen_random_uuid(), 'anna', 'Mora', 61.0, 14.5, now()), (gen_random_uuid(), 'anna', 'Falun', 60.6, 15.6, now());
	INSERT INTO ignored_band (id, subject, band_id, created) SELECT gen_random_uuid(), 'anna', md5('band' || i)::uuid, now() FROM generate_series(1, 20) i;
	INSERT INTO ignored_dance_hall (id, subject, dance_hall_id, created) SELECT gen_random_uuid(), 'anna', md5('hall' || i)::uuid, now() FROM generate_series(1, 20) i;
	INSERT INTO ignored_city SELECT gen_random_uuid(), 'anna', 'Ort ' || i, now() FROM generate_series(1, 5) i;
	INSERT INTO ignored_municipality SELECT gen_random_uuid(), 'anna', 'Kommun ' || i, now() FROM generate_series(1, 5) i;
	INSERT INTO ignored_state VALUES (gen_random_uuid(), 'anna', 'Län 3', now());
	ANALYZE band, dance_hall, event, origin, ignored_band, ignored_dance_hall, ignored_city, ignored_municipality, ignored_state`

func newYear(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	pool := newDatabase(tb)
	_, err := pool.Exec(tb.Context(), year)
	require.NoError(tb, err)
	return pool
}

// nearby is what the page asks most: what is on near my homes, this month.
func nearby() query.Filter {
	return query.Filter{From: "2026-07-01", To: "2026-07-31", Subject: "anna", Origins: true, MaxKm: 100}
}

func at(latitude, longitude float64) domain.Coordinate {
	return domain.Coordinate{Latitude: latitude, Longitude: longitude}
}
