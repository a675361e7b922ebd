package adoption

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Unadopted tells whether the read views have rows from before there were events that the log does not know,
// none of them or some: an adoption may have been killed, and events applied since. A reset would lose the rows,
// and an import would not meet the bands and halls.
//
// Rows of a projection that is ahead of the log don't count: their events were lost with the log's end, and a
// reset is what helps. Nor do rows that are younger than the log: somebody made them by hand, and a reset is to
// remove them.
//
// Of an archived log the table events has the first and the last event of each stream, which is enough for all but
// preferences: those are looked for in log too, if the table does not have them all.
func Unadopted(ctx context.Context, pool *pgxpool.Pool, log eventsourced.LogReader) (found bool, err error) {
	ask := func(names []string, schemas []int32, payloads []string) error {
		return pool.QueryRow(ctx, unadoptedQuery, domain.AggregateBand, domain.AggregateDanceHall, domain.AggregateEvent, names, schemas, payloads).Scan(&found)
	}
	if err := ask(nil, nil, nil); err != nil || !found {
		return found, err
	}
	var end eventsourced.Position
	if err := pool.QueryRow(ctx, "SELECT coalesce(max(last), 0) FROM log_archive").Scan((*int64)(&end)); err != nil || end == 0 {
		return found, err
	}
	var names, payloads []string
	var schemas []int32
	for event, err := range log.ReadLog(ctx, eventsourced.LogQuery{UpTo: end, Names: chosenNames}) {
		if err != nil {
			return false, err
		}
		names, schemas, payloads = append(names, event.Name), append(schemas, int32(event.SchemaVersion)), append(payloads, string(event.Payload))
	}
	err = ask(names, schemas, payloads)
	return found, err
}

// chosenNames are the events that say what users have chosen.
var chosenNames = []string{"OriginAdded", "BandIgnored", "DanceHallIgnored", "CityIgnored", "MunicipalityIgnored", "StateIgnored"}

// unadoptedQuery finds preferences as an adoption does: by what a user has ever chosen. An event of schema
// version 1 only names its band, so who has one began with events.
const unadoptedQuery = `
	WITH began AS (SELECT coalesce(to_timestamp(min(tstamp) / 1e6), 'infinity') AS at FROM events),
	ahead AS (SELECT name FROM readviews WHERE position > (SELECT coalesce(max(tstamp), 0) FROM events)),
	chosen AS (
		SELECT name, schema_version, payload ->> 'subject' AS subject, coalesce(payload ->> 'origin', payload ->> 'bandId',
			payload ->> 'danceHallId', payload ->> 'city', payload ->> 'municipality', payload ->> 'state') AS value
		FROM (
			SELECT name, schema_version, payload FROM events WHERE name IN ('OriginAdded', 'BandIgnored', 'DanceHallIgnored', 'CityIgnored', 'MunicipalityIgnored', 'StateIgnored')
			UNION ALL SELECT name, schema_version, payload::json FROM unnest($4::text[], $5::int[], $6::text[]) AS archived (name, schema_version, payload)
		) events
	), preference AS (
		SELECT 'OriginAdded' AS name, subject, origin AS value FROM origin WHERE created < (SELECT at FROM began)
		UNION ALL SELECT 'BandIgnored', subject, band_id::text FROM ignored_band
			WHERE created < (SELECT at FROM began) AND subject NOT IN (SELECT subject FROM chosen WHERE name = 'BandIgnored' AND schema_version = 1 AND subject IS NOT NULL)
		UNION ALL SELECT 'DanceHallIgnored', subject, dance_hall_id::text FROM ignored_dance_hall WHERE created < (SELECT at FROM began)
		UNION ALL SELECT 'CityIgnored', subject, city FROM ignored_city WHERE created < (SELECT at FROM began)
		UNION ALL SELECT 'MunicipalityIgnored', subject, municipality FROM ignored_municipality WHERE created < (SELECT at FROM began)
		UNION ALL SELECT 'StateIgnored', subject, state FROM ignored_state WHERE created < (SELECT at FROM began)
	)
	SELECT 'band' NOT IN (TABLE ahead)
			AND EXISTS (SELECT FROM band WHERE created < (SELECT at FROM began) AND NOT EXISTS (SELECT FROM events WHERE aggregate_name = $1 AND aggregate_id = band.id::text))
		OR 'dancehall' NOT IN (TABLE ahead)
			AND EXISTS (SELECT FROM dance_hall WHERE created < (SELECT at FROM began) AND NOT EXISTS (SELECT FROM events WHERE aggregate_name = $2 AND aggregate_id = dance_hall.id::text))
		OR 'event' NOT IN (TABLE ahead)
			AND EXISTS (SELECT FROM event WHERE created < (SELECT at FROM began) AND NOT EXISTS (SELECT FROM events WHERE aggregate_name = $3 AND aggregate_id = event.id::text))
		OR 'userpreferences' NOT IN (TABLE ahead)
			AND EXISTS (SELECT name, subject, value FROM preference EXCEPT SELECT name, subject, value FROM chosen)`
