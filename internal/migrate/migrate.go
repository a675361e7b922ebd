// Package migrate brings a component's tables up to date.
package migrate

import (
	"context"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lockKey serializes migrations of all components in a database.
const lockKey = 0x6576656e74 // "event"

const versionsTable = `CREATE TABLE IF NOT EXISTS eventsourcing_migrations (
	component  TEXT NOT NULL,
	file       TEXT NOT NULL,
	applied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (component, file)
)`

// Run applies, in one transaction under a lock, those SQL files of a component
// that the database has not seen, in the order of their names. They are run with
// schema as the search path; an empty one is the connection's own. Several
// processes may call Run at once.
func Run(ctx context.Context, pool *pgxpool.Pool, schema, component string, files fs.FS) error {
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return run(ctx, tx, schema, component, files) })
	if err != nil {
		return fmt.Errorf("migrate %s: %w", component, err)
	}
	return nil
}

func run(ctx context.Context, tx pgx.Tx, schema, component string, files fs.FS) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockKey)); err != nil {
		return err
	}
	if schema != "" {
		name := pgx.Identifier{schema}.Sanitize()
		if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+name); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = "+name); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, versionsTable); err != nil {
		return err
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return err
	}
	for _, name := range names {
		tag, err := tx.Exec(ctx, "INSERT INTO eventsourcing_migrations (component, file) VALUES ($1, $2) ON CONFLICT DO NOTHING", component, name)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			continue
		}
		script, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		// Without arguments the simple protocol is used: a file may hold many statements.
		if _, err := tx.Conn().PgConn().Exec(ctx, string(script)).ReadAll(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
