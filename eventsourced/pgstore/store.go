package pgstore

import (
	"embed"
	_ "embed"
	"io/fs"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
)

// DefaultMaxPayload is the default limit of an event's payload in bytes.
const DefaultMaxPayload = 1 << 20

// DefaultIdleTimeout is the default of [Config.IdleTimeout].
const DefaultIdleTimeout = 30 * time.Second

// The server's limits of a timeout. It takes 0 for none.
const (
	minIdleTimeout = time.Millisecond
	maxIdleTimeout = math.MaxInt32 * time.Millisecond
)

// Config is the optional part of a [Store]. The zero value works.
type Config struct {
	// Schema is the schema that holds the log's tables. Each schema with such
	// tables is a log of its own. Defaults to the first one of the connection's
	// search path.
	Schema string

	// MaxPayload limits the payload of one event, in bytes: a page of events is
	// held in memory by whoever reads it. Defaults to [DefaultMaxPayload].
	MaxPayload int

	// IdleTimeout is how long the transaction of an [Store.AppendTx] may stand idle
	// afterwards: a client that is stopped or cut off would stop all appends. The server then
	// ends its connection. A shorter idle_in_transaction_session_timeout stays as it
	// is. It counts in milliseconds, from 1 ms to 24 days, the least and the most that the
	// server takes, and beyond them it is the nearest. Defaults to [DefaultIdleTimeout].
	IdleTimeout time.Duration

	// Logger gets warnings: of appends that wait for the log's lock for more than a
	// second, and for whom; of wake-ups that don't work. Defaults to slog.Default().
	Logger *slog.Logger
}

// Store is an event log on PostgreSQL. It is safe for concurrent use, and one
// per pool and schema is enough for a process.
type Store struct {
	pool     *pgxpool.Pool
	registry *eventsourced.Registry
	config   Config
	sql      statements
	hub      *hub
	appends  *coalescer
	waits    *waits
	cancels  sync.WaitGroup  // of what given-up connections wait for
	large    atomic.Bool     // the log is so large that no plan for it scans it
	unusable error           // why the pool does not do
	prepares bool            // its connections keep prepared statements
	tracer   pgx.QueryTracer // the pool's, or nil
}

var (
	_ eventsourced.LogStore      = (*Store)(nil)
	_ eventsourced.SnapshotStore = (*Store)(nil)
	_ eventsourced.Identified    = (*Store)(nil)
)

// New returns the log that pool reaches, whose events are decoded with registry.
// It sends nothing: the tables come from [Migrations]. The pool stays the caller's. Its tracer, if
// it has one, gets a span of each append, in the caller's context.
func New(pool *pgxpool.Pool, registry *eventsourced.Registry, config Config) *Store {
	if config.MaxPayload <= 0 {
		config.MaxPayload = DefaultMaxPayload
	}
	if config.IdleTimeout <= 0 {
		config.IdleTimeout = DefaultIdleTimeout
	}
	config.IdleTimeout = min(max(config.IdleTimeout, minIdleTimeout), maxIdleTimeout)
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	s := &Store{pool: pool, registry: registry, config: config, sql: newStatements(config.Schema)}
	s.hub = newHub(pool, s.sql, config.Logger)
	s.appends = newCoalescer(s.sendOwn)
	s.waits = &waits{pool: pool, sql: s.sql.holder, logger: config.Logger}
	settings := pool.Config().ConnConfig
	s.tracer = settings.Tracer
	switch settings.DefaultQueryExecMode {
	case pgx.QueryExecModeCacheStatement:
		s.prepares = true
	case pgx.QueryExecModeSimpleProtocol, pgx.QueryExecModeExec:
		s.unusable = ErrProtocol
	}
	return s
}

// Registry implements [eventsourced.Codec].
func (s *Store) Registry() *eventsourced.Registry { return s.registry }

// Close waits for appends and wake-ups that are under way, and ends the listening: the
// channels of [Store.Listen] get no more values, and are closed with their contexts as
// ever. Call it before closing the pool, after the last append.
func (s *Store) Close() {
	s.appends.close()
	s.hub.close()
	s.cancels.Wait()
}

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the log's tables, for [migrate.Run].
func Migrations() migrate.Component {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return migrate.Component{Name: "pgstore", Files: files}
}

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
	readStream                   string
	head, identity               string
	loadSnapshot, saveSnapshot   string
	channel, listening, notify   string
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
	table := func(name string) string {
		if schema == "" {
			return name
		}
		return pgx.Identifier{schema, name}.Sanitize()
	}
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
	replacer := strings.NewReplacer("{next}", next, "{events}", table("events"), "{snapshots}", table("snapshots"), "{oid}", oid, "{columns}", columns)
	return statements{
		fill:   replacer.Replace,
		lock:   replacer.Replace(`SELECT pg_advisory_xact_lock(1702260334, {oid}::int)`),
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
		readStream:   replacer.Replace(`SELECT {columns} FROM {events} WHERE aggregate_name = $1 AND aggregate_id = $2 AND version > $3 ORDER BY version`),
		head:         replacer.Replace(`SELECT coalesce(max(tstamp), 0) FROM {events}`),
		identity:     `SELECT id::text FROM ` + table("log_identity"),
		loadSnapshot: replacer.Replace(`SELECT version, tstamp, schema_version, state FROM {snapshots} WHERE aggregate_name = $1 AND aggregate_id = $2`),
		saveSnapshot: replacer.Replace(`INSERT INTO {snapshots} AS s (aggregate_name, aggregate_id, version, tstamp, schema_version, state)
			VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (aggregate_name, aggregate_id) DO UPDATE
			SET version = EXCLUDED.version, tstamp = EXCLUDED.tstamp, schema_version = EXCLUDED.schema_version, state = EXCLUDED.state
			WHERE s.version < EXCLUDED.version OR s.tstamp < EXCLUDED.tstamp OR s.schema_version <> EXCLUDED.schema_version`),
		channel:   replacer.Replace(`SELECT 'eventsourced_' || {oid}, pg_backend_pid()`),
		listening: replacer.Replace(`SELECT pg_advisory_lock_shared(1702260335, {oid}::int)`),
		notify: replacer.Replace(`SELECT pg_notify('eventsourced_' || {oid}, '') WHERE EXISTS (
			SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 1702260335 AND objid = {oid} AND objsubid = 2
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> $1)`),
	}
}
