// Package migrations makes DanceFinder's tables: the framework's by its own
// migrations, those of the read views and of geocoding by the SQL files beside this one, with
// goose.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

//go:embed *.sql
var files embed.FS

// Migration is one of DanceFinder's own migrations.
type Migration struct {
	Name    string
	Applied bool
}

// Up applies what is missing, in the first schema of the pool's search path, and
// returns the names of the migrations of DanceFinder's own that it applied.
// Several processes may call it at once.
func Up(ctx context.Context, pool *pgxpool.Pool) (applied []string, err error) {
	if err := pgstore.Migrate(ctx, pool); err != nil {
		return nil, err
	}
	if err := readview.Migrate(ctx, pool); err != nil {
		return nil, err
	}
	if err := messaging.Migrate(ctx, pool); err != nil {
		return nil, err
	}
	err = withProvider(ctx, pool, func(provider *goose.Provider) error {
		results, err := provider.Up(ctx)
		for _, result := range results {
			applied = append(applied, result.Source.Path)
		}
		return err
	})
	return applied, err
}

// Status returns DanceFinder's own migrations in their order.
func Status(ctx context.Context, pool *pgxpool.Pool) (all []Migration, err error) {
	err = withProvider(ctx, pool, func(provider *goose.Provider) error {
		statuses, err := provider.Status(ctx)
		for _, status := range statuses {
			all = append(all, Migration{Name: status.Source.Path, Applied: status.State == goose.StateApplied})
		}
		return err
	})
	return all, err
}

func withProvider(ctx context.Context, pool *pgxpool.Pool, use func(*goose.Provider) error) (err error) {
	var key int64 // of the lock: each schema of a database has its own
	if err := pool.QueryRow(ctx, `SELECT hashtextextended('dancefinder ' || current_schema(), 0)`).Scan(&key); err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(key), lock.WithLockTimeout(1, 60))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, stdlib.OpenDBFromPool(pool), files, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, provider.Close()) }() // of the handle, not the pool
	if err := use(provider); err != nil {
		return fmt.Errorf("migrate dancefinder: %w", err)
	}
	return nil
}
