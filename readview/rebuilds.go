package readview

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// ownTables are what every transaction may write that goes to shadow tables.
var ownTables = []string{"readviews", "readview_states", "readview_rebuilds", "readview_operations"}

// rebuildStatements are the SQL of the tables readview_rebuilds and readview_kept.
type rebuildStatements struct {
	page, pageSet             string // of a page
	begin, resume, read, beat string
	phase, end                string
	yield, untold             string // of verifications on schedule
	keep, kept, unkeep        string
	takeKept, putBack         string
	settleDebt                string
	keepDebt, takeDebt        string
	passDebt, behindDebt      string
	backDebt, returnDebt      string
	restoreDebt               string
	rebuilt                   string
}

func newRebuildStatements(schema string) rebuildStatements {
	r := strings.NewReplacer("{rebuilds}", schema+".readview_rebuilds", "{kept}", schema+".readview_kept", "{states}", schema+".readview_states",
		"{parked}", schema+".readview_parked", "{skipped}", schema+".readview_skipped", "{debt}", schema+".readview_kept_debt",
		"{mine}", "name = $1 AND kind = $2 AND run = $3", "{no failure}", noFailure, "{unverified}", unverified(schema), "{gone back}", goneBack("$3")).Replace
	return rebuildStatements{
		page: r(`SELECT position, set_config('synchronous_commit', 'off', true) || set_config('idle_in_transaction_session_timeout', $4, true)
			FROM {rebuilds} WHERE {mine} AND ended_at IS NULL FOR UPDATE`),
		pageSet: r(`WITH moved AS (UPDATE {rebuilds} SET position = $4, beat_at = clock_timestamp() WHERE {mine} RETURNING name) SELECT 1 / count(*) FROM moved`),
		begin: r(`INSERT INTO {rebuilds} (name, kind, run, command, phase, schema, fingerprint, complete, handled, position, target, node, version, program) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
			ON CONFLICT (name, kind) DO UPDATE SET run = excluded.run, command = excluded.command, phase = excluded.phase, schema = excluded.schema, fingerprint = excluded.fingerprint,
				complete = excluded.complete, handled = excluded.handled, version = excluded.version, program = excluded.program, kept = NULL, position = excluded.position, events = 0, total = 0, target = excluded.target, node = excluded.node, detail = '', waits = NULL,
				started_at = clock_timestamp(), beat_at = clock_timestamp(), ended_at = NULL`),
		// The time in which nobody was at it does not count.
		resume: r(`UPDATE {rebuilds} SET run = $3, node = $4, detail = '', waits = NULL, started_at = started_at + greatest(clock_timestamp() - beat_at, interval '0'), beat_at = clock_timestamp(), ended_at = NULL
			WHERE name = $1 AND kind = $2`),
		read: r(`SELECT name, kind, command, run::text, phase, schema, fingerprint, complete, handled, position, events, total, target, node, detail, result::text, started_at, beat_at, ended_at, version, program, waits::text,
				(extract(epoch FROM clock_timestamp() - coalesce(ended_at, beat_at)) * 1000000)::bigint
			FROM {rebuilds} WHERE name = ANY($1) ORDER BY name, kind`),
		beat:  r(`UPDATE {rebuilds} SET events = $4, total = $5, target = $6, detail = $7, waits = $8::text::jsonb, beat_at = clock_timestamp() WHERE {mine} AND ended_at IS NULL`),
		phase: r(`WITH moved AS (UPDATE {rebuilds} SET phase = $4, detail = '', waits = NULL, beat_at = clock_timestamp() WHERE {mine} AND ended_at IS NULL RETURNING name) SELECT count(*) FROM moved`),
		end: r(`WITH moved AS (UPDATE {rebuilds} SET phase = $4, detail = $5, result = coalesce($6::text::jsonb || jsonb_build_object('at', clock_timestamp()), result), beat_at = clock_timestamp(), ended_at = clock_timestamp() WHERE {mine} AND ended_at IS NULL RETURNING name)
			SELECT count(*) FROM moved`),
		yield: r(`UPDATE {rebuilds} SET run = $2 WHERE name = $1 AND kind = 'verify' AND command = '` + onSchedule + `' AND ended_at IS NULL`),
		// What somebody else is at, or has found meanwhile, stays.
		untold: r(`INSERT INTO {rebuilds} AS r (name, kind, run, command, phase, schema, fingerprint, complete, handled, node, version, detail, ended_at)
				VALUES ($1, 'verify', $2, '` + onSchedule + `', 'failed', '', '', false, $3, $4, $5, $6, clock_timestamp())
			ON CONFLICT (name, kind) DO UPDATE SET run = excluded.run, command = excluded.command, phase = excluded.phase, node = excluded.node, detail = excluded.detail, events = 0,
				started_at = clock_timestamp(), beat_at = clock_timestamp(), ended_at = clock_timestamp() WHERE r.ended_at IS NOT NULL`),
		keep: r(`INSERT INTO {kept} (name, schema, how, position, fingerprint, handled, version, keep_until, topic) VALUES ($1, $2, $3, $4, $5, $6, $8, clock_timestamp() + $7 * interval '1 microsecond',
				(SELECT topic FROM {states} WHERE name = $1))
			ON CONFLICT (name) DO UPDATE SET schema = excluded.schema, how = excluded.how, position = excluded.position, fingerprint = excluded.fingerprint, handled = excluded.handled,
				version = excluded.version, topic = excluded.topic, kept_at = clock_timestamp(), keep_until = excluded.keep_until, restored = false`),
		kept: r(`SELECT name, schema, how, position, fingerprint, handled, kept_at, keep_until, keep_until <= clock_timestamp(), to_regnamespace(quote_ident(schema)) IS NOT NULL, version, topic, restored
			FROM {kept} WHERE name = ANY($1) ORDER BY name`),
		settleDebt: r(`WITH parked AS (DELETE FROM {parked} WHERE name = $1 AND position <> ALL($2)), skipped AS (DELETE FROM {skipped} WHERE name = $1 AND position <> ALL($2))
			UPDATE {states} SET parked = (SELECT count(*) FROM {parked} WHERE name = $1 AND position = ANY($2)), skipped = (SELECT count(*) FROM {skipped} WHERE name = $1 AND position = ANY($2))
			WHERE name = $1`),
		takeKept: r(`UPDATE {rebuilds} r SET kept = to_jsonb(k) FROM {kept} k WHERE k.name = $1 AND r.name = $1 AND r.kind = $2`),
		putBack: r(`WITH back AS (UPDATE {rebuilds} r SET kept = NULL FROM (SELECT name, kind, kept FROM {rebuilds} WHERE name = $1 AND kind = $2 AND ended_at IS NULL FOR UPDATE) AS was
				WHERE r.name = was.name AND r.kind = was.kind RETURNING r.position, was.kept)
			INSERT INTO {kept} SELECT row.* FROM back, jsonb_populate_record(NULL::{kept}, back.kept || jsonb_build_object('schema', $3::text, 'position', back.position, 'restored', back.kept->>'how' = 'apply')) AS row
			WHERE back.kept IS NOT NULL`),
		unkeep: r(`WITH debt AS (DELETE FROM {debt} WHERE name = $1 AND NOT back) DELETE FROM {kept} WHERE name = $1`),
		keepDebt: r(`INSERT INTO {debt} SELECT name, false, position, false, to_jsonb(p) FROM {parked} p WHERE name = $1
			UNION ALL SELECT name, false, position, true, to_jsonb(s) FROM {skipped} s WHERE name = $1`),
		takeDebt: r(`UPDATE {debt} SET back = true WHERE name = $1 AND NOT back`),
		passDebt: r(`INSERT INTO {debt} SELECT name, true, position, false, to_jsonb(p) FROM {parked} p WHERE name = $1 AND position = $2
			UNION ALL SELECT name, true, position, true, to_jsonb(s) FROM {skipped} s WHERE name = $1 AND position = $2 ON CONFLICT DO NOTHING`),
		behindDebt: r(`INSERT INTO {debt} VALUES ($1, true, $2, false, jsonb_build_object('name', $1::text, 'position', $2::bigint, 'event_id', $3::text, 'event_name', $4::text,
			'aggregate_name', $5::text, 'aggregate_id', $6::text, 'recorded', $7::text, 'tries', 0, 'parked_at', clock_timestamp())) ON CONFLICT DO NOTHING`),
		backDebt:   r(`SELECT position, skipped, debt->>'aggregate_name', debt->>'aggregate_id' FROM {debt} WHERE name = $1 AND back`),
		returnDebt: r(`UPDATE {debt} SET back = false WHERE name = $1 AND back`),
		restoreDebt: r(`WITH gone AS (DELETE FROM {debt} WHERE name = $1 AND back RETURNING skipped, debt),
				p AS (INSERT INTO {parked} SELECT row.* FROM gone, jsonb_populate_record(NULL::{parked}, debt) AS row WHERE NOT gone.skipped RETURNING 1),
				s AS (INSERT INTO {skipped} SELECT row.* FROM gone, jsonb_populate_record(NULL::{skipped}, debt) AS row WHERE gone.skipped RETURNING 1)
			UPDATE {states} SET parked = (SELECT count(*) FROM p), skipped = (SELECT count(*) FROM s) WHERE name = $1`),
		rebuilt: r(`WITH {unverified} UPDATE {states} SET generation = generation + 1, publication = NULL, topic = NULL, handled = $2, dropped = '{}', version = $3, shape = '', withdrawn = {gone back},
				superseded = (SELECT coalesce(jsonb_agg(names), '[]') FROM jsonb_array_elements(superseded || jsonb_build_array(to_jsonb(handled))) AS names
					WHERE names <> to_jsonb($2::text[])),
				status = CASE status WHEN 'paused' THEN 'paused' ELSE 'running' END, {no failure}
			WHERE name = $1`),
	}
}

// unverified forgets, as a part of a statement about $1, what the last verification has found: the content is another one from now on. One
// that is under way will say what it finds.
func unverified(schema string) string {
	return strings.ReplaceAll(`unverified AS (UPDATE {rebuilds} SET result = NULL
		WHERE (name, kind) IN (SELECT name, kind FROM {rebuilds} WHERE name = $1 AND kind = 'verify' FOR UPDATE SKIP LOCKED))`, "{rebuilds}", schema+".readview_rebuilds")
}

// The kinds of replays, which have a row, a schema and a lock each.
const (
	kindRebuild = "rebuild"
	kindVerify  = "verify"
	kindExplain = "explain"
)

// rebuildRecord is a row of readview_rebuilds.
type rebuildRecord struct {
	name, kind, command, run, phase, schema, fingerprint string
	complete                                             bool
	handled                                              []string
	version                                              int
	program                                              string // see executable
	position, target                                     eventsourced.Position
	events, total                                        int64
	node, detail                                         string
	result, waits                                        *string
	started, beat                                        time.Time
	ended                                                *time.Time
	age                                                  time.Duration // of the last that is known of it, by the database's clock
}

// took is how long it has been at work, or was.
func (r rebuildRecord) took() time.Duration {
	last := r.beat
	if r.ended != nil {
		last = *r.ended
	}
	return max(0, last.Sub(r.started))
}

// rebuildsOf returns what is known of replays of these projections.
func (s states) rebuildsOf(ctx context.Context, names ...string) ([]rebuildRecord, error) {
	sql, err := s.sql(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, sql.rebuilds.read, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r rebuildRecord, err error) {
		var age int64
		err = row.Scan(&r.name, &r.kind, &r.command, &r.run, &r.phase, &r.schema, &r.fingerprint, &r.complete, &r.handled, (*int64)(&r.position), &r.events, &r.total, (*int64)(&r.target),
			&r.node, &r.detail, &r.result, &r.started, &r.beat, &r.ended, &r.version, &r.program, &r.waits, &age)
		r.age = time.Duration(age) * time.Microsecond
		return r, err
	})
}

// rebuildOf returns one of them, nil if there is none.
func (s states) rebuildOf(ctx context.Context, name, kind string) (*rebuildRecord, error) {
	all, err := s.rebuildsOf(ctx, name)
	for _, r := range all {
		if r.kind == kind {
			return &r, err
		}
	}
	return nil, err
}

// keptRecord is a row of readview_kept.
type keptRecord struct {
	name, schema, how string
	position          eventsourced.Position
	fingerprint       string
	handled           []string
	version           int
	topic             *string // that fed it, nil when it is not known
	at, until         time.Time
	over, there       bool // its time is; its schema is
	restored          bool // its tables are whole, although it is of an apply
}

func (s states) keptOf(ctx context.Context, names ...string) ([]keptRecord, error) {
	sql, err := s.sql(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := s.pool.Query(ctx, sql.rebuilds.kept, names)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k keptRecord, err error) {
		err = row.Scan(&k.name, &k.schema, &k.how, (*int64)(&k.position), &k.fingerprint, &k.handled, &k.at, &k.until, &k.over, &k.there, &k.version, &k.topic, &k.restored)
		return k, err
	})
}

var errLostRun = errors.New("another one of the projection has taken over, or this one was ended from elsewhere")
