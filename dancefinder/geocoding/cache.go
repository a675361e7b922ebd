package geocoding

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

// cache keeps what a provider answered, in geocoding_cache, for all processes of
// the database. That it found nothing is an answer too.
type cache struct {
	pool        *pgxpool.Pool
	provider    string
	source      domain.GeocodeSource
	foundFor    time.Duration
	notFoundFor time.Duration
}

// get returns the answer to a query, which is a result or [ErrNotFound]; known is
// false when there is none, or none that is still good.
func (c *cache) get(ctx context.Context, query string) (result Result, known bool, err error) {
	var latitude, longitude *float64
	err = c.pool.QueryRow(ctx, `
		SELECT latitude, longitude, precision, matched
		FROM geocoding_cache
		WHERE provider = $1 AND query = $2
			AND fetched_at > clock_timestamp() - CASE WHEN latitude IS NULL THEN $4::interval ELSE $3::interval END`,
		c.provider, query, c.foundFor, c.notFoundFor).Scan(&latitude, &longitude, &result.Precision, &result.Matched)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Result{}, false, nil
	case err != nil:
		return Result{}, false, fmt.Errorf("read the cache: %w", err)
	case latitude == nil:
		return Result{}, true, ErrNotFound
	}
	result.Coordinate = domain.Coordinate{Latitude: *latitude, Longitude: *longitude}
	result.Source = c.source
	return result, true, nil
}

// put keeps a result, or that there is none, in place of an older answer.
func (c *cache) put(ctx context.Context, query string, result Result, found bool) error {
	var latitude, longitude *float64
	if found {
		latitude, longitude = &result.Coordinate.Latitude, &result.Coordinate.Longitude
	}
	_, err := c.pool.Exec(ctx, `
		INSERT INTO geocoding_cache (provider, query, latitude, longitude, precision, matched, fetched_at)
		VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp())
		ON CONFLICT (provider, query) DO UPDATE
		SET latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude,
			precision = EXCLUDED.precision, matched = EXCLUDED.matched, fetched_at = EXCLUDED.fetched_at`,
		c.provider, query, latitude, longitude, result.Precision, result.Matched)
	if err != nil {
		return fmt.Errorf("write the cache: %w", err)
	}
	return nil
}
