package readview

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// VerifyPause is how many times as long as a verification has taken [Config.VerifyEvery] leaves the projection alone afterwards.
const VerifyPause = 20

const (
	onSchedule    = "verify on schedule" // its name on record
	scheduleActor = "schedule"
	scheduleConns = 2 * replayConns  // of the pool, at least: one replay leaves as many to the projections, and to who asks for one
	yieldsWithin  = 30 * time.Second // to one that somebody asks for: it ends with its page, or its comparison
)

// verifyAfter is how long after a verification that took so long the next one is due.
func (m *Manager) verifyAfter(took time.Duration) time.Duration {
	return max(m.config.VerifyEvery, m.rest*took)
}

// onSchedule tells whether the projection is verified on schedule where it runs.
func (r *runner) onSchedule() bool {
	_, ofLog := r.source.(*logSource)
	return ofLog && r.m.config.VerifyEvery > 0 && len(r.Tables) > 0
}

// verifyOnSchedule verifies the projection again and again while this node applies it, until ctx ends.
func (s *logSource) verifyOnSchedule(ctx context.Context) {
	r, err := s.m.runner(s.Name)
	if err != nil || !r.onSchedule() {
		return
	}
	v := &schedule{logSource: s, runner: r}
	for left := time.Duration(0); wait.Sleep(ctx, left); {
		left = v.look(ctx)
	}
}

// schedule is that of a projection.
type schedule struct {
	*logSource
	runner *runner
	before outcome // of the last time that it was verified on schedule
}

// outcome is what came of a verification, in a word.
type outcome string

const (
	isEqual   outcome = "equal"
	isNot     outcome = "not equal"
	isUntold  outcome = "could not tell"
	isNothing outcome = "" // it was never verified
)

// look verifies the projection if it is time and nothing speaks against it, and returns for how long to wait then.
func (v *schedule) look(ctx context.Context) time.Duration {
	soon := v.m.config.PollInterval
	if !v.m.keeper.holds(v.logSource) {
		return soon
	}
	select {
	case v.m.schedule <- struct{}{}: // one after the other
		defer func() { <-v.m.schedule }()
	case <-ctx.Done():
		return soon
	}
	left, before, err := v.due(ctx)
	if err != nil || left > 0 {
		return max(left, soon)
	}
	stored, err := v.m.states.read(ctx, v.Name)
	if err != nil {
		return soon
	}
	status, err := v.runner.status(ctx, stored, true, newLookAhead(v.m.log))
	if err != nil || status.State != consumer.Live { // which it is nowhere but where its lease is
		return soon
	}
	if v.before == isNothing {
		v.before = before
	}
	if !v.verify(eventsourced.WithActor(ctx, scheduleActor)) {
		return v.m.config.VerifyEvery
	}
	return soon
}

// due returns how long it is until the projection is to be verified again, and what is known of the last time.
func (v *schedule) due(ctx context.Context) (left time.Duration, before outcome, err error) {
	replays, err := v.m.states.rebuildsOf(ctx, v.Name)
	for _, replay := range replays {
		if replay.ended == nil && replay.age < replayDead { // somebody is at it
			left = max(left, v.m.config.PollInterval)
		}
		if replay.kind != kindVerify {
			continue
		}
		if replay.age >= 0 { // otherwise the database's clock went back
			left = max(left, v.m.verifyAfter(replay.took())-replay.age)
		}
		switch known := replay.status(); {
		case replay.command == onSchedule && known.Phase == string(PhaseFailed):
			before = isUntold
		case known.Equal != nil && *known.Equal:
			before = isEqual
		case known.Equal != nil:
			before = isNot
		}
	}
	return left, before, err
}

// verify does it, and has the operator log and the log know of another outcome than before. It tells whether it could tell.
func (v *schedule) verify(ctx context.Context) bool {
	found, err := v.m.Verify(ctx, v.Name, VerifyOptions{scheduled: true})
	now := isUntold
	switch {
	case ctx.Err() != nil || errors.Is(err, ErrRebuilding) || errors.Is(err, errLostRun) || errors.Is(err, errMeanwhile):
		return false // it says nothing: somebody does something with the projection
	case err == nil && found.Equal:
		now = isEqual
	case err == nil:
		now = isNot
	}
	before := v.before
	if v.before = now; now == before || before == isNothing && now == isEqual {
		return err == nil
	}
	op := v.m.operation(ctx, v.Name, "verify", nil)
	if err != nil {
		v.logger.WarnContext(ctx, "projection can't be verified on schedule", "error", err)
		_ = v.m.failed(ctx, op, err)
		return false
	}
	if now == isNot {
		v.logger.WarnContext(ctx, "projection is not what its events make", "found", found.String())
	} else {
		v.logger.InfoContext(ctx, "projection is what its events make, as it is verified", "found", found.String())
	}
	op.Detail = found.String()
	v.m.end(ctx, op)
	return true
}

// schedulable returns why there is no verification on schedule on this connection's pool: a small one would have nothing left for the
// projections, and a pooler may give the lock to another session than the one that gives it back, which keeps it from who verifies by hand.
func (p *replay) schedulable(ctx context.Context, conn *pgxpool.Conn) error {
	if n := p.m.pool.Config().MaxConns; n < scheduleConns {
		return fmt.Errorf("the pool has %d connections, and a verification on schedule wants %d, as it takes up to %d and leaves as many to the projections: raise pool_max_conns, or don't verify on schedule",
			n, scheduleConns, replayConns)
	}
	var pid uint32
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil || pid == conn.Conn().PgConn().PID() {
		return err
	}
	return errors.New("a pooler is between this program and the server, and a verification on schedule holds a lock of its session: connect to the server itself, or don't verify on schedule")
}

// untold puts on record why a projection could not be verified on schedule, unless somebody is at that.
func (m *Manager) untold(ctx context.Context, d *definition, cause error) {
	sql, err := m.states.sql(ctx)
	if err == nil {
		_, err = m.pool.Exec(ctx, sql.rebuilds.untold, d.Name, newRun(), d.handled, m.node, d.Version, pgerr.Text(explain(cause).Error()))
	}
	if err != nil {
		m.config.Logger.DebugContext(ctx, "not written why a projection can't be verified", "projection", d.Name, "error", err)
	}
}
