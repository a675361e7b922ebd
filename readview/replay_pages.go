package readview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// replayTo applies the events up to a position, reading the next page while one is applied.
func (p *replay) replayTo(ctx context.Context, upTo eventsourced.Position) error {
	failures := 0
	for p.at < upTo {
		began := p.at
		err := p.follow(ctx, upTo)
		passed := false
		if failed := failedEvent(err); failed != nil && ctx.Err() == nil {
			var problem error
			if passed, problem = p.pass(ctx, failed); problem != nil {
				return problem
			}
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errStale), passed:
			if err := p.look(ctx); err != nil {
				return err
			}
			continue
		case errors.Is(err, errOneByOne):
			continue
		case !passes(err):
			return err
		}
		if failures++; p.at > began {
			failures = 1
		}
		pause := wait.BackOff{First: p.m.config.BackOff, Last: p.m.config.MaxBackOff}.After(failures)
		if failures > 10 || !wait.Sleep(ctx, pause) {
			return err
		}
	}
	return nil
}

// errOneByOne says that a page has to be applied event by event, to see whose fault something is.
var errOneByOne = errors.New("the page has more than one event")

func (p *replay) follow(ctx context.Context, upTo eventsourced.Position) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		page *page
		err  error
	}
	read := func(after eventsourced.Position) <-chan result {
		out := make(chan result, 1)
		go func() {
			page, err := p.history.page(ctx, after, upTo)
			out <- result{page, err}
		}()
		return out
	}
	next := read(p.at)
	defer func() { cancel(); <-next }()
	for p.at < upTo {
		r := <-next
		if r.err != nil {
			next = read(upTo) // of which nothing comes
			return r.err
		}
		next = read(r.page.upTo)
		if err := p.leaveOut(ctx, r.page); err != nil {
			return err
		}
		if err := p.applyPage(ctx, r.page); err != nil {
			return err
		}
		p.at = r.page.upTo
		if err := p.help(ctx); err != nil {
			return err
		}
	}
	return nil
}

// applyPage applies one page. A handler that does not return is given up when ctx ends.
func (p *replay) applyPage(ctx context.Context, next *page) error {
	ended := make(chan struct{})
	defer close(ended)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-ended:
		case <-time.After(giveUpAfter):
			next.giveUp()
		}
	})
	defer stop()
	err := p.escaped(next.attempt(ctx, p.apply))
	var failed *EventError
	if !errors.Is(err, shadow.ErrEscaped) || errors.As(err, &failed) {
		return err
	}
	if len(next.items) > 1 {
		p.history.smaller()
		return errOneByOne
	}
	if len(next.items) == 1 {
		return &EventError{Projection: p.Name, Event: next.items[0].recorded, Err: err}
	}
	return err
}

// escaped makes [ErrEscaped] of an error about a live table.
func (p *replay) escaped(err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err
	}
	for _, t := range p.tables.Tables {
		if t.Name == server.TableName && t.Schema == server.SchemaName {
			return fmt.Errorf("%w: it uses the live table %s.%s. Name it without a schema, in functions and triggers, too: %w", ErrEscaped, t.Schema, t.Name, err)
		}
	}
	return err
}

// look reads the position after a page that was not as it was thought to be.
func (p *replay) look(ctx context.Context) error {
	record, err := p.m.states.rebuildOf(ctx, p.Name, p.kind)
	if err != nil {
		return err
	}
	if record == nil || record.run != p.id || record.ended != nil {
		return errLostRun
	}
	p.at = record.position
	return nil
}

// note keeps what a page has touched.
func (p *replay) note(touched shadow.Touched, read []string) {
	p.advice.Lock()
	defer p.advice.Unlock()
	for _, name := range read {
		if !slices.Contains(p.advice.read, name) {
			p.advice.read = append(p.advice.read, name)
		}
	}
	if p.advice.indent == nil {
		p.advice.indent = map[string]int64{}
	}
	for table, rows := range touched.Scanned {
		p.advice.indent[table] += rows
	}
}

// scannedTooMuch is how many rows a replay reads one after the other before it makes the indexes of their table.
const scannedTooMuch = 100_000

// help makes the indexes of a shadow whose rows were read one after the other so often that they are worth it.
func (p *replay) help(ctx context.Context) error {
	p.advice.Lock()
	var tables []string
	for table, rows := range p.advice.indent {
		if rows >= scannedTooMuch && !p.indexed[table] {
			tables = append(tables, table)
		}
	}
	p.advice.Unlock()
	for _, table := range tables {
		p.indexed[table] = true
		if err := inTx(ctx, p.lock, func(tx pgx.Tx) error { return p.tables.Finish(ctx, tx, p.schema, table, p.full) }); err != nil {
			return err
		}
	}
	return nil
}

// warnings are what the operator should know of the replay.
func (p *replay) warnings() (all []string) {
	p.advice.Lock()
	defer p.advice.Unlock()
	for _, name := range p.advice.read {
		all = append(all, fmt.Sprintf("the handlers read %s, which is not one of the projection's tables: what they make depends on more than the log", name))
	}
	return all
}

// inTx runs f in a transaction on a connection.
func inTx(ctx context.Context, conn *pgxpool.Conn, f func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, f)
}

// logHistory is that of the log.
type logHistory struct{ s *logSource }

func (h *logHistory) head(ctx context.Context) (eventsourced.Position, error) {
	return h.s.log.Head(ctx)
}

func (h *logHistory) count(ctx context.Context, after, upTo eventsourced.Position) (int64, error) {
	return h.s.log.CountLog(ctx, eventsourced.LogQuery{After: after, UpTo: upTo, Names: h.s.handled, Streams: h.s.streams})
}

func (h *logHistory) page(ctx context.Context, after, upTo eventsourced.Position) (*page, error) {
	next := newPage(h.s.Name, after, after, 0)
	if after >= upTo {
		return next, nil
	}
	err := h.s.collect(ctx, next, upTo)
	if err == nil && len(next.items) == 0 {
		next.upTo = upTo
	}
	return next, err
}

func (h *logHistory) at(ctx context.Context, position eventsourced.Position) ([]eventsourced.Recorded, error) {
	return h.s.recordedAt(ctx, position)
}

func (h *logHistory) smaller() { h.s.pageCap.Store(1) }
