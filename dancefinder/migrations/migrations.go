// Package migrations makes DanceFinder's tables, with goose, by the SQL files beside this
// one, which tell their history:
//
//	1  the legacy tables: integer ids, a uuid beside them, foreign keys
//	2  events and preferences refer to bands and halls by uuid
//	3  uuid becomes id, the integers go, constraints are made again
//	4  no foreign keys: the tables are read views, each is reset by itself
//	5  what the projection userpreferences keeps for itself
//	6  geocoding
//	7  the calendar links of users
//
// and then the framework's by its own migrations. What the tables of the read views are
// in the end is in schema/read_views.sql.
//
// A database that has the legacy tables, made by whatever tool, is recognised by its
// columns, also half-way, and goes on from there. What constraints it has, and under which
// names, does not matter, nor do other tables beside them that are not tied to these. What
// is neither empty, nor legacy, nor made by these migrations is refused, and so are rows
// that a step can't take: before anything is changed, the book-keeping included.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/readview"
)

//go:embed *.sql
var files embed.FS

// Migration is one of the framework's, named with its component, or of DanceFinder's
// own.
type Migration struct {
	Name    string // pgstore/0001_events.sql, 00001_legacy.sql
	Applied bool   // or what a legacy database has from whoever made it
}

// components are the framework's parts that have tables.
var components = []migrate.Component{pgstore.Migrations(), readview.Migrations(), consumer.Migrations(), relay.Migrations(), reactor.Migrations()}

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
		if err := read(c.Files, c.Name+"/"); err != nil {
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
// nothing. With [ErrNewer] it returns them, too. It returns [ErrForeign].
func Status(ctx context.Context, pool *pgxpool.Pool) (all []Migration, err error) {
	versions, _, err := recognise(ctx, pool)
	if err != nil {
		return nil, err
	}
	all, err = ownStatus(versions)
	if err != nil && !errors.Is(err, ErrNewer) {
		return nil, err
	}
	pending, frameworkErr := migrate.Pending(ctx, pool, migrate.Config{}, components...)
	switch {
	case errors.Is(frameworkErr, migrate.ErrNewer):
		frameworkErr = fmt.Errorf("%w: %w", ErrNewer, frameworkErr)
	case frameworkErr != nil:
		return nil, frameworkErr
	}
	for _, c := range components {
		names, err := fs.Glob(c.Files, "*.sql")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			name = c.Name + "/" + name
			all = append(all, Migration{Name: name, Applied: !slices.Contains(pending, name)})
		}
	}
	return all, errors.Join(err, frameworkErr)
}

// ownStatus returns DanceFinder's own migrations, and [ErrNewer] if some of the versions
// are none of them.
func ownStatus(versions []int64) (all []Migration, err error) {
	versions = slices.Clone(versions)
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

// ownVersions returns the numbers of DanceFinder's own migrations that are recorded. goose's
// own look would make its table, and wait for its lock.
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
