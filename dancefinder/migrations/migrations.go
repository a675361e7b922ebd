// Package migrations makes DanceFinder's tables: the framework's by its own
// migrations, those of the read views and of geocoding by the SQL files beside this one, with
// goose.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
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

// ErrNewer is returned when the database has migrations that this program does not
// know: a newer one made them. Nothing was changed.
var ErrNewer = errors.New("the database's tables are newer than this program")

// Migration is one of the framework's, named with its component, or of DanceFinder's
// own.
type Migration struct {
	Name    string // pgstore/0001_events.sql, 00001_read_views.sql
	Applied bool
}

// components are the framework's parts that have tables.
var components = []struct {
	name    string
	files   func() fs.FS
	migrate func(context.Context, *pgxpool.Pool) error
	pending func(context.Context, *pgxpool.Pool) ([]string, error)
}{
	{"pgstore", pgstore.Migrations, pgstore.Migrate, pgstore.Pending},
	{"readview", readview.Migrations, readview.Migrate, readview.Pending},
	{"messaging", messaging.Migrations, messaging.Migrate, messaging.Pending},
}

// Up applies what is missing, in the first schema of the pool's search path, and
// returns the names of what was. Several processes may call it at once: then more
// than one of them may name the framework's. Before it does anything it returns
// [ErrNewer].
func Up(ctx context.Context, pool *pgxpool.Pool) (applied []string, err error) {
	all, err := Status(ctx, pool)
	if err != nil {
		return nil, err
	}
	missing := Pending(all)
	for _, c := range components {
		if err := c.migrate(ctx, pool); err != nil {
			return applied, err
		}
		for _, name := range missing {
			if strings.HasPrefix(name, c.name+"/") {
				applied = append(applied, name)
			}
		}
	}
	if len(missing) == len(applied) {
		return applied, nil
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

var createTable = regexp.MustCompile(`(?im)^CREATE TABLE (?:IF NOT EXISTS )?(\w+)`)

// Tables returns the names of all tables, each with that of the migration that makes it.
func Tables() (map[string]string, error) {
	made := map[string]string{}
	read := func(dir fs.FS, prefix string) error {
		names, err := fs.Glob(dir, "*.sql")
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := fs.ReadFile(dir, name)
			if err != nil {
				return err
			}
			for _, match := range createTable.FindAllSubmatch(text, -1) {
				made[string(match[1])] = prefix + name
			}
		}
		return nil
	}
	for _, c := range components {
		if err := read(c.files(), c.name+"/"); err != nil {
			return nil, err
		}
	}
	return made, read(files, "")
}

// Pending returns the names of those that are not applied.
func Pending(all []Migration) (names []string) {
	for _, m := range all {
		if !m.Applied {
			names = append(names, m.Name)
		}
	}
	return names
}

// Status returns all migrations, in the order in which they are applied. It changes
// nothing. With [ErrNewer] it returns them, too.
func Status(ctx context.Context, pool *pgxpool.Pool) (all []Migration, err error) {
	var newer []error
	for _, c := range components {
		pending, err := c.pending(ctx, pool)
		switch {
		case errors.Is(err, pgstore.ErrNewerTables), errors.Is(err, readview.ErrNewerTables), errors.Is(err, messaging.ErrNewerTables):
			newer = append(newer, fmt.Errorf("%w: %w", ErrNewer, err))
		case err != nil:
			return nil, err
		}
		names, err := fs.Glob(c.files(), "*.sql")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			all = append(all, Migration{Name: c.name + "/" + name, Applied: !slices.Contains(pending, name)})
		}
	}
	own, err := ownStatus(ctx, pool)
	if err != nil && !errors.Is(err, ErrNewer) {
		return nil, err
	}
	return append(all, own...), errors.Join(append(newer, err)...)
}

// ownStatus reads what goose keeps. goose's own look would make its table, and wait
// for its lock.
func ownStatus(ctx context.Context, pool *pgxpool.Pool) (all []Migration, err error) {
	versions, err := ownVersions(ctx, pool)
	if err != nil {
		return nil, fmt.Errorf("migrations of dancefinder: %w", err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, err
		}
		all = append(all, Migration{Name: name, Applied: slices.Contains(versions, version)})
		versions = slices.DeleteFunc(versions, func(v int64) bool { return v == version })
	}
	if len(versions) > 0 {
		err = fmt.Errorf("%w: of dancefinder's migrations it does not know those with the numbers %v", ErrNewer, versions)
	}
	return all, err
}

// ownVersions returns the numbers of DanceFinder's own migrations in the database.
func ownVersions(ctx context.Context, pool *pgxpool.Pool) ([]int64, error) {
	var schema *string
	err := pool.QueryRow(ctx, `SELECT max(schemaname::text) FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'goose_db_version'`).Scan(&schema)
	if err != nil || schema == nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, "SELECT DISTINCT version_id FROM "+pgx.Identifier{*schema, "goose_db_version"}.Sanitize()+" WHERE version_id > 0 AND is_applied ORDER BY 1")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
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
