package migrations

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lastShaped is the last step that goes by the shape of the tables it finds.
const lastShaped = 4

// recognise returns the numbers of DanceFinder's own steps that the database has behind it,
// and whether they are recorded in it: those of a legacy database are not. It changes nothing.
// It returns [ErrForeign].
func recognise(ctx context.Context, pool *pgxpool.Pool) (applied []int64, recorded bool, err error) {
	applied, err = ownVersions(ctx, pool)
	if err != nil {
		return nil, false, fmt.Errorf("migrations of dancefinder: %w", err)
	}
	if len(applied) > 0 {
		return applied, true, checkShape(ctx, pool, slices.Max(applied))
	}
	relations, err := relations(ctx, pool)
	if err != nil {
		return nil, false, err
	}
	known, err := ours(relations)
	if err != nil {
		return nil, false, err
	}
	found, keys, err := inspect(ctx, pool)
	if err != nil {
		return nil, false, err
	}
	others := slices.DeleteFunc(slices.Clone(relations), func(name string) bool { return known[name] })
	if len(found) == 0 {
		if len(others) > 0 {
			return nil, false, fmt.Errorf("%w: it has %s", ErrForeign, list(others))
		}
		elsewhere, err := elsewhere(ctx, pool)
		if err == nil && len(elsewhere) > 0 {
			err = fmt.Errorf("%w: the schema that tables are looked for in by default has none, but there are %s; "+
				"say which schema is meant by search_path in the database's URL, as ?search_path=public", ErrForeign, list(elsewhere))
		}
		return nil, false, err
	}
	s, differences := closest(found, keys)
	differences = append(differences, inTheWay(others)...)
	dependents, err := dependents(ctx, pool)
	if err != nil {
		return nil, false, err
	}
	if differences = append(differences, dependents...); len(differences) > 0 {
		return nil, false, fmt.Errorf("%w: it has %s; of DanceFinder's legacy it differs in that %s", ErrForeign, list(relations), strings.Join(differences, "; "))
	}
	for version := range s.version {
		applied = append(applied, version+1)
	}
	return applied, false, nil
}

// checkShape refuses tables that are not what their recorded version says, where a step
// is still to change them.
func checkShape(ctx context.Context, pool *pgxpool.Pool, version int64) error {
	if version >= lastShaped {
		return nil
	}
	found, keys, err := inspect(ctx, pool)
	if err != nil {
		return err
	}
	var differences []string
	for _, s := range shapes {
		if s.version != version {
			continue
		}
		if differences = s.differences(found, keys); len(differences) == 0 {
			break
		}
	}
	dependents, err := dependents(ctx, pool)
	if err != nil {
		return err
	}
	if differences = append(differences, dependents...); len(differences) > 0 {
		return fmt.Errorf("%w: goose_db_version says that it is at step %d of these migrations, but %s", ErrForeign, version, strings.Join(differences, "; "))
	}
	return nil
}

// closest returns the shape that the tables have, or the one that they are closest to and in what
// they differ from it.
func closest(found tables, keys map[string][]string) (best shape, differences []string) {
	for i, s := range shapes {
		d := s.differences(found, keys)
		if len(d) == 0 {
			return s, nil
		}
		if i == 0 || len(d) < len(differences) && !s.complete || best.complete {
			best, differences = s, d
		}
	}
	return best, differences
}

// list is at most a dozen names.
func list(names []string) string {
	const most = 12
	kind := "the tables "
	if len(names) == 1 {
		kind = "the table "
	}
	if len(names) > most {
		return fmt.Sprintf("%s%s and %d more", kind, strings.Join(names[:most], ", "), len(names)-most)
	}
	return kind + strings.Join(names, ", ")
}

// ours returns the names of the relations that the framework's migrations and goose have
// made, given all that there are.
func ours(relations []string) (map[string]bool, error) {
	known := map[string]bool{"goose_db_version": true, "eventsourcing_migrations": true}
	if !slices.Contains(relations, "eventsourcing_migrations") {
		return known, nil
	}
	made, err := Tables()
	for name, migration := range made {
		if strings.Contains(migration, "/") {
			known[name] = true
		}
	}
	return known, err
}

// inTheWay says which tables of others have the name of one that is still to be made.
func inTheWay(others []string) (all []string) {
	made, _ := Tables()
	for _, name := range others {
		isView := slices.ContainsFunc(readViews, func(t readView) bool { return t.name == name })
		if _, ok := made[name]; ok && !isView {
			all = append(all, "there is a table "+name+" already")
		}
	}
	return all
}

// relations returns the names of all tables and views in the database's own schema, but for
// those of extensions.
func relations(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	return texts(ctx, pool, `SELECT c.relname::text FROM pg_class c
		WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
		ORDER BY 1`)
}

// elsewhere returns the tables in other schemas, with these, if nobody has chosen the one that is used:
// a legacy database in a schema of its own would get a second, empty application beside its tables.
func elsewhere(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	return texts(ctx, pool, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname IS DISTINCT FROM current_schema() AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		AND (SELECT source IN ('default', 'configuration file') FROM pg_settings WHERE name = 'search_path')
		AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
		ORDER BY 1`)
}

// inspect returns the columns of those read views that there are, and the columns of their
// unique indexes.
func inspect(ctx context.Context, pool *pgxpool.Pool) (tables, map[string][]string, error) {
	rows, err := pool.Query(ctx, `SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL), a.attnotnull, a.atthasdef
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relkind = 'r' AND c.relname = ANY ($1)
		AND a.attnum > 0 AND NOT a.attisdropped`, viewNames())
	if err != nil {
		return nil, nil, err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		return nil, nil, err
	}
	found := tables{}
	for _, c := range columns {
		if found[c.Table] == nil {
			found[c.Table] = map[string]column{}
		}
		found[c.Table][c.Name] = c
	}
	keys := map[string][]string{}
	var table, key string
	rows, err = pool.Query(ctx, `SELECT c.relname::text, (SELECT string_agg(coalesce(a.attname, '?'), ', ' ORDER BY k.n)
			FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, n) LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum)
		FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid
		WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relname = ANY ($1) AND i.indisunique
		ORDER BY 1, 2`, viewNames())
	if err != nil {
		return nil, nil, err
	}
	_, err = pgx.ForEachRow(rows, []any{&table, &key}, func() error {
		keys[table] = append(keys[table], key)
		return nil
	})
	return found, keys, err
}

// dependents says what others have tied to the read views: foreign keys from outside would
// stop a reset, views a renamed column, and triggers change what a projection has written.
func dependents(ctx context.Context, pool *pgxpool.Pool) ([]string, error) {
	return texts(ctx, pool, `WITH ours AS (
			SELECT oid, relname FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relname = ANY ($1))
		SELECT format('the foreign key %s of the table %s refers to %s', conname, conrelid::regclass, confrelid::regclass)
			FROM pg_constraint WHERE contype = 'f' AND confrelid IN (SELECT oid FROM ours) AND conrelid NOT IN (SELECT oid FROM ours)
		UNION ALL
		SELECT format('the table %s has a trigger %s', tgrelid::regclass, tgname) FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM ours) AND NOT tgisinternal
		UNION ALL
		SELECT DISTINCT format('the view %s reads %s', r.ev_class::regclass, d.refobjid::regclass)
			FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
			WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM ours) AND r.ev_class <> d.refobjid
		ORDER BY 1`, viewNames())
}

func texts(ctx context.Context, pool *pgxpool.Pool, sql string, args ...any) ([]string, error) {
	rows, err := pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func viewNames() (names []string) {
	for _, t := range readViews {
		names = append(names, t.name)
	}
	return names
}
