package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// Limits of the queue.
const (
	sendEvery = 256      // statements: then they go to the server, which works while the handlers do
	sendBytes = 64 << 10 // of arguments: then, too
	maxQueue  = 2048     // statements whose outcomes wait to be read
	maxTorn   = 3        // times in a row that rows did not go together: then their statement is left alone
)

// queue has the statements whose outcomes are not read yet. Those of them that the
// connection's buffer still has are unsent.
type queue struct {
	open    *pgconn.Pipeline // nil when there are none
	waiting []statement      // in their order
	unsent  size
	ones    bool              // one of them must change one row
	tag     pgconn.CommandTag // of the last one whose outcome was read
}

func (q *queue) clear() { q.open, q.waiting, q.unsent, q.ones = nil, q.waiting[:0], size{}, false }

// statement is one that is queued.
type statement struct {
	event  int
	result *Result // nil when nobody can ask
	one    bool    // it must change one row, and so must each of several
	many   *bulk   // for several events
	events int     // for how many, then
	traces []context.Context
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

// add sends a statement on its way, with its arguments as they are now, and tells
// whether it did. What can't be sent so, or would be refused before it is, has to be
// executed directly, for what comes of it.
//
// A statement with a context that may end before the handler's is waited for.
func (tx *Tx) add(ctx context.Context, t *Turn, query string, args []any, s statement) (queued bool, err error) {
	if t.stage != queues || !canQueue(query, args) || ctx.Done() != nil && ctx.Done() != t.done {
		return false, nil
	}
	if err := cmp.Or(tx.usable(), ctx.Err()); err != nil {
		return false, err
	}
	k, err := tx.prepare(query)
	if err != nil || tx.build(k, args) != nil {
		return false, err
	}
	bulk, err := tx.bulk(k)
	if err == nil {
		err = tx.touch(t, k, bulk)
	}
	var i identity
	if bulk != nil {
		if i = tx.identity(bulk); bulk.exact && !i.exact && bulk.form.verb != inserts {
			bulk = nil // what is NULL, or may be the same as another without looking it
		}
	}
	if tx.db.tracer != nil && err == nil {
		s.traces = []context.Context{tx.db.tracer.TraceQueryStart(ctx, tx.pgx, pgx.TraceQueryStartData{SQL: query, Args: args})}
	}
	switch {
	case err != nil:
	case bulk != nil:
		err = tx.addRow(bulk, s, i)
	default:
		if err = tx.sendRows(); err == nil {
			err = tx.sendOne(k, s)
		}
	}
	return err == nil, err
}

// canQueue tells whether query looks like one that can be queued: one statement, with
// arguments that the server gets as they are, and not COPY, whose protocol is
// another.
func canQueue(query string, args []any) bool {
	if len(args) > 0 {
		_, rewritten := args[0].(pgx.QueryRewriter)
		return !rewritten
	}
	query = strings.TrimSpace(query)
	semicolon := strings.IndexByte(query, ';')
	return query != "" && (semicolon < 0 || semicolon == len(query)-1) && !isCopy(query)
}

func isCopy(query string) bool {
	query = strings.TrimSpace(query)
	return len(query) >= 4 && strings.EqualFold(query[:4], "copy")
}

func (tx *Tx) sendOne(k *prepared, s statement) error {
	tx.start()
	if k.undescribed.Name == "" {
		tx.queue.open.SendQueryParams(k.description.SQL, tx.builder.ParamValues, k.description.ParamOIDs, tx.builder.ParamFormats, nil)
	} else {
		tx.queue.open.SendQueryStatement(&k.undescribed, tx.builder.ParamValues, tx.builder.ParamFormats, nil)
	}
	return tx.sent(s, sizeOf(tx.builder.ParamValues))
}

// addRow adds the row in the builder to an open set.
func (tx *Tx) addRow(of *bulk, s statement, i identity) error {
	set := tx.setFor(of, i, s.one)
	if set == nil {
		if len(tx.sets) == maxSets {
			if err := tx.sendSet(tx.sets[0]); err != nil {
				return err
			}
		}
		set = tx.openSet(of, s, tx.builder.ParamFormats)
	}
	set.add(i, tx.key, s, tx.builder.ParamValues, tx.builder.ParamFormats)
	if set.size.full() {
		return tx.sendUpTo(set)
	}
	return nil
}

// sendUpTo sends the open sets up to one of them, in their order. None is nil.
func (tx *Tx) sendUpTo(last *rows) error {
	for sent := (*rows)(nil); sent != last && len(tx.sets) > 0; {
		sent = tx.sets[0]
		if err := tx.sendSet(sent); err != nil {
			return err
		}
	}
	return nil
}

// sendRows sends the rows that go together.
func (tx *Tx) sendRows() error {
	for len(tx.sets) > 0 {
		if err := tx.sendSet(tx.sets[0]); err != nil {
			return err
		}
	}
	return tx.unpin()
}

// sendSet sends a set of rows. If they are few, each goes as the statement that it is.
func (tx *Tx) sendSet(set *rows) error {
	tx.closeSet(set) // at once, as all that is open is sent behind what makes the queue full
	defer tx.spareSet(set)
	if set.count <= set.of.few() {
		for i := range set.few {
			row := &set.few[i]
			tx.start()
			tx.queue.open.SendQueryStatement(&set.of.one.undescribed, row.values, row.formats, nil)
			if err := tx.sent(row.statement, sizeOf(row.values)); err != nil {
				return err
			}
		}
		return nil
	}
	if set.of.form.verb != inserts {
		if err := tx.pin(set.event); err != nil {
			return err
		}
	}
	tx.start()
	set.many(tx.queue.open)
	return tx.sent(statement{event: set.event, one: set.one, many: set.of, events: set.count, traces: set.traces}, set.size)
}

func (tx *Tx) start() {
	if tx.queue.open == nil {
		tx.queue.open = tx.pgx.PgConn().StartPipeline(tx.ctx)
	}
}

// sent notes that a statement is in the connection's buffer. Now and then the buffer
// goes to the server, and a sync each time, not only a flush: so the
// server knows that it waits for us, and its idle timeout bounds for how long.
func (tx *Tx) sent(s statement, n size) (err error) {
	q := &tx.queue
	q.waiting, q.ones = append(q.waiting, s), q.ones || s.one
	if q.unsent.add(n); q.unsent.full() {
		q.unsent = size{}
		err = q.open.Sync()
	}
	if err != nil || len(q.waiting) == maxQueue {
		return tx.flush()
	}
	return nil
}

// flush sends what is gathered, waits for what is under way and reads the outcomes. The
// first failure stays.
func (tx *Tx) flush() error {
	if err := tx.usable(); err != nil {
		return err
	}
	if err := tx.sendRows(); err != nil || tx.queue.open == nil {
		return err
	}
	return tx.outcomes(tx.turn.event, false)
}

// outcomes sends what is in the buffer and reads what came of that which waits. With stay
// there is a query behind it, of the event: its answer comes next, and the caller has taken the pipeline.
func (tx *Tx) outcomes(event int, stay bool) error {
	q := &tx.queue
	err := q.open.Sync()
	done := 0
	for i := 0; err == nil && i < len(q.waiting); {
		outcome, failed := q.open.GetResults()
		if _, synced := outcome.(*pgconn.PipelineSync); synced && failed == nil {
			continue
		}
		if reader, ok := outcome.(*pgconn.ResultReader); ok && failed == nil {
			q.tag, failed = reader.Close()
		} else {
			failed = cmp.Or(failed, io.ErrUnexpectedEOF)
		}
		tx.trace(q.waiting[i], failed)
		err = q.waiting[i].done(q.tag, failed)
		tx.db.torn(q.waiting[i], err)
		if err != nil {
			tx.fail(q.waiting[i].event, err)
		}
		i++
		done = i
	}
	if stay && err == nil {
		q.clear()
		return nil
	}
	if err := cmp.Or(err, q.open.Close()); err != nil {
		if len(q.waiting) > 0 {
			event = q.waiting[0].event
		}
		tx.fail(event, err)
		for _, s := range q.waiting[done:] { // what the server did not get to, or we did not read
			tx.trace(s, tx.failure.err)
		}
	}
	q.clear()
	return tx.failure.err
}

// done takes the outcome of a statement.
func (s statement) done(tag pgconn.CommandTag, err error) error {
	if err == nil && s.one && tag.RowsAffected() != int64(max(s.events, 1)) {
		err = NotOneRow(tag.RowsAffected())
	}
	if err != nil && s.many != nil && !pgerr.Retryable(err) {
		return fmt.Errorf("%w: %w", ErrTogether, err)
	}
	if err == nil && s.result != nil {
		s.result.rows = tag.RowsAffected()
	}
	return err
}

// torn counts how often in a row a statement for several events has failed. What fails
// each time would make each page run twice.
func (db *DB) torn(s statement, err error) {
	if s.many == nil {
		return
	}
	query := s.many.query
	value, _ := db.counted.Load(query)
	times, _ := value.(int)
	switch {
	case err == nil && times > 0:
		db.counted.Delete(query)
	case errors.Is(err, ErrTogether) && times+1 == maxTorn:
		db.counted.Store(query, true)
	case errors.Is(err, ErrTogether):
		db.counted.Store(query, times+1)
	}
}

// trace tells the pool's tracer the outcome of a statement, or of each of those that
// went together.
func (tx *Tx) trace(s statement, err error) {
	tag := tx.queue.tag
	if s.many != nil && err == nil {
		tag = s.many.tag(tag.RowsAffected() == int64(s.events))
	}
	for _, ctx := range s.traces {
		tx.db.tracer.TraceQueryEnd(ctx, tx.pgx, pgx.TraceQueryEndData{CommandTag: tag, Err: err})
	}
}

// tag is that of each of the rows: all have changed one, or else who has is not known.
func (b *bulk) tag(all bool) pgconn.CommandTag {
	switch {
	case !all:
		return pgconn.NewCommandTag(b.form.verb)
	case b.form.verb == inserts:
		return pgconn.NewCommandTag("INSERT 0 1")
	}
	return pgconn.NewCommandTag(b.form.verb + " 1")
}
