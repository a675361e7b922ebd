package readview

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tables knows in which schema readviews and readview_states are: in the first of the
// pool's search path that has them. Statements name it, so that a handler which sets
// another path finds no other tables for them.
type tables struct {
	pool      *pgxpool.Pool
	schema    string        // "" is found out
	positions PositionStore // nil is the table readviews
	found     atomic.Pointer[statements]
}

// statements are the SQL of this package with the names of its tables.
type statements struct {
	lock, state, advance              string // of a page
	read, readMany                    string
	insert, insertState, register     string
	retry, status, fail, note, forget string
	lease, release, leases            string
	renew, turns, lockIdle, moveIdle  string
	reset, resetState, generation     string
	shaped, fed                       string
	publication                       string
	operation, operationEnd           string
	park, parkBehind, parkedStreams   string
	parked, unpark, parkAgain         string
	skip, skipParked, skipped         string
	clearDebt, recorded               string
	operations, operationNote         string
	standing                          string

	schema   string // of the tables, not quoted
	rebuilds rebuildStatements
}

// leaseIsValid is true of a lease that another node has to respect. One that is further
// away than its length is none: the database's clock has gone back.
const leaseIsValid = `(s.lease_until > clock_timestamp() AND s.lease_until <= clock_timestamp() + s.lease_length)`

// recordColumns are what scanRecord reads.
const recordColumns = `s.name, {position}, s.rebuild_to, s.generation, s.status, s.handled, s.dropped, s.superseded, s.version, s.shape, s.withdrawn, s.topic, s.rate, s.node, ` + leaseIsValid + `,
	CASE WHEN ` + leaseIsValid + ` THEN (extract(epoch FROM s.lease_until - clock_timestamp()) * 1000)::bigint ELSE 0 END,
	abs(extract(epoch FROM clock_timestamp() - s.tried_at)) < 15,
	s.error, s.failed_at, s.failed_event, s.failed_name, s.failed_position, s.failing_since, s.attempts, s.publication, s.heard,
	s.failed_stack, s.failed_statement, s.parked, s.skipped, s.stall`

const noFailure = `error = NULL, failed_at = NULL, failed_event = NULL, failed_name = NULL, failed_position = NULL,
	failing_since = NULL, attempts = NULL, tried_at = NULL, stall = NULL, failed_stack = NULL, failed_statement = NULL, failed_recorded = NULL`

const setFailure = `error = $3, failed_at = $4, failed_event = $5, failed_name = $6, failed_position = $7, failing_since = $8, attempts = $9,
	failed_stack = $10, failed_statement = $11, failed_recorded = $12, tried_at = clock_timestamp()`

// goneBack is the withdrawn of a projection that somebody makes anew in a version, a parameter.
func goneBack(version string) string {
	return `CASE WHEN version > ` + version + ` THEN greatest(withdrawn, version) WHEN withdrawn > ` + version + ` THEN withdrawn ELSE 0 END`
}

func (t *tables) sql(ctx context.Context) (*statements, error) {
	if sql := t.found.Load(); sql != nil {
		return sql, nil
	}
	found := t.schema
	if found == "" {
		err := t.pool.QueryRow(ctx, `SELECT nspname::text FROM pg_namespace WHERE oid = (SELECT relnamespace FROM pg_class WHERE oid = 'readview_states'::regclass)`).Scan(&found)
		if err != nil {
			return nil, fmt.Errorf("find the tables of readview: %w", explain(err))
		}
	}
	schema := pgx.Identifier{found}.Sanitize()
	record, position, positionOf := "{readviews} r JOIN {states} s USING (name)", "r.position", "(SELECT position FROM {readviews} r WHERE r.name = s.name)"
	if t.positions != nil { // they are asked for, see states
		record, position, positionOf = "{states} s", "0::bigint", "0::bigint"
	}
	names := strings.NewReplacer("{readviews}", schema+".readviews", "{states}", schema+".readview_states", "{operations}", schema+".readview_operations", "{parked}", schema+".readview_parked", "{skipped}", schema+".readview_skipped",
		"{position}", position, "{valid}", leaseIsValid, "{no failure}", noFailure, "{failure}", setFailure)
	parts := strings.NewReplacer("{record}", recordColumns, "{from}", record, "{gone back}", goneBack("$4"), "{unverified}", unverified(schema), "{position of s}", positionOf)
	r := func(statement string) string { return names.Replace(parts.Replace(statement)) }
	sql := &statements{
		lock:  r(`SELECT position FROM {readviews} WHERE name = $1 FOR UPDATE`),
		state: r(`SELECT generation, status = 'running', parked, set_config('idle_in_transaction_session_timeout', $2, true) FROM {states} WHERE name = $1`),
		// It fails where there is no row to change.
		advance:     r(`WITH moved AS (UPDATE {readviews} SET position = $2 WHERE name = $1 RETURNING name) SELECT 1 / count(*) FROM moved`),
		read:        r(`SELECT {record} FROM {from} WHERE s.name = $1`),
		readMany:    r(`SELECT {record} FROM {from} WHERE s.name = ANY($1)`),
		insert:      r(`INSERT INTO {readviews} (name, position) VALUES ($1, 0) ON CONFLICT DO NOTHING`),
		insertState: r(`INSERT INTO {states} (name, handled, version) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`),
		register: r(`UPDATE {states} SET handled = $2, dropped = $3, superseded = $4, shape = CASE version WHEN $6 THEN shape ELSE '' END, version = $6, generation = generation + 1
			WHERE name = $1 AND generation = $5 AND (handled, version) IS DISTINCT FROM ($2, $6)`),
		retry:  r(`UPDATE {states} SET status = 'running' WHERE name = $1 AND status = 'failed'`),
		status: r(`UPDATE {states} SET status = $2 WHERE name = $1`),
		fail:   r(`UPDATE {states} SET status = $13, {failure}, stall = NULL WHERE name = $1 AND generation = $2 AND status = 'running'`),
		note:   r(`UPDATE {states} s SET {failure}, stall = $13 WHERE name = $1 AND status = 'running' AND (node = $2 OR NOT {valid})`),
		forget: r(`UPDATE {states} SET {no failure} WHERE name = $1 AND generation = $2 AND status = 'running'`),
		lease: r(`UPDATE {states} s SET node = $2, lease_length = $3 * interval '1 microsecond', lease_until = clock_timestamp() + $3 * interval '1 microsecond', rate = $5, heard = $6
			WHERE name = $1 AND (node = $2 OR NOT {valid}) AND generation = $4 AND status = 'running'
			RETURNING {position of s}, error IS NOT NULL`),
		leases: r(`SELECT s.name, s.node, {valid}, CASE WHEN isfinite(s.lease_until) THEN s.lease_until END,
			CASE WHEN {valid} THEN (extract(epoch FROM s.lease_until - clock_timestamp()) * 1000000)::bigint ELSE 0 END
			FROM {states} s WHERE s.node <> '' ORDER BY s.name`),
		release: r(`UPDATE {states} SET lease_until = '-infinity' WHERE name = $1 AND node = $2`),
		reset:   r(`INSERT INTO {readviews} (name, position) VALUES ($1, 0) ON CONFLICT (name) DO UPDATE SET position = 0`),
		resetState: r(`WITH {unverified} UPDATE {states} SET generation = generation + 1, handled = $2, dropped = '{}', version = $4, shape = '', withdrawn = {gone back}, rebuild_to = greatest(rebuild_to, $3),
				superseded = (SELECT coalesce(jsonb_agg(names), '[]') FROM jsonb_array_elements(superseded || jsonb_build_array(to_jsonb(handled))) AS names
					WHERE names <> to_jsonb($2::text[])),
				publication = NULL, topic = NULL, status = CASE status WHEN 'paused' THEN 'paused' ELSE 'running' END, {no failure}
			WHERE name = $1`),
	}
	// Rows that somebody has locked, for a reset perhaps, are left out: the others' leases must not wait for them.
	sql.renew = r(`WITH asked AS (SELECT * FROM unnest($2::text[], $3::bigint[], $4::float8[]) AS a (name, generation, rate)),
		mine AS MATERIALIZED (SELECT s.name, a.rate, set_config('synchronous_commit', 'off', true) FROM {states} s JOIN asked a ON a.name = s.name
			WHERE (s.node = $1 OR NOT {valid}) AND s.generation = a.generation AND s.status = 'running' FOR NO KEY UPDATE OF s SKIP LOCKED),
		renewed AS (UPDATE {states} s SET node = $1, lease_length = $5 * interval '1 microsecond', lease_until = clock_timestamp() + $5 * interval '1 microsecond', rate = mine.rate
			FROM mine WHERE s.name = mine.name RETURNING s.name)
		SELECT s.name, renewed.name IS NOT NULL, (s.node = $1 OR NOT {valid}) AND s.generation = a.generation AND s.status = 'running', {position of s}, s.error IS NOT NULL
			FROM asked a JOIN {states} s ON s.name = a.name LEFT JOIN renewed ON renewed.name = s.name`)
	sql.turns = r(`SELECT s.name, s.generation, s.status = 'running', {valid}, CASE WHEN {valid} THEN (extract(epoch FROM s.lease_until - clock_timestamp()) * 1000)::bigint ELSE 0 END
		FROM {states} s WHERE s.name = ANY($1)`)
	sql.lockIdle = r(`SELECT name, set_config('synchronous_commit', 'off', true) FROM {readviews} WHERE name = ANY($1) FOR NO KEY UPDATE SKIP LOCKED`)
	sql.moveIdle = r(`UPDATE {readviews} r SET position = a.target FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS a (name, generation, was, target), {states} s
		WHERE r.name = a.name AND s.name = a.name AND r.position = a.was AND s.generation = a.generation AND s.status = 'running' RETURNING r.name`)
	sql.shaped = r(`UPDATE {states} SET shape = $3 WHERE name = $1 AND generation = $2 AND shape = ''`)
	sql.fed = r(`UPDATE {states} SET topic = $3 WHERE name = $1 AND generation = $2 AND topic IS NOT DISTINCT FROM $4`)
	sql.generation = r(`SELECT generation FROM {states} WHERE name = $1`)
	sql.publication = r(`UPDATE {states} SET publication = $3 WHERE name = $1 AND generation = $2`)
	sql.operation = r(`INSERT INTO {operations} (name, command, actor, arguments, outcome, detail, ended_at)
		VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $5::text = 'under way' THEN NULL ELSE clock_timestamp() END) RETURNING id`)
	sql.operationEnd = r(`UPDATE {operations} SET outcome = $2, detail = $3, ended_at = clock_timestamp() WHERE id = $1`)
	sql.operationNote = r(`UPDATE {operations} SET detail = $2 WHERE id = $1`)
	sql.operations = r(`SELECT id, name, command, actor, arguments, outcome, detail, began_at, ended_at FROM {operations}
		WHERE (cardinality($1::text[]) = 0 OR name = ANY($1)) AND ($3 = 0 OR id < $3) ORDER BY id DESC LIMIT $2`)
	sql.debt(r)
	sql.schema, sql.rebuilds = found, newRebuildStatements(schema)
	t.found.Store(sql)
	return sql, nil
}
