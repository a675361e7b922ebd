package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/internal/pgschema"
)

// lockKey serializes migrations of all components in a database.
const lockKey = 0x6576656e74 // "event"

const versionsTable = `CREATE TABLE eventsourcing_migrations (
	component  TEXT NOT NULL,
	file       TEXT NOT NULL,
	applied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
	PRIMARY KEY (component, file)
)`

// Config is the optional part of [Run] and [Pending]. The zero value works.
type Config struct {
	// Schema is where the tables are; it is made when it is missing. Give the components the
	// same in their own Config. Defaults to the first schema of the connection's search path
	// that exists: where tables are made.
	Schema string
}

// Run applies, in one transaction under a lock of the database, what the database has not seen of
// the components and of what they need. It may be called at every start, by several processes at
// once: one works, the others wait and find nothing to do. Where there is nothing to do it asks
// for no right but to read the table eventsourcing_migrations. It returns [ErrNewer], and has
// changed nothing with any error.
func Run(ctx context.Context, pool *pgxpool.Pool, config Config, components ...Component) error {
	all, err := check(pool, config, components)
	if err != nil {
		return err
	}
	pending, err := compare(ctx, pool, config.Schema, all)
	if err != nil || len(pending) == 0 {
		return err
	}
	// What others did while this one waited for the lock is seen at this level only.
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		return run(ctx, tx, config.Schema, all)
	})
}

// Pending returns what [Run] would apply, in that order, as "component/file". It changes nothing.
// With [ErrNewer] it returns it, too.
func Pending(ctx context.Context, pool *pgxpool.Pool, config Config, components ...Component) (names []string, err error) {
	all, err := check(pool, config, components)
	if err != nil {
		return nil, err
	}
	pending, err := compare(ctx, pool, config.Schema, all)
	for _, p := range pending {
		names = append(names, p.component+"/"+p.name)
	}
	return names, err
}

func check(pool *pgxpool.Pool, config Config, components []Component) ([]loaded, error) {
	all, err := load(components)
	if schemaErr := pgschema.Schema(config.Schema).Validate(); schemaErr != nil {
		err = errors.Join(fmt.Errorf("Config.Schema %w", schemaErr), err)
	}
	if pool == nil {
		err = errors.Join(errors.New("the pool is nil"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	return all, nil
}

// database is a pool or a transaction.
type database interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// pendingScript is a file that the database has not seen.
type pendingScript struct {
	component string
	script
}

// compare returns the files that the database has not seen, and [ErrNewer] when it
// has seen others.
func compare(ctx context.Context, db database, schema string, all []loaded) (pending []pendingScript, err error) {
	applied, err := appliedFiles(ctx, db, schema)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	var newer []error
	for _, c := range all {
		unknown := applied[c.name]
		for _, s := range c.scripts {
			if i := slices.Index(unknown, s.name); i >= 0 {
				unknown = slices.Delete(unknown, i, i+1)
			} else {
				pending = append(pending, pendingScript{c.name, s})
			}
		}
		if len(unknown) > 0 {
			newer = append(newer, fmt.Errorf("migrations of %s: %w: it does not know %s", c.name, ErrNewer, strings.Join(unknown, ", ")))
		}
	}
	return pending, errors.Join(newer...)
}

// appliedFiles returns those of each component, none where there is no table, and no schema, yet.
func appliedFiles(ctx context.Context, db database, schema string) (map[string][]string, error) {
	schema, found, err := look(ctx, db, schema)
	if err != nil || !found {
		return nil, err
	}
	table := pgx.Identifier{schema, "eventsourcing_migrations"}.Sanitize()
	rows, err := db.Query(ctx, "SELECT component, file FROM "+table+" ORDER BY component, file")
	if err != nil {
		return nil, err
	}
	applied := map[string][]string{}
	var component, file string
	_, err = pgx.ForEachRow(rows, []any{&component, &file}, func() error {
		applied[component] = append(applied[component], file)
		return nil
	})
	return applied, err
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

func run(ctx context.Context, tx pgx.Tx, schema string, all []loaded) error {
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockKey)); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	pending, err := compare(ctx, tx, schema, all)
	if err != nil {
		return err
	}
	if err := prepare(ctx, tx, schema); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, p := range pending {
		_, err := tx.Exec(ctx, "INSERT INTO eventsourcing_migrations (component, file) VALUES ($1, $2)", p.component, p.name)
		if err == nil {
			// Without arguments the simple protocol is used: a file may hold many statements.
			_, err = tx.Conn().PgConn().Exec(ctx, p.sql).ReadAll()
		}
		if err != nil {
			return fmt.Errorf("migrate %s: %s: %w", p.component, p.name, err)
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
