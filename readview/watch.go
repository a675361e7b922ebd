package readview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// Times of the watch over a projection.
const (
	watchInterval = 250 * time.Millisecond
	slowAfter     = time.Second     // what takes longer is on record
	slowAgain     = 5 * time.Second // and again
	noteTimeout   = time.Second     // for putting something on record
)

// phase is what the goroutine of a projection is at.
type phase int32

const (
	atRest phase = iota
	atState
	atLog
	atLock
	atHandler
	atCommit
	atRouter
)

var phases = map[phase]string{
	atState:   "looking at the projection's state takes longer than a second",
	atLog:     "reading the log takes longer than a second",
	atLock:    "the projection's row in readviews is locked",
	atHandler: "the handler has not returned yet",
	atRouter:  "a middleware of the router holds the page",
	atCommit:  "the transaction is not committed yet",
}

// progress says what the goroutine of a projection is at, since when, for those who
// watch it.
type progress struct {
	phase atomic.Int32
	since atomic.Int64 // Unix nanoseconds
	event atomic.Pointer[eventsourced.Recorded]
	tx    atomic.Pointer[pipeline.Tx]
}

func (p *progress) at(now phase, event *eventsourced.Recorded) {
	p.event.Store(event)
	p.phase.Store(int32(now))
	p.since.Store(time.Now().UnixNano())
}

// step is what the goroutine was at at some moment.
type step struct {
	phase phase
	since time.Time
	event *eventsourced.Recorded
	tx    *pipeline.Tx
}

// now returns it, false while it is changing or idle.
func (p *progress) now() (step, bool) {
	since := p.since.Load()
	s := step{phase: phase(p.phase.Load()), since: time.Unix(0, since), event: p.event.Load(), tx: p.tx.Load()}
	return s, s.phase != atRest && p.since.Load() == since
}

// watch puts on record what takes longer than a second, until ctx ends: a goroutine that
// hangs can't do it.
func (a *applier) watch(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	var noted, noticed time.Time // the step's beginning, and when it was noted
	warned := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s, busy := a.progress.now()
		took := time.Since(s.since)
		if !busy || took < slowAfter {
			continue
		}
		if !s.since.Equal(noted) {
			noted, noticed, warned = s.since, time.Time{}, false
		}
		if time.Since(noticed) >= slowAgain {
			first := noticed.IsZero()
			noticed = time.Now()
			a.noteSlow(ctx, s, first)
		}
		if s.phase == atHandler && took >= a.m.config.HangTimeout && !warned {
			warned = true
			a.logger.WarnContext(ctx, "handler has not returned; the lease is no longer renewed, so that another node can take over",
				"event_id", s.event.ID.String(), "event_name", s.event.Name, "position", int64(s.event.Position), "duration", took.Round(time.Millisecond))
		}
	}
}

// stuck tells that a handler runs for longer than a node may be the active one for it.
func (a *applier) stuck() bool {
	s, busy := a.progress.now()
	return busy && s.phase == atHandler && time.Since(s.since) >= a.m.config.HangTimeout
}

// Hangs returns the projections of which a handler, on this node, has not returned for
// [consumer.Config.HangTimeout]. Another node may have taken them over; what hangs here ends with the process. It
// asks nobody.
func (m *Manager) Hangs() (all []consumer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range m.names {
		if r := m.runners[name]; r.stuck() {
			all = append(all, r.id())
		}
	}
	return all
}

// Refused returns the projections that this program may not run, as their tables are of another version of it or fed by another topic, until somebody
// resets or rebuilds them: [ErrChanged], [ErrNewEvents], [ErrOtherTopic]. A newer version that runs is no reason. It asks nobody.
func (m *Manager) Refused() (all []consumer.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range m.names {
		if r := m.runners[name]; r.isRefused() {
			all = append(all, r.id())
		}
	}
	return all
}

func (a *applier) isRefused() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return refused(a.refused)
}

func (a *applier) noteSlow(ctx context.Context, s step, first bool) {
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	stall := consumer.Failure{Error: phases[s.phase], Since: s.since.UTC(), Stalled: true}
	if s.tx != nil && s.phase != atLog && s.phase != atState {
		stall.Session, stall.Blockers = a.m.sessionsAt(ctx, s.tx.PID())
	}
	if s.tx != nil && s.phase == atLock {
		stall.Error = cmp.Or(a.lockedTable(ctx, s.tx.PID()), stall.Error)
	}
	for i, b := range stall.Blockers {
		stall.Error += [...]string{", it waits for a lock of ", "; "}[min(i, 1)] + describe(b)
	}
	if own := stall.Session; own != nil && len(stall.Blockers) == 0 {
		stall.Error = fmt.Sprintf("the server is at its statement since %s, in the session with pid %d: %s", own.QuerySince.Format(time.TimeOnly), own.PID, own.Query)
	}
	var at *EventError
	if s.event != nil {
		at = &EventError{Projection: a.Name, Event: *s.event, Err: errors.New(stall.Error)}
		stall.Error = at.Error()
	}
	noted := a.note(ctx, at, stall, 0)
	if first {
		a.m.config.Observer.Stalled(ctx, a.id(), noted)
	}
}

// lockedTable says for which table's lock a process of the server waits, if that is what it does: with the projection's row, a page
// locks tables that the one before has written.
func (a *applier) lockedTable(ctx context.Context, pid uint32) (text string) {
	_ = a.m.pool.QueryRow(ctx, `SELECT 'the table ' || relation::regclass || ' is locked' FROM pg_locks
		WHERE pid = $1 AND NOT granted AND locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		LIMIT 1`, int32(pid)).Scan(&text)
	return text
}

// note puts on record what keeps the projection from getting on: here, for the status
// of this process, and in the database, if that can be written. It counts tries more
// of them, unless what has their number, and returns what is on record now.
func (a *applier) note(ctx context.Context, at *EventError, what consumer.Failure, tries int) consumer.Failure {
	failure := &what
	failure.Time = time.Now().UTC()
	if at != nil {
		failure.EventID, failure.EventName, failure.Position = at.Event.ID, at.Event.Name, at.Event.Position
		failure.Stack, failure.Statement = at.stack(), at.Statement
	}
	a.mu.Lock()
	// It goes on while it is about one event, or about none in between.
	if before := a.trouble; before != nil && what.Attempts == 0 && (before.EventID == failure.EventID || before.EventID.IsZero() || at == nil) {
		failure.Since, failure.Attempts = before.Since, before.Attempts
	}
	failure.Attempts += tries
	a.trouble = failure
	a.mu.Unlock()
	a.failed.Store(true)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if err := a.m.states.note(ctx, a.Name, a.m.node, failure); err != nil {
		a.logger.DebugContext(ctx, "failure not recorded", "error", err)
	}
	a.failed.Store(true) // again: it may have been forgotten before it was written
	a.announce(0, time.Time{})
	return *failure
}

// recovered forgets what was on record.
func (a *applier) recovered(ctx context.Context, generation int64) {
	a.mu.Lock()
	a.trouble = nil
	a.mu.Unlock()
	if !a.failed.Swap(false) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if a.m.states.forget(ctx, a.Name, generation) != nil {
		a.failed.Store(true)
	}
}
