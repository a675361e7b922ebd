package pgstore

import (
	_ "embed"
	"regexp"
	"strings"

	"github.com/dancefinder/eventsourcing/internal/pgschema"
)

var (
	//go:embed append.sql
	appendSQL string
	//go:embed append_one.sql
	appendOneSQL string
	//go:embed holder.sql
	holderSQL string
)

// statements are the store's SQL with the names of its tables filled in.
type statements struct {
	lock, holder                 string
	forOne, forGroup, forTx      string // settings
	append, appendOne, appendNew string
	appendSecond                 string
	readStream                   string
	eventAt, eventByID           string
	listedAt, listedByID         string // without payloads
	figures, relations, clients  string
	blocked, inTheWay            string
	head, identity               string
	loadSnapshot, saveSnapshot   string
	channel, listening, notify   string
	archived, archivedTo, limits string
	archiveLock, archiveCount    string
	archivePlan, archivePage     string
	archiveFirst                 string
	register, remove             string
	partitions, table            string
	fill                         func(string) string // names in braces
}

// bare returns a file's statement without its comments: what an operator sees of it in
// pg_stat_activity should say what it is.
func bare(sql string) string {
	return "/* eventsourced */ " + strings.TrimSpace(comment.ReplaceAllString(sql, "\n"))
}

var comment = regexp.MustCompile(`[ \t]*--[^\n]*\n`)

// forTx ends a transaction that stands idle, unless a shorter time is set already, and sees to
// it that it can't be prepared: PostgreSQL refuses that to who holds one lock both for
// the session and for the transaction. Nobody waits for this one, so the session may keep it.
const forTx = `SELECT set_config('idle_in_transaction_session_timeout', CASE
		WHEN now::interval BETWEEN interval '1 millisecond' AND $1::bigint * interval '1 millisecond' THEN now
		ELSE $1::bigint || 'ms' END, true),
	pg_advisory_lock_shared(1702260336, 0), pg_advisory_xact_lock_shared(1702260336, 0)
	FROM current_setting('idle_in_transaction_session_timeout') AS now`

func newStatements(schema string) statements {
	table := pgschema.Schema(schema).Table
	// A table's oid names it whatever the search path is; a plan that has it goes
	// with the table.
	oid := "'" + strings.ReplaceAll(table("events"), "'", "''") + "'::regclass::oid"
	// The clock in microseconds, by way of floating point: that is exact to the
	// microsecond for decades, and cheaper than the numeric of EXTRACT.
	micros := func(clock string) string { return "(date_part('epoch', " + clock + ") * 1000000)::bigint" }
	// The next position is above all others: above those from before the transaction
	// began as it is not before that itself, and above the rest, few if any, by a look at
	// the last of them. Without that bound the look would read all of the index's last
	// page.
	next := strings.NewReplacer("{clock}", micros("clock_timestamp()"), "{began}", micros("now()"), "{events}", table("events")).
		Replace(`greatest({clock}, {began}, (SELECT tstamp + 1 FROM {events} WHERE tstamp >= {began} ORDER BY tstamp DESC LIMIT 1))`)
	replacer := strings.NewReplacer("{next}", next, "{events}", table("events"), "{snapshots}", table("snapshots"), "{oid}", oid, "{columns}", columns,
		"{log_archive}", table("log_archive"), "{log_identity}", table("log_identity"), "{whole}", strings.ReplaceAll(wholeSQL, "{log_archive}", table("log_archive")))
	return statements{
		fill:   replacer.Replace,
		lock:   replacer.Replace(`SELECT pg_advisory_xact_lock(1702260334, {oid}::int), date_part('epoch', clock_timestamp() - statement_timestamp())`),
		holder: replacer.Replace(bare(holderSQL)),
		// In a transaction of our own the plan is kept, as planning an append takes
		// longer than running it. So it must be one for a large log, also when the
		// log is empty still. One event's append does without once the log is large:
		// settings are a good part of what it costs.
		forOne: replacer.Replace(`SELECT pg_relation_size({oid}) > 1048576, set_config('enable_seqscan', 'off', true)`),
		forGroup: `SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
			set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)`,
		forTx:     forTx,
		append:    replacer.Replace(bare(appendSQL)),
		appendNew: replacer.Replace(strings.ReplaceAll(bare(appendOneSQL), "{expected}", "true")),
		appendOne: replacer.Replace(strings.ReplaceAll(bare(appendOneSQL), "{expected}",
			"EXISTS (SELECT FROM {events} WHERE aggregate_name = $3 AND aggregate_id = $4 AND version = $5)")),
		// The first event of a stream is in the table also when those behind it are archived.
		appendSecond: replacer.Replace(strings.ReplaceAll(bare(appendOneSQL), "{expected}",
			"$5 = (SELECT version FROM {events} WHERE aggregate_name = $3 AND aggregate_id = $4 ORDER BY version DESC LIMIT 1)")),
		readStream:   replacer.Replace(`SELECT {columns} FROM {events} WHERE aggregate_name = $1 AND aggregate_id = $2 AND version > $3 ORDER BY version`),
		eventAt:      replacer.Replace(`SELECT {columns} FROM {events} WHERE tstamp = $1`),
		eventByID:    replacer.Replace(`SELECT {columns} FROM {events} WHERE id = $1`),
		listedAt:     replacer.Replace(`SELECT ` + listed + ` FROM {events} WHERE tstamp = ANY ($1::bigint[]) ORDER BY tstamp`),
		listedByID:   replacer.Replace(`SELECT ` + listed + ` FROM {events} WHERE id = $1`),
		clients:      replacer.Replace(clientsSQL),
		figures:      replacer.Replace(figuresSQL),
		blocked:      strings.ReplaceAll(replacer.Replace(blockedSQL), "{tables}", "$1::text[]"),
		inTheWay:     strings.ReplaceAll(replacer.Replace(inTheWaySQL), "{tables}", "$5::text[]"),
		relations:    strings.ReplaceAll(replacer.Replace(relationsSQL), "{oid_snapshots}", "'"+strings.ReplaceAll(table("snapshots"), "'", "''")+"'::regclass::oid"),
		head:         replacer.Replace(`SELECT coalesce(max(tstamp), 0) FROM {events}`),
		identity:     `SELECT id::text FROM ` + table("log_identity"),
		loadSnapshot: replacer.Replace(`SELECT version, tstamp, schema_version, state FROM {snapshots} WHERE aggregate_name = $1 AND aggregate_id = $2`),
		saveSnapshot: replacer.Replace(`INSERT INTO {snapshots} AS s (aggregate_name, aggregate_id, version, tstamp, schema_version, state)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (aggregate_name, aggregate_id) DO UPDATE
			SET version = EXCLUDED.version, tstamp = EXCLUDED.tstamp, schema_version = EXCLUDED.schema_version, state = EXCLUDED.state
			WHERE s.version < EXCLUDED.version OR s.tstamp < EXCLUDED.tstamp OR s.schema_version <> EXCLUDED.schema_version`),
		archived:     replacer.Replace(`SELECT first, last, events, names, file, bytes, sha256 FROM {log_archive} ORDER BY last`),
		archivedTo:   replacer.Replace(`SELECT count(*), coalesce(max(last), 0), coalesce((SELECT id::text FROM {log_identity}), '') FROM {log_archive}`),
		limits:       replacer.Replace(limitsSQL),
		archiveLock:  replacer.Replace(archiveLockSQL),
		archiveCount: replacer.Replace(archiveCountSQL),
		archivePlan:  replacer.Replace(archivePlanSQL),
		archivePage:  replacer.Replace(archivePageSQL),
		archiveFirst: replacer.Replace(archiveFirstSQL),
		register:     replacer.Replace(registerSQL),
		remove:       replacer.Replace(bare(removeSQL)),
		partitions:   replacer.Replace(partitionsSQL),
		table:        replacer.Replace(tableSQL),
		channel:      replacer.Replace(`SELECT 'eventsourced_' || {oid}, pg_backend_pid()`),
		listening:    replacer.Replace(`SELECT pg_advisory_lock_shared(1702260335, {oid}::int)`),
		// A hint needs no flush to disk, for which all that notify in the cluster would wait as well.
		notify: replacer.Replace(`SELECT pg_notify('eventsourced_' || {oid}, ''), set_config('synchronous_commit', 'off', true) WHERE EXISTS (
			SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1702260335 AND objid = {oid} AND objsubid = 2
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> $1)`),
	}
}
