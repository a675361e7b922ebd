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
	timeout     string        // statement_timeout of its session, which it gets back
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

	// at returns the events at a position; none when they are not there any more.
	at(ctx context.Context, position eventsourced.Position) ([]eventsourced.Recorded, error)

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
		config: shadow.Config{Triggers: r.Triggers, LeftOut: r.NotFromLog, Numbers: kind == kindVerify},
		sql:    rebuildSQL{sql.rebuilds, sql.schema}, indexed: map[string]bool{},
	}
	a.target = shadowed{p}
	a.failpoint = func(point string) { r.failpoint("shadow " + point) }
	if command == onSchedule { // nobody has asked for it, and it comes again and again
		a.tracer = consumer.NoTracer{}
	}
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
	if err := m.takeTurn(ctx); err != nil {
		p.unsubscribe()
		return nil, err
	}
	if err := p.enter(ctx); err != nil {
		<-m.replays
		p.unsubscribe()
		return nil, err
	}
	a.db = pipeline.Open(m.pool)
	return p, nil
}

// Connections of the pool that a replay takes at once: with fewer than the least it would wait for itself.
const (
	replayConns      = 4
	leastReplayConns = 3
)

// takeTurn waits until the pool has room for another replay. Who waits for a connection with others in hand, as
// another does, waits for ever.
func (m *Manager) takeTurn(ctx context.Context) error {
	if n := m.pool.Config().MaxConns; n < leastReplayConns {
		return fmt.Errorf("%w: the pool has %d connections, and a replay takes up to %d at once: raise pool_max_conns", ErrImpossible, n, replayConns)
	}
	select {
	case m.replays <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
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
	if p.command == onSchedule {
		if err := p.schedulable(ctx, conn); err != nil {
			conn.Release()
			return err
		}
	}
	// Somebody who has just died has the lock until the server notices.
	got, asked, name := false, false, lockName(p.kind, p.sql.schema, p.Name)
	for deadline := time.Now().Add(time.Second); err == nil; {
		err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 0))`, name).Scan(&got)
		if !got && !asked && err == nil && p.kind == kindVerify && p.command != onSchedule {
			asked = true
			var tag pgconn.CommandTag
			if tag, err = conn.Exec(ctx, p.sql.yield, p.Name, p.id); tag.RowsAffected() > 0 {
				deadline = time.Now().Add(yieldsWithin)
			}
		}
		if got || time.Now().After(deadline) || !wait.Sleep(ctx, lockTry) {
			break
		}
	}
	if err == nil && got {
		p.lock = conn
		// A role's is for its programs: who waits here may interrupt it. Pages, which are in sessions of their own, keep it.
		if err = conn.QueryRow(ctx, `SELECT current_setting('statement_timeout'), set_config('statement_timeout', '0', false)`).Scan(&p.timeout, nil); err != nil {
			p.leave()
		}
		return err
	}
	conn.Release()
	if err != nil {
		return err
	}
	who := "elsewhere"
	if record, err := p.m.states.rebuildOf(ctx, p.Name, p.kind); err == nil && record != nil {
		who = fmt.Sprintf("by %s, since %s: %s", consumer.NodeName(record.node), record.started.UTC().Format(time.DateTime), record.phase)
	}
	return fmt.Errorf("%w: the %s %s", ErrRebuilding, p.kind, who)
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
	<-p.m.replays
}

// leave gives the lock back, with the connection if that is the only way. What that was at has ended at the server then: pgx asks
// for that beside us, and the process may end as soon as we return.
func (p *replay) leave() {
	if p.lock == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), giveUpTimeout)
	defer cancel()
	_, err := p.lock.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, lockName(p.kind, p.sql.schema, p.Name))
	if err == nil {
		_, err = p.lock.Exec(ctx, `SELECT set_config('statement_timeout', $1, false)`, p.timeout) // not RESET: the program may have set it itself
	}
	if err != nil {
		_ = p.lock.Conn().Close(ctx)
		select {
		case <-p.lock.Conn().PgConn().CleanupDone():
		case <-ctx.Done():
		}
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
	same := left != nil && left.schema == p.schema && left.fingerprint == fingerprint && left.version == p.Version && slices.Equal(left.handled, p.handled) &&
		left.program == p.m.program() && left.program != "" // handlers that have changed would go on with what the others have made
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
	_, err := tx.Exec(ctx, p.sql.begin, p.Name, p.kind, p.id, p.command, string(PhaseReplaying), p.schema, fingerprint, p.full, p.handled, int64(p.at), int64(0), p.m.node, p.Version, p.m.program())
	return err
}
