// Package migrate brings a component's tables up to date.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNewer is returned when the database has migrations that the program does not
// know: a newer version of it was here. What its tables mean is not known either, so
// nothing was changed.
var ErrNewer = errors.New("the database's tables are newer than this program")

// lockKey serializes migrations of all components in a database.
const lockKey = 0x6576656e74 // "event"

const versionsTable = `CREATE TABLE eventsourcing_migrations (
	component  TEXT NOT NULL,
	file       TEXT NOT NULL,
	applied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (component, file)
)`

// Run applies, in one transaction under a lock, those SQL files of a component
// that the database has not seen, in the order of their names. They are run with
// schema as the search path; an empty one is the connection's own. Several
// processes may call Run at once. Where there is nothing to do, it asks for no
// right but to read the table eventsourcing_migrations. It returns [ErrNewer].
func Run(ctx context.Context, pool *pgxpool.Pool, schema, component string, files fs.FS) error {
	pending, err := Pending(ctx, pool, schema, component, files)
	if err != nil || len(pending) == 0 {
		return err
	}
	// What others did while this one waited for the lock is seen at this level only.
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		return run(ctx, tx, schema, component, files)
	})
	if err != nil {
		return fmt.Errorf("migrate %s: %w", component, err)
	}
	return nil
}

// Pending returns the names of a component's files that the database has not seen,
// in their order. It changes nothing. With [ErrNewer] it returns them, too.
func Pending(ctx context.Context, pool *pgxpool.Pool, schema, component string, files fs.FS) ([]string, error) {
	pending, err := compare(ctx, pool, schema, component, files)
	if err != nil {
		err = fmt.Errorf("migrations of %s: %w", component, err)
	}
	return pending, err
}

// database is a pool or a transaction.
type database interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// compare returns the files that the database has not seen, and [ErrNewer] when it
// has seen others.
func compare(ctx context.Context, db database, schema, component string, files fs.FS) (pending []string, err error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	applied, err := appliedFiles(ctx, db, schema, component)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !slices.Contains(applied, name) {
			pending = append(pending, name)
		}
	}
	newer := slices.DeleteFunc(applied, func(name string) bool { return slices.Contains(names, name) })
	if len(newer) > 0 {
		err = fmt.Errorf("%w: it does not know %s", ErrNewer, strings.Join(newer, ", "))
	}
	return pending, err
}

// appliedFiles returns none where there is no table, and no schema, yet.
func appliedFiles(ctx context.Context, db database, schema, component string) ([]string, error) {
	schema, found, err := look(ctx, db, schema)
	if err != nil || !found {
		return nil, err
	}
	table := pgx.Identifier{schema, "eventsourcing_migrations"}.Sanitize()
	rows, err := db.Query(ctx, "SELECT file FROM "+table+" WHERE component = $1 ORDER BY file", component)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// look returns the schema that is meant, "" if it does not exist, and whether it has
// the table of versions. For the empty schema that is the first one of the search
// path, where tables are made: others don't count. A look at the catalogue sees what
// others have committed, to_regclass may not.
func look(ctx context.Context, db database, schema string) (existing string, table bool, err error) {
	rows, err := db.Query(ctx, `SELECT nspname::text, EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'eventsourcing_migrations')
		FROM pg_namespace n WHERE nspname = coalesce(nullif($1, ''), current_schema())`, schema)
	if err != nil {
		return "", false, err
	}
	_, err = pgx.ForEachRow(rows, []any{&existing, &table}, func() error { return nil })
	return existing, table, err
}

func run(ctx context.Context, tx pgx.Tx, schema, component string, files fs.FS) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockKey)); err != nil {
		return err
	}
	names, err := compare(ctx, tx, schema, component, files)
	if err != nil {
		return err
	}
	if err := prepare(ctx, tx, schema); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := tx.Exec(ctx, "INSERT INTO eventsourcing_migrations (component, file) VALUES ($1, $2)", component, name); err != nil {
			return err
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

// prepare makes the schema and the table of versions where they are missing: IF NOT
// EXISTS would want the right to create them also where they are not.
func prepare(ctx context.Context, tx pgx.Tx, schema string) error {
	existing, table, err := look(ctx, tx, schema)
	if err != nil {
		return err
	}
	var statements []string
	if name := (pgx.Identifier{schema}).Sanitize(); schema != "" {
		if existing == "" {
			statements = append(statements, "CREATE SCHEMA "+name)
		}
		statements = append(statements, "SET LOCAL search_path = "+name)
	}
	if !table {
		statements = append(statements, versionsTable)
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
