package pgstore

import (
	"cmp"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/internal/pgschema"
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
	// Schema is the schema that holds the log's tables, made there by [migrate.Run] with the same Schema. Each
	// schema with such tables is a log of its own, with its own lock and wake-ups. Defaults to the
	// first one of the connection's search path that has them.
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

	// Archive has the files of events that [Store.Archive] has moved there: os.DirFS of its directory, or anything else whose
	// files implement io.ReaderAt. All who read the log need it once something is archived. Without, a read that needs
	// such events fails with [ErrArchived]; it never has fewer.
	Archive fs.FS

	// Logger gets warnings: of appends that wait for the log's lock for more than a
	// second, and for whom; of wake-ups that don't work. Defaults to slog.Default().
	Logger *slog.Logger

	// Observer is told of appends. By default nobody is.
	Observer Observer

	// Tracer is told of appends when they begin. By default nobody is.
	Tracer Tracer
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
	cancels  sync.WaitGroup     // of what given-up connections wait for
	large    atomic.Bool        // the log is so large that no plan for it scans it
	files    *logarchive.Reader // of the archive, or nil
	archived atomic.Pointer[archived]
	unusable error           // why the pool does not do
	prepares bool            // its connections keep prepared statements
	tracer   pgx.QueryTracer // the pool's, or nil

	totals struct {
		sync.Mutex
		AppendTotals
		failure  error // of the last transaction that failed
		failedAt time.Time
	}
}

var (
	_ eventsourced.LogStore      = (*Store)(nil)
	_ eventsourced.SnapshotStore = (*Store)(nil)
	_ eventsourced.Identified    = (*Store)(nil)
	_ eventsourced.Surveyor      = (*Store)(nil)
)

// withDefaults returns the configuration as it is used.
func (c Config) withDefaults() Config {
	c.MaxPayload = cmp.Or(c.MaxPayload, DefaultMaxPayload)
	c.IdleTimeout = min(max(cmp.Or(c.IdleTimeout, DefaultIdleTimeout), minIdleTimeout), maxIdleTimeout)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.Observer == nil {
		c.Observer = NoObserver{}
	}
	return c
}

func (c Config) validate(pool *pgxpool.Pool, registry *eventsourced.Registry) error {
	var problems []error
	check := func(wrong bool, text string) {
		if wrong {
			problems = append(problems, errors.New("pgstore.New: "+text))
		}
	}
	check(pool == nil, "the pool is nil")
	check(registry == nil, "the registry is nil")
	if err := pgschema.Schema(c.Schema).Validate(); err != nil {
		check(true, "Config.Schema "+err.Error())
	}
	check(c.MaxPayload < 0, "Config.MaxPayload is negative")
	check(c.IdleTimeout < 0, "Config.IdleTimeout is negative")
	return errors.Join(problems...)
}

// New returns the log that pool reaches, whose events are decoded with registry.
// It sends nothing: the tables come from [Migrations]. The pool stays the caller's. Its tracer, if
// it has one, gets a span of each append, in the caller's context.
//
// New panics with all that is wrong with its arguments: that is the program's fault, and the same
// at every start.
func New(pool *pgxpool.Pool, registry *eventsourced.Registry, config Config) *Store {
	if err := config.validate(pool, registry); err != nil {
		panic(err.Error())
	}
	config = config.withDefaults()
	s := &Store{pool: pool, registry: registry, config: config, sql: newStatements(config.Schema)}
	s.hub = newHub(pool, s.sql, config.Logger)
	s.appends = newCoalescer(s.sendOwn)
	s.waits = &waits{pool: pool, sql: s.sql.holder, logger: config.Logger, observer: config.Observer}
	s.archived.Store(&archived{})
	if config.Archive != nil {
		s.files = logarchive.NewReader(config.Archive)
	}
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

// Registry implements [eventsourced.Registered].
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
