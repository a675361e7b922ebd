package adoption

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// Unadopted tells whether the database has bands, halls or dances from before there were events that the log
// does not know: the read views have rows, but no event was ever applied to them. A reset would lose the
// rows, and an import would not meet the bands and halls.
func Unadopted(ctx context.Context, pool *pgxpool.Pool) (found bool, err error) {
	err = pool.QueryRow(ctx, `SELECT
		NOT EXISTS (SELECT FROM readviews WHERE name = 'band' AND position > 0)
			AND EXISTS (SELECT FROM band WHERE NOT EXISTS (SELECT FROM events WHERE aggregate_name = $1 AND aggregate_id = band.id::text))
		OR NOT EXISTS (SELECT FROM readviews WHERE name = 'dancehall' AND position > 0)
			AND EXISTS (SELECT FROM dance_hall WHERE NOT EXISTS (SELECT FROM events WHERE aggregate_name = $2 AND aggregate_id = dance_hall.id::text))
		OR NOT EXISTS (SELECT FROM readviews WHERE name = 'event' AND position > 0)
			AND EXISTS (SELECT FROM event WHERE NOT EXISTS (SELECT FROM events WHERE aggregate_name = $3 AND aggregate_id = event.id::text))`,
		domain.AggregateBand, domain.AggregateDanceHall, domain.AggregateEvent).Scan(&found)
	return found, err
}
