package readview

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// replay is a projection's events being applied to shadows of its tables: by an applier of its own, in pages as
// those of the live tables. It goes on from the position in its row of readview_rebuilds.
type replay struct {
	*applier
	origin      *runner // of the live tables
	kind        string
	command     string
	id          string // its own: whoever takes over has another one
	config      shadow.Config
	sql         rebuildSQL
	lock        *pgxpool.Conn // its session has the lock of the projection's replays of this kind
	history     history
	unsubscribe func() // from it
	report      reporter

	tables *shadow.Set
	schema string
	print  string // the fingerprint of the live tables
	full   bool   // the shadows can take the place of the live tables
	at     eventsourced.Position
	debt   replayDebt
	events atomic.Int64 // applied
	advice struct {     // of what pages have touched
		sync.Mutex
		read   []string         // tables that are not the projection's
		indent map[string]int64 // rows of shadows that were read one after the other
	}
	indexed map[string]bool // shadows that have all their indexes
}

type rebuildSQL struct {
	rebuildStatements
	schema string
}

// history is where a replay's events come from.
type history interface {
	// head returns the position up to which there is something.
	head(ctx context.Context) (eventsourced.Position, error)

	// count returns how many events there are to be applied in (after, upTo], -1 when nobody can tell.
	count(ctx context.Context, after, upTo eventsourced.Position) (int64, error)

	// page returns the next page after a position and not above upTo. One without items goes up to upTo.
	page(ctx context.Context, after, upTo eventsourced.Position) (*page, error)

	// smaller makes pages of single events from here on.
	smaller()
}

// newReplay returns the replay of a kind once no other node has one of the projection.
func (m *Manager) newReplay(ctx context.Context, r *runner, kind, command string, from *Feed, progress func(RebuildProgress)) (*replay, error) {
	if len(r.Tables) == 0 {
		return nil, ErrNoTables
	}
	sql, err := m.states.sql(ctx)
	if err != nil {
		return nil, err
	}
	a := newApplier(m, r.definition, r.registry, r.log)
	p := &replay{
		applier: a, origin: r, kind: kind, command: command, id: newRun(),
		config: shadow.Config{Triggers: r.Triggers, LeftOut: r.NotFromLog, Drawn: kind == kindVerify},
		sql:    rebuildSQL{sql.rebuilds, sql.schema}, indexed: map[string]bool{},
	}
	a.target = shadowed{p}
	a.failpoint = func(point string) { r.failpoint("shadow " + point) }
	if source, remote := r.source.(*feedSource); remote {
		history, err := newFeedHistory(ctx, a, source.feed, from)
		if err != nil {
			return nil, err
		}
		p.history, p.unsubscribe = history, history.stop
	} else {
		p.history, p.unsubscribe = &logHistory{newLogSource(a).(*logSource)}, func() {}
	}
	p.report.init(p, progress)
	if err := p.enter(ctx); err != nil {
		p.unsubscribe()
		return nil, err
	}
	a.db = pipeline.Open(m.pool)
	return p, nil
}

func newRun() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// enter takes the lock, or returns [ErrRebuilding].
func (p *replay) enter(ctx context.Context) error {
	conn, err := p.m.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	// Somebody who has just died has the lock until the server notices.
	got, name := false, lockName(p.kind, p.sql.schema, p.Name)
	for deadline := time.Now().Add(time.Second); err == nil; {
		err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 0))`, name).Scan(&got)
		if got || time.Now().After(deadline) || !wait.Sleep(ctx, lockTry) {
			break
		}
	}
	if err == nil && got {
		p.lock = conn
		return nil
	}
	conn.Release()
	if err != nil {
		return err
	}
	who := "elsewhere"
	if record, err := p.m.states.rebuildOf(ctx, p.Name, p.kind); err == nil && record != nil {
		who = fmt.Sprintf("by %s, since %s: %s", consumer.NodeName(record.node), record.started.UTC().Format(time.DateTime), record.phase)
	}
	return fmt.Errorf("%w %s", ErrRebuilding, who)
}

// lockName is that of the lock of a projection's replays of a kind. schema has readview's tables.
func lockName(kind, schema, projection string) string {
	return "readview " + kind + " " + schema + " " + projection
}

// close ends the replay; its row and its tables stay as they are.
func (p *replay) close() {
	p.unsubscribe()
	_ = p.db.Close() // the pages are
	p.leave()
}

// leave gives the lock back, with the connection if that is the only way.
func (p *replay) leave() {
	if p.lock == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), giveUpTimeout)
	defer cancel()
	if _, err := p.lock.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, lockName(p.kind, p.sql.schema, p.Name)); err != nil {
		_ = p.lock.Conn().Close(ctx)
	}
	p.lock.Release()
	p.lock = nil
}

// workSchema is where the shadows of a kind are.
func (p *replay) workSchema() string {
	return shadow.Name(p.tables.Tables[0].Schema+"_"+p.kind+"_"+p.Name, "")
}

// comment marks the schemas that are ours, also when their rows are lost.
func comment(what, schema, projection string) string {
	return "readview " + what + " of " + projection + ", whose position is in schema " + schema
}

func (p *replay) comment(what string) string { return comment(what, p.sql.schema, p.Name) }

// describe looks at the live tables, anew.
func (p *replay) describe(ctx context.Context) (fingerprint string, err error) {
	if p.tables, err = shadow.Describe(ctx, p.lock, p.Tables, p.config); err != nil {
		return "", err
	}
	err = inTx(ctx, p.lock, func(tx pgx.Tx) error {
		p.print, err = p.tables.Fingerprint(ctx, tx)
		return err
	})
	return p.print, err
}

// open makes the shadows, or goes on with those that a replay has left which died.
func (p *replay) open(ctx context.Context, fingerprint string) error {
	p.schema = p.workSchema()
	left, err := p.m.states.rebuildOf(ctx, p.Name, p.kind)
	if err != nil {
		return err
	}
	p.debt = replayDebt{try: p.kind == kindRebuild}
	if err := p.debt.load(ctx, p.m, p.Name); err != nil {
		return err
	}
	same := left != nil && left.schema == p.schema && left.fingerprint == fingerprint && left.version == p.Version && slices.Equal(left.handled, p.handled)
	if same && left.ended == nil && left.command == p.command && (left.complete || !p.full) && len(p.debt.known) == 0 {
		if resumed, err := p.resume(ctx, left); resumed || err != nil {
			return err
		}
	}
	if left != nil && left.ended == nil && left.command == "rollback" {
		if err := p.putBack(ctx, left); err != nil {
			return err
		}
	}
	return p.build(ctx, fingerprint)
}

// resume goes on with what another replay has left, if it is whole.
func (p *replay) resume(ctx context.Context, left *rebuildRecord) (resumed bool, err error) {
	err = inTx(ctx, p.lock, func(tx pgx.Tx) error {
		if err := p.tables.Check(ctx, tx, p.schema, left.complete, false); errors.Is(err, shadow.ErrChanged) {
			return nil
		} else if err != nil {
			return err
		}
		resumed = true
		_, err := tx.Exec(ctx, p.sql.resume, p.Name, p.kind, p.id, p.m.node)
		return err
	})
	if resumed && err == nil {
		p.at, p.full = left.position, left.complete
		p.events.Store(left.events)
		p.logger.InfoContext(ctx, p.command+" goes on where it ended", "position", int64(p.at), "events", left.events)
	}
	return resumed, err
}

// build makes empty shadows and the row, all or nothing.
func (p *replay) build(ctx context.Context, fingerprint string) error {
	if err := dropSchema(ctx, p.lock, p.schema, p.comment(p.kind)); err != nil {
		return err
	}
	p.at = 0
	p.events.Store(0)
	clear(p.indexed)
	err := inTx(ctx, p.lock, func(tx pgx.Tx) error {
		if err := p.begin(ctx, tx, fingerprint); err != nil {
			return err
		}
		if err := p.tables.Clone(ctx, tx, p.schema, p.comment(p.kind), p.full); err != nil {
			return err
		}
		p.origin.failpoint("building")
		return nil
	})
	if err == nil {
		p.origin.failpoint("built")
	}
	return err
}

// begin writes the row.
func (p *replay) begin(ctx context.Context, tx pgx.Tx, fingerprint string) error {
	_, err := tx.Exec(ctx, p.sql.begin, p.Name, p.kind, p.id, p.command, string(PhaseReplaying), p.schema, fingerprint, p.full, p.handled, int64(p.at), int64(0), p.m.node, p.Version)
	return err
}

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
		p.debt.leaveOut(r.page)
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
func (p *replay) applyPage(ctx context.Context, pg *page) error {
	ended := make(chan struct{})
	defer close(ended)
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-ended:
		case <-time.After(giveUpAfter):
			pg.giveUp()
		}
	})
	defer stop()
	err := p.escaped(pg.attempt(ctx, p.apply))
	var failed *EventError
	if !errors.Is(err, shadow.ErrEscaped) || errors.As(err, &failed) {
		return err
	}
	if len(pg.items) > 1 {
		p.history.smaller()
		return errOneByOne
	}
	if len(pg.items) == 1 {
		return &EventError{Projection: p.Name, Event: pg.items[0].recorded, Err: err}
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
		if err := inTx(ctx, p.lock, func(tx pgx.Tx) error { return p.tables.Finish(ctx, tx, p.schema, table) }); err != nil {
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
	return h.s.log.CountLog(ctx, eventsourced.LogQuery{After: after, UpTo: upTo, Names: h.s.handled})
}

func (h *logHistory) page(ctx context.Context, after, upTo eventsourced.Position) (*page, error) {
	pg := newPage(h.s.Name, after, after, 0)
	if after >= upTo {
		return pg, nil
	}
	err := h.s.collect(ctx, pg, upTo)
	if err == nil && len(pg.items) == 0 {
		pg.upTo = upTo
	}
	return pg, err
}

func (h *logHistory) smaller() { h.s.pageCap.Store(1) }
