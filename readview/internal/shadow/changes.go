package shadow

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// MarkSQL says, to the end of the transaction or the next mark, which event the changes are of that [Set.Watch] has noted.
const MarkSQL = `SELECT set_config('readview.position', $1, true)`

// Watch has all changes of the rows of a shadow noted, in a table beside it, each with the position that [MarkSQL] has
// set: without one, a change fails. It goes with the schema.
func (s *Set) Watch(ctx context.Context, conn Conn, schema, table string) error {
	changes, function := quote(schema, Name(table, " (changes)")), quote(schema, Name(table, " (note)"))
	for _, sql := range []string{
		`CREATE TABLE ` + changes + ` (n bigint GENERATED ALWAYS AS IDENTITY, position bigint NOT NULL, op text NOT NULL, old jsonb, new jsonb)`,
		`CREATE FUNCTION ` + function + `() RETURNS trigger LANGUAGE plpgsql AS $function$BEGIN
			INSERT INTO ` + changes + ` (position, op, old, new) VALUES (current_setting('readview.position')::bigint, TG_OP,
				CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END, CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) END);
			RETURN NULL; END$function$`,
		`CREATE TRIGGER zz_readview_changes AFTER INSERT OR UPDATE OR DELETE ON ` + quote(schema, table) + ` FOR EACH ROW EXECUTE FUNCTION ` + function + `()`,
		`CREATE TRIGGER zz_readview_emptied AFTER TRUNCATE ON ` + quote(schema, table) + ` FOR EACH STATEMENT EXECUTE FUNCTION ` + function + `()`,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("watch the shadow table %s: %w", table, err)
		}
	}
	return nil
}

// Noted is a change of a row.
type Noted struct {
	Position int64
	Op       string // INSERT, UPDATE, DELETE or TRUNCATE
	Key      json.RawMessage
	Before   json.RawMessage // nil if the row was not there
	After    json.RawMessage // nil if it is not there any more
}

// History returns the last changes, limit at most, of the rows that a condition was true of at some time, before their keys
// were changed and afterwards, too. It has to be given a transaction that takes no writes.
func (s *Set) History(ctx context.Context, conn Conn, schema, table, where string, limit int) ([]Noted, error) {
	t := s.byName(table)
	key := func(row string) string {
		if len(t.Key) == 0 {
			return row
		}
		var parts []string
		for _, column := range t.Key {
			parts = append(parts, literal(column)+`, `+row+`->`+literal(column))
		}
		return `CASE WHEN ` + row + ` IS NOT NULL THEN jsonb_build_object(` + strings.Join(parts, ", ") + `) END`
	}
	holds := func(row string) string { // in a query of its own, so that names are those of the row
		return row + ` IS NOT NULL AND EXISTS (SELECT FROM jsonb_populate_record(NULL::` + quote(schema, table) + `, ` + row + `) AS ` + quote(table) + ` WHERE ` + Condition(where) + `)`
	}
	rows, err := conn.Query(ctx, `WITH RECURSIVE noted AS MATERIALIZED (
			SELECT n, position, op, old, new, `+key("old")+` AS k0, `+key("new")+` AS k1 FROM `+quote(schema, Name(table, " (changes)"))+`),
		moved AS MATERIALIZED (SELECT k0, k1 FROM noted WHERE k0 <> k1),
		keys AS (
			SELECT k FROM (SELECT k0 AS k FROM noted WHERE `+holds("old")+` UNION SELECT k1 FROM noted WHERE `+holds("new")+`) AS hit
			UNION SELECT CASE keys.k WHEN moved.k0 THEN moved.k1 ELSE moved.k0 END FROM keys JOIN moved ON keys.k IN (moved.k0, moved.k1))
		SELECT position, op, coalesce(k1, k0)::text, old::text, new::text FROM noted
		WHERE k0 IN (SELECT k FROM keys) OR k1 IN (SELECT k FROM keys) OR op = 'TRUNCATE' AND EXISTS (SELECT FROM keys)
		ORDER BY n DESC LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n Noted, err error) {
		var key, before, after *string
		err = row.Scan(&n.Position, &n.Op, &key, &before, &after)
		n.Key, n.Before, n.After = raw(key), raw(before), raw(after)
		return n, err
	})
	slices.Reverse(all)
	return all, err
}

// Condition is what an operator wrote after WHERE, so that it ends where it should.
func Condition(where string) string { return "(" + where + "\n)" }
