package readview

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// Limits of the pipeline.
const (
	sendEvery     = 256      // statements: then they go to the server, which works while the handlers do
	sendBytes     = 64 << 10 // of arguments: then, too
	maxQueue      = 2048     // statements whose outcomes wait to be read
	maxStatements = 256      // different ones that a connection keeps prepared; others don't queue
)

// noEvent is the index of statements that are the framework's own.
const noEvent = -1

var (
	errAborted   = errors.New("the handler ignored an error of the database, and the transaction is lost")
	errNotKnown  = errors.New("readview: the result of a statement is asked for after its transaction")
	errNoInserts = errors.New("readview: PostgreSQL has no LastInsertId: use RETURNING")
	errCopyIn    = errors.New("readview: COPY FROM STDIN would wait for data for ever: use INSERT")
)

var (
	copyIn    = regexp.MustCompile(`(?is)^\s*copy\s.*\sfrom\s+stdin\b`)
	savepoint = regexp.MustCompile(`(?i)^\s*(savepoint|rollback|release)\b`)
)

// pipeline is the transaction of a page. Handlers are written one statement at a
// time, but a statement without a result that anybody looks at is only sent on its
// way: the server executes it while the handlers go on, and its outcome is read with
// those of many others, when a query needs what it writes, when a count of rows is
// asked for, and at the end of the page.
//
// When a queued statement fails, its handler has returned long ago. So the page
// is taken back and the event is applied alone, with a pipeline that is direct
// and queues nothing: then its handler sees the error. When a statement for the rows
// of several events fails, the page is applied with one for each to see whose it is.
type pipeline struct {
	*sql.Tx
	ctx     context.Context // of the transaction: what is under way outlives the handler that sent it
	pgx     *pgx.Conn       // the connection
	*keeper                 // the connection's
	counted *sync.Map       // queries whose counts of rows are asked for
	close   func()
	mode    mode
	named   bool // the connection keeps prepared statements
	begun   bool // the server has heard of the transaction

	event int  // whose handler runs, or noEvent
	waits bool // for the outcome of each statement from here on, as this event's handler has a use for it
	asked bool // this event's handler has had an answer of the database

	open    *pgconn.Pipeline // nil when nothing is under way
	builder pgx.ExtendedQueryBuilder
	queue   []statement       // under way, in their order
	unsent  size              // of the queue, still in the connection's buffer
	last    *known            // the statement before
	alone   bool              // it does not go with others, as counts of its rows are asked for
	ones    bool              // in the queue is one that must change one row
	tag     pgconn.CommandTag // of the last one whose outcome was read
	results []queuedResult    // a piece of memory for many

	failed int   // the event whose statement was the first to fail
	err    error // its error; nothing is sent after it
}

// size is that of statements: for how many events, and the bytes of their arguments.
type size struct{ events, bytes int }

func sizeOf(values [][]byte) size {
	s := size{events: 1}
	for _, value := range values {
		s.bytes += len(value)
	}
	return s
}

func (s *size) add(other size) { s.events, s.bytes = s.events+other.events, s.bytes+other.bytes }

// full tells whether it is time to send what has this size.
func (s size) full() bool { return s.events >= sendEvery || s.bytes >= sendBytes }

// mode is how much a pipeline does at once.
type mode int

const (
	together mode = iota // rows of several events in one statement
	queued               // statements one by one, without waiting for their outcome
	direct               // nothing: each call waits for its statement
)

// errTogether says that it would have to be done one by one to know.
var errTogether = errors.New("readview: a statement with the rows of several events failed, or was asked about one of them")

// statement is one that is under way.
type statement struct {
	event  int
	result *queuedResult // nil when nobody can ask
	one    bool          // it must change one row
	rows   bool          // it is for several events
}

// begin says that the handler of an event is going to run.
func (p *pipeline) begin(event int) { p.event, p.waits, p.asked = event, false, false }

// ExecContext implements [Tx].
func (p *pipeline) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	result := p.newResult(query)
	queued, err := p.add(ctx, query, args, statement{event: p.event, result: result})
	switch {
	case err != nil:
		return nil, err
	case queued:
		return result, nil
	}
	if copyIn.MatchString(query) {
		return nil, errCopyIn
	}
	if err := p.ask(); err != nil {
		return nil, err
	}
	return p.Tx.ExecContext(ctx, query, args...)
}

// QueryContext implements [Tx].
func (p *pipeline) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := p.ask(); err != nil {
		return nil, err
	}
	return p.Tx.QueryContext(ctx, query, args...)
}

// QueryRowContext implements [Tx]. If the queue fails, so does the query: the
// server refuses it, or the page, which is taken back in any case.
func (p *pipeline) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	_ = p.ask()
	return p.Tx.QueryRowContext(ctx, query, args...)
}

// PrepareContext implements [Tx]. A prepared statement goes to the server at
// once, so from here on to the handler's end the others do, too.
func (p *pipeline) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	p.waits = true
	if err := p.ask(); err != nil {
		return nil, err
	}
	return p.Tx.PrepareContext(ctx, query)
}

// ask makes the pipeline ready for a question to the database.
func (p *pipeline) ask() error {
	p.asked = true
	return p.flush()
}

// add sends a statement on its way, with its arguments as they are now, and tells
// whether it did. What can't be sent so, or would be refused before it is, has to be
// executed directly, for what comes of it.
func (p *pipeline) add(ctx context.Context, query string, args []any, s statement) (queued bool, err error) {
	if len(args) == 0 && savepoint.MatchString(query) {
		p.waits = true // it is for a way back from an error
	}
	if p.mode == direct || p.waits || !queues(query, args) {
		return false, nil
	}
	if p.err != nil {
		return false, p.err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	k, err := p.prepare(query)
	if err != nil || k == nil || p.builder.Build(p.pgx.TypeMap(), k.description, args) != nil {
		return false, err
	}
	bulk, err := p.bulk(k, s)
	switch {
	case err != nil:
	case bulk != nil:
		err = p.addRow(bulk)
	default:
		if err = p.sendRows(); err == nil {
			err = p.sendOne(k, s)
		}
	}
	return err == nil, err
}

// bulk returns how a statement goes together with others of its kind, nil if it does
// not. It is found out when two of a kind come in a row.
func (p *pipeline) bulk(k *known, s statement) (*bulk, error) {
	again := k == p.last
	if !again {
		p.last = k
		_, p.alone = p.counted.Load(k.description.SQL)
	}
	if p.mode != together || s.one || p.alone {
		return nil, nil
	}
	if again && !k.tried {
		k.tried = true
		bulk, err := p.prepareBulk(k.description.SQL, k.description)
		if err != nil {
			p.fail(p.event, fmt.Errorf("%w: %w", errTogether, err))
			return nil, p.err
		}
		k.bulk = bulk
	}
	return k.bulk, nil
}

func (p *pipeline) sendOne(k *known, s statement) error {
	p.start()
	if k.undescribed.Name == "" {
		p.open.SendQueryParams(k.description.SQL, p.builder.ParamValues, k.description.ParamOIDs, p.builder.ParamFormats, nil)
	} else {
		p.open.SendQueryStatement(&k.undescribed, p.builder.ParamValues, p.builder.ParamFormats, nil)
	}
	return p.sent(s, sizeOf(p.builder.ParamValues))
}

func (p *pipeline) addRow(of *bulk) error {
	if !p.rows.take(of, p.builder.ParamValues, p.builder.ParamFormats) {
		if err := p.sendRows(); err != nil {
			return err
		}
		p.rows.start(of, p.event, p.builder.ParamFormats)
	}
	p.rows.add(p.builder.ParamValues)
	return nil
}

// sendRows sends the rows that go together.
func (p *pipeline) sendRows() error {
	if p.rows.of == nil {
		return nil
	}
	p.start()
	p.rows.send(p.open)
	return p.sent(statement{event: p.rows.event, rows: true}, p.rows.size)
}

// sent notes that a statement is in the connection's buffer. Now and then the buffer
// goes to the server, and a sync each time, not only a flush: so the
// server knows that it waits for us, and Config.IdleTimeout bounds for how long.
func (p *pipeline) sent(s statement, n size) (err error) {
	p.queue, p.ones = append(p.queue, s), p.ones || s.one
	if p.unsent.add(n); p.unsent.full() {
		p.unsent = size{}
		err = p.open.Sync()
	}
	if err != nil || len(p.queue) == maxQueue {
		return p.ask()
	}
	return nil
}

// queues tells whether query looks like one that can be queued: one statement, with
// arguments that the server gets as they are, and not COPY, whose protocol is
// another.
func queues(query string, args []any) bool {
	if len(args) > 0 {
		_, rewritten := args[0].(pgx.QueryRewriter)
		return !rewritten
	}
	query = strings.TrimSpace(query)
	semicolon := strings.IndexByte(query, ';')
	return (semicolon < 0 || semicolon == len(query)-1) && (len(query) < 4 || !strings.EqualFold(query[:4], "copy"))
}

func (p *pipeline) start() {
	if p.open == nil {
		p.open = p.pgx.PgConn().StartPipeline(p.ctx)
	}
}

// flush waits for what is under way and reads the outcomes. The first failure
// stays.
func (p *pipeline) flush() error {
	if p.err != nil || p.sendRows() != nil || p.open == nil {
		return p.err
	}
	err := p.open.Sync()
	for i := 0; err == nil && i < len(p.queue); {
		var outcome any
		outcome, err = p.open.GetResults()
		switch outcome := outcome.(type) {
		case *pgconn.PipelineSync:
			continue
		case *pgconn.ResultReader:
			p.tag, err = outcome.Close()
			err = p.queue[i].done(p.tag, err)
		default:
			err = cmp.Or(err, io.ErrUnexpectedEOF)
		}
		if err != nil {
			p.fail(p.queue[i].event, err)
		}
		i++
	}
	if closeErr := p.open.Close(); p.err == nil && cmp.Or(err, closeErr) != nil {
		p.fail(p.queue[0].event, cmp.Or(err, closeErr))
	}
	p.open, p.queue, p.unsent, p.ones = nil, p.queue[:0], size{}, false
	return p.err
}

func (p *pipeline) fail(event int, err error) { p.failed, p.err = event, err }

// done takes the outcome of a statement.
func (s statement) done(tag pgconn.CommandTag, err error) error {
	if err != nil && s.rows && !pgerr.Retryable(err) {
		return fmt.Errorf("%w: %w", errTogether, err)
	}
	if err != nil {
		return err
	}
	if s.result != nil {
		s.result.rows = tag.RowsAffected()
	}
	if s.one && tag.RowsAffected() != 1 {
		return notOneRow(tag.RowsAffected())
	}
	return nil
}

// aborted tells whether the handler that has just run left a transaction in which
// a statement has failed.
func (p *pipeline) aborted() bool {
	return p.asked && p.pgx.PgConn().TxStatus() == 'E'
}
