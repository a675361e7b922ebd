package devservices

import (
	"context"
	"testing"
)

var (
	ErrPortTaken = errPortTaken
	NewestFirst  = newestFirst
)

// StartPostgresOn makes the one attempt of StartPostgres on a given port.
func StartPostgresOn(ctx context.Context, config PostgresConfig, port int) (*Postgres, error) {
	bin, err := findPostgres(ctx)
	if err != nil {
		return nil, err
	}
	user, err := serviceAccount("postgres", "nobody")
	if err != nil {
		return nil, err
	}
	return startPostgres(ctx, config, bin, user, port)
}

// ForgetPlaces leaves PATH as the only way to PostgreSQL.
func ForgetPlaces(t *testing.T) {
	places := postgresPlaces
	t.Cleanup(func() { postgresPlaces = places })
	postgresPlaces = nil
}
