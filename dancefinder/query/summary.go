package query

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// One statement, as all of it is about the same dances. Each row is of one kind and
// leaves the columns of the others empty.
const summarySQL = `,
	matching AS MATERIALIZED (SELECT * FROM dance),
	shown AS (SELECT * FROM matching WHERE hidden IS NULL)
	SELECT 'hall' AS kind, dance_hall_id::text AS key, coalesce(hall_name, '') AS name, coalesce(city, ''), coalesce(municipality, ''), coalesce(state, ''),
		latitude, longitude, km, coalesce(near, ''), count(*) FILTER (WHERE in_area AND in_bands) AS matching, count(*) FILTER (WHERE in_bands)
	FROM shown
	GROUP BY dance_hall_id, hall_name, city, municipality, state, latitude, longitude, km, near
	HAVING count(*) FILTER (WHERE in_bands) > 0
	UNION ALL
	SELECT 'band', band_id::text, coalesce((SELECT b.name FROM band b WHERE b.id = band_id), ''), '', '', '',
		NULL, NULL, NULL, '', count(*) FILTER (WHERE in_area AND in_bands), count(*) FILTER (WHERE in_area)
	FROM shown
	GROUP BY band_id
	HAVING count(*) FILTER (WHERE in_area) > 0
	UNION ALL
	SELECT 'day', event_date::text, '', '', '', '', NULL, NULL, NULL, '', count(*), 0
	FROM shown
	WHERE in_area AND in_bands
	GROUP BY event_date
	UNION ALL
	SELECT 'hidden', hidden, '', '', '', '', NULL, NULL, NULL, '', count(*), 0
	FROM matching
	WHERE in_area AND in_bands AND hidden IS NOT NULL
	GROUP BY hidden
	ORDER BY kind, matching DESC, name, key`

// Summary counts the dances of the filter.
func (r *Reader) Summary(ctx context.Context, f Filter) (Summary, error) {
	if err := f.validate(); err != nil {
		return Summary{}, err
	}
	with, args := f.sql()
	rows, err := r.db.Query(ctx, with+summarySQL, args)
	if err != nil {
		return Summary{}, err
	}
	s := Summary{Hidden: map[Kind]int{}}
	var kind, key, near string
	var hall HallCount
	var latitude, longitude, km *float64
	var count, other int
	_, err = pgx.ForEachRow(rows, []any{
		&kind, &key, &hall.Name, &hall.Place.City, &hall.Place.Municipality, &hall.Place.State, &latitude, &longitude, &km, &near, &count, &other,
	}, func() error {
		switch kind {
		case "hall":
			s.Halls = append(s.Halls, HallCount{
				ID: key, Name: hall.Name, Place: hall.Place, Coordinate: coordinate(latitude, longitude), Km: km, Near: near, Count: count, AnyArea: other,
			})
		case "band":
			s.Bands = append(s.Bands, BandCount{ID: key, Name: hall.Name, Count: count, AnyBand: other})
		case "day":
			s.Days = append(s.Days, DayCount{Date: domain.Date(key), Count: count})
			s.Total += count
		case "hidden":
			s.Hidden[Kind(key)] = count
		}
		return nil
	})
	slices.SortFunc(s.Days, func(a, b DayCount) int { return strings.Compare(string(a.Date), string(b.Date)) })
	return s, err
}
