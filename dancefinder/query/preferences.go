package query

import (
	"context"

	"github.com/jackc/pgx/v5"
)

const preferencesSQL = `
	SELECT 'origin' AS kind, '' AS key, origin AS name, latitude, longitude FROM origin WHERE subject = $1
	UNION ALL
	SELECT 'band', i.band_id::text, coalesce(b.name, ''), NULL, NULL FROM ignored_band i LEFT JOIN band b ON b.id = i.band_id WHERE i.subject = $1
	UNION ALL
	SELECT 'hall', i.dance_hall_id::text, coalesce(h.name, ''), NULL, NULL FROM ignored_dance_hall i LEFT JOIN dance_hall h ON h.id = i.dance_hall_id WHERE i.subject = $1
	UNION ALL
	SELECT 'city', '', city, NULL, NULL FROM ignored_city WHERE subject = $1
	UNION ALL
	SELECT 'municipality', '', municipality, NULL, NULL FROM ignored_municipality WHERE subject = $1
	UNION ALL
	SELECT 'state', '', state, NULL, NULL FROM ignored_state WHERE subject = $1
	ORDER BY kind, name, key`

// Preferences returns what the subject has chosen: nothing for somebody who has not.
// That it is the subject who asks is for the caller to see to.
func (r *Reader) Preferences(ctx context.Context, subject string) (p Preferences, err error) {
	rows, err := r.db.Query(ctx, preferencesSQL, subject)
	if err != nil {
		return p, err
	}
	var kind string
	var named Named
	var latitude, longitude *float64
	_, err = pgx.ForEachRow(rows, []any{&kind, &named.ID, &named.Name, &latitude, &longitude}, func() error {
		switch kind {
		case "origin":
			p.Origins = append(p.Origins, Origin{Name: named.Name, At: coordinate(latitude, longitude)})
		case "band":
			p.Bands = append(p.Bands, named)
		case "hall":
			p.DanceHalls = append(p.DanceHalls, named)
		case "city":
			p.Cities = append(p.Cities, named.Name)
		case "municipality":
			p.Municipalities = append(p.Municipalities, named.Name)
		case "state":
			p.States = append(p.States, named.Name)
		}
		return nil
	})
	return p, err
}
