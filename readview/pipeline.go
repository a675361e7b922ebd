package readview

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
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
	maxStatements = 256      // different ones that a connection keeps prepared
	maxTorn       = 3        // times in a row that rows did not go together: then their statement is left alone
)

// noEvent is the index of statements that are the framework's own.
const noEvent = -1

var (
	errNotKnown  = errors.New("readview: the result of a statement is asked for after its transaction")
	errNoInserts = errors.New("readview: PostgreSQL has no LastInsertId: use RETURNING")
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
//
// Handlers use it through an [eventTx]. All fields below mu are guarded by it, as
// handlers may use theirs from several goroutines, and as a page may be given up while
// its handler runs.
type pipeline struct {
	*sql.Tx
	ctx     context.Context // of the transaction: what is under way outlives the handler that sent it
	pgx     *pgx.Conn       // the connection
	counted *sync.Map       // queries whose counts of rows are asked for, or that don't go together
	tracer  pgx.QueryTracer // the pool's, nil for none
	conn    *sql.Conn       // the same, of database/sql
	driver  *pageConn       // the same, of its driver
	release func()          // gives the connection back, the first time
	end     func()          // the context that database/sql has of it

	mu      sync.Mutex
	*keeper // the connection's
	mode    mode
	named   bool // the connection keeps prepared statements
	begun   bool // the server has heard of the transaction

	isolated bool // it is for one event, whose handler may set what it likes

	soiled  bool // something may be left of it in the session: the connection is given up
	dead    bool // it was given up
	dropped bool // without database/sql

	event   int  // whose handler runs, or noEvent
	guarded bool // there is a savepoint before the handler's
	waits   bool // for the outcome of each statement from here on, as this event's handler has a use for it
	asked   bool // this event's handler has had an answer of the database

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
	query  string        // then: that of one
	traces []context.Context
}

// ask makes the pipeline ready for a question to the database.
func (p *pipeline) ask() error {
	p.asked = true
	return p.flush()
}

// add sends a statement on its way, with its arguments as they are now, and tells
// whether it did. What can't be sent so, or would be refused before it is, has to be
// executed directly, for what comes of it.
//
// done is that of the handler's context. A statement with a context that may end before
// is waited for.
func (p *pipeline) add(ctx context.Context, query string, args []any, s statement, done <-chan struct{}) (queued bool, err error) {
	if p.mode == direct || p.waits || !queues(query, args) || ctx.Done() != nil && ctx.Done() != done {
		return false, nil
	}
	if p.err != nil {
		return false, p.err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	k, err := p.prepare(query)
	if err != nil || p.builder.Build(p.pgx.TypeMap(), k.description, args) != nil {
		return false, err
	}
	bulk, err := p.bulk(k, s)
	if p.tracer != nil && err == nil {
		s.traces = []context.Context{p.tracer.TraceQueryStart(ctx, p.pgx, pgx.TraceQueryStartData{SQL: query, Args: args})}
	}
	switch {
	case err != nil:
	case bulk != nil:
		err = p.addRow(bulk, s)
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
		value, _ := p.counted.Load(k.description.SQL)
		p.alone = value == true
	}
	if p.mode != together || s.one || p.alone {
		return nil, nil
	}
	if again && !k.tried {
		k.tried = true
		bulk, err := p.prepareBulk(k.description.SQL, k.description)
		if err != nil {
			p.counted.Store(k.description.SQL, true) // it would fail each time
			p.fail(p.event, fmt.Errorf("%w: %w", errTogether, err))
			return nil, p.err
		}
		k.bulk = bulk
	}
	if k.bulk == nil {
		return nil, nil
	}
	if plain, err := p.verify(k.bulk); err != nil || !plain {
		return nil, err
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

func (p *pipeline) addRow(of *bulk, s statement) error {
	if !p.rows.take(of, p.builder.ParamValues, p.builder.ParamFormats) {
		if err := p.sendRows(); err != nil {
			return err
		}
		p.rows.start(of, s.event, p.builder.ParamFormats)
	}
	p.rows.add(p.builder.ParamValues)
	p.rows.traces = append(p.rows.traces, s.traces...)
	return nil
}

// sendRows sends the rows that go together.
func (p *pipeline) sendRows() error {
	if p.rows.of == nil {
		return nil
	}
	s := statement{event: p.rows.event, query: p.rows.of.query, rows: true, traces: p.rows.traces}
	p.rows.traces = nil
	p.start()
	p.rows.send(p.open)
	return p.sent(s, p.rows.size)
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
	return query != "" && (semicolon < 0 || semicolon == len(query)-1) && (len(query) < 4 || !strings.EqualFold(query[:4], "copy"))
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
	done := 0
	for i := 0; err == nil && i < len(p.queue); {
		var outcome any
		outcome, err = p.open.GetResults()
		switch outcome := outcome.(type) {
		case *pgconn.PipelineSync:
			continue
		case *pgconn.ResultReader:
			p.tag, err = outcome.Close()
			p.trace(p.queue[i], err)
			err = p.queue[i].done(p.tag, err)
			p.torn(p.queue[i], err)
		default:
			err = cmp.Or(err, io.ErrUnexpectedEOF)
		}
		if err != nil {
			p.fail(p.queue[i].event, err)
		}
		i++
		done = i
	}
	if closeErr := p.open.Close(); p.err == nil && cmp.Or(err, closeErr) != nil {
		p.fail(p.queue[0].event, cmp.Or(err, closeErr))
	}
	if p.err != nil {
		for _, s := range p.queue[done:] { // what the server did not get to, or we did not read
			p.trace(s, p.err)
		}
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

// torn counts how often in a row a statement for several events has failed. What fails
// each time would make each page run twice.
func (p *pipeline) torn(s statement, err error) {
	if !s.rows {
		return
	}
	value, _ := p.counted.Load(s.query)
	times, _ := value.(int)
	switch {
	case err == nil && times > 0:
		p.counted.Delete(s.query)
	case errors.Is(err, errTogether) && times+1 == maxTorn:
		p.counted.Store(s.query, true)
	case errors.Is(err, errTogether):
		p.counted.Store(s.query, times+1)
	}
}

// trace tells the pool's tracer the outcome of a statement, or of each of those that
// went together.
func (p *pipeline) trace(s statement, err error) {
	tag := p.tag
	if s.rows && err == nil {
		tag = pgconn.NewCommandTag("INSERT 0 1")
	}
	for _, ctx := range s.traces {
		p.tracer.TraceQueryEnd(ctx, p.pgx, pgx.TraceQueryEndData{CommandTag: tag, Err: err})
	}
}
