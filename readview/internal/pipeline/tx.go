package pipeline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// NoEvent is the index of what is not an event's: the framework's own statements.
const NoEvent = -1

// How says how much of a transaction is done at once.
type How int

const (
	Together How = iota // rows of several events in one statement
	OneByOne            // each statement by itself, without waiting for its outcome
	Alone               // for one event, whose handler may set what it likes: each call waits for its statement
)

// Options are how a transaction is begun.
type Options struct {
	How How

	// SearchPath is the transaction's, as in SET search_path. "" is what the connection
	// has.
	SearchPath string
}

// stage is how far a transaction is; doc.go has the picture.
type stage int

const (
	fresh   stage = iota // the server has not heard of it
	begun                // it is under way
	broken               // it has failed, see failure: all that is left is the way back
	ended                // it is committed or rolled back
	cut                  // its connection was closed from here
	dropped              // and given back, without database/sql
)

// Tx is the transaction of a page. It ends with Commit or without, and with Close in
// any case. Its methods are safe for concurrent use, as a page may be given up while a
// handler of it runs.
type Tx struct {
	ctx     context.Context // what is under way outlives the handler that sent it
	db      *DB
	options Options
	lent    lent

	mu       sync.Mutex // guards what follows
	*session            // the connection's
	stage    stage
	failure  failure
	stale    bool  // a query failed: the connection prepares its statements anew
	soiled   bool  // something may be left in the session: the connection is not used again
	turn     *Turn // the last one that was given
	queue    queue
	asked    asked
	pinned   pinned
	results  []Result // a piece of memory for many
	ahead    ahead
}

// lent is what database/sql has of a transaction and its connection.
type lent struct {
	tx      *sql.Tx
	conn    *sql.Conn
	driver  *driverConn
	release func() // gives the connection back, the first time
	end     func() // the context of tx
}

// failure is what broke a transaction: the first thing that did.
type failure struct {
	event int // whose statement it was
	err   error
}

// Begin begins a transaction at READ COMMITTED on a connection of its own. The server
// hears of it with the first statement, and of no statement before.
func (db *DB) Begin(ctx context.Context, options Options) (*Tx, error) {
	tx := &Tx{ctx: ctx, db: db, options: options, failure: failure{event: NoEvent}}
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return nil, err
	}
	err = conn.Raw(func(c any) error {
		tx.lent.conn, tx.lent.driver = conn, c.(*driverConn)
		tx.lent.driver.tx, tx.session = tx, sessionOf(tx.lent.driver.Conn.Conn())
		return nil
	})
	if err == nil {
		// When ctx ends, what is under way ends by itself; database/sql would roll
		// back beside it.
		ctx, tx.lent.end = context.WithCancel(context.WithoutCancel(ctx))
		tx.lent.tx, err = conn.BeginTx(ctx, nil)
	}
	if err != nil {
		if tx.lent.end != nil {
			tx.lent.end()
		}
		return nil, errors.Join(err, conn.Close())
	}
	tx.lent.release = sync.OnceFunc(func() { _ = conn.Close() })
	return tx, nil
}

// Continue has what follows be under way with ctx, and done as how says: a transaction may be begun, and queried by
// the framework, before that is known.
func (tx *Tx) Continue(ctx context.Context, how How) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.ctx, tx.options.How = ctx, how
}

// Query is a query of one row, and where to put it.
type Query struct {
	SQL  string
	Args []any
	Into []any
}

const (
	beginSQL   = "begin isolation level read committed"
	setPathSQL = "SELECT set_config('search_path', $1, true)"
	pathSQL    = "SELECT current_schemas(false)::text, " + settingsSQL // of the schemas that are, whoever "$user" is
)

// begin sends BEGIN, and queries behind it, in one round trip. So do the looks at the
// tables which the connection's transaction before has used.
func (tx *Tx) begin(queries ...Query) error {
	tx.stage = begun
	before := tx.recent
	tx.recent = nil // should it not work, the next page does without
	if tx.options.SearchPath != "" {
		before = nil // they are others, perhaps
	}
	err := tx.sendBegin(before, queries)
	if len(before) > 0 && pgerr.Undefined(err) { // perhaps a table is no more, or not in this path
		if _, err := tx.pgx.Exec(tx.ctx, "rollback"); err != nil {
			return err
		}
		return tx.sendBegin(nil, queries)
	}
	return err
}

func (tx *Tx) sendBegin(looks []*table, queries []Query) error {
	batch := &pgx.Batch{}
	batch.Queue(beginSQL)
	if path := tx.options.SearchPath; path != "" {
		batch.Queue(setPathSQL, path)
	}
	var path string
	batch.Queue(pathSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&path, &tx.pinned.before) })
	queueAll(batch, queries)
	for _, t := range looks {
		t.look(batch, t.lock)
	}
	if err := tx.pgx.SendBatch(tx.ctx, batch).Close(); err != nil {
		return err
	}
	for _, t := range looks {
		if t.now != "" {
			t.looked = tx.pages
		}
	}
	tx.use(path)
	return nil
}

func queueAll(batch *pgx.Batch, queries []Query) {
	for _, q := range queries {
		batch.Queue(q.SQL, q.Args...).QueryRow(func(row pgx.Row) error { return row.Scan(q.Into...) })
	}
}

// usable tells whether anything can be sent.
func (tx *Tx) usable() error {
	switch tx.stage {
	case broken:
		return tx.failure.err
	case ended, cut, dropped:
		return sql.ErrTxDone
	}
	return nil
}

func (tx *Tx) gone() bool { return tx.stage >= cut }

// fail breaks the transaction. Nothing is sent after it.
func (tx *Tx) fail(event int, err error) {
	if tx.stage < broken {
		tx.stage, tx.failure = broken, failure{event, err}
	}
}

// failTogether breaks it for something that is done for several events at once.
func (tx *Tx) failTogether(err error) error {
	tx.fail(tx.turn.event, fmt.Errorf("%w: %w", ErrTogether, err))
	return tx.failure.err
}

// Failure returns the event whose statement was the first to fail, and its error; nil
// when none has.
func (tx *Tx) Failure() (event int, err error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.failure.event, tx.failure.err
}

// PID is the server's process of the connection.
func (tx *Tx) PID() uint32 { return tx.pgx.PgConn().PID() }

// Closed tells whether the connection is.
func (tx *Tx) Closed() bool { return tx.pgx.IsClosed() }

// ServerIsReadOnly tells whether transactions are read-only unless they say otherwise.
// Servers before version 14 don't tell, and count as such.
func (tx *Tx) ServerIsReadOnly() bool {
	standby := tx.pgx.PgConn().ParameterStatus("in_hot_standby")
	return standby != "off" || tx.pgx.PgConn().ParameterStatus("default_transaction_read_only") != "off"
}
