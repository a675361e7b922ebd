package readview

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// Phase is how far a rebuild is; doc.go has the picture.
type Phase string

// The phases of a rebuild, a rollback and a verification.
const (
	PhaseReplaying  Phase = "replaying"   // the events are applied to the shadow tables
	PhaseIndexing   Phase = "indexing"    // the rest of their indexes is made
	PhaseCatchingUp Phase = "catching up" // what was appended meanwhile
	PhaseWaiting    Phase = "waiting"     // for old snapshots, or for a lock
	PhaseComparing  Phase = "comparing"
	PhaseApplying   Phase = "applying" // the difference is written; the projection stands still, its readers do not
	PhaseSwapping   Phase = "swapping"
	PhaseDone       Phase = "done"
	PhaseFailed     Phase = "failed"
	PhaseCancelled  Phase = "cancelled"
)

// RebuildProgress is how far a rebuild, a rollback or a verification is.
type RebuildProgress struct {
	Projection string
	Command    string // rebuild, rollback, verify or explain
	Phase      Phase
	Events     int64         // applied to the shadow tables
	Total      int64         // that there are, as far as known; -1 when nobody can tell
	Rate       float64       // events a second, over the last seconds
	Left       time.Duration // of the replay, at that rate; -1 when it can't be told
	Waits      string        // for whom it waits, "" when it does not
	Took       time.Duration // so far
}

// reporter keeps the progress, and tells it at intervals: the caller, the row, the log.
type reporter struct {
	p      *replay
	tell   func(RebuildProgress)
	began  time.Time
	mu     sync.Mutex
	phase  Phase
	waits  string
	by     []consumer.Session // for them
	total  int64
	target int64

	// Of the goroutine that tells.
	telling    sync.Mutex
	last       int64
	lastAt     time.Time
	rate       float64
	loggedLast time.Time
}

const (
	tellEvery = 500 * time.Millisecond
	logEvery  = 15 * time.Second
)

func (r *reporter) init(p *replay, tell func(RebuildProgress)) {
	r.p, r.tell, r.began, r.phase = p, tell, time.Now(), PhaseReplaying
	r.lastAt, r.loggedLast = r.began, r.began
}

// run tells until the returned function is called.
func (r *reporter) run(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				r.now(ctx)
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// now tells how it stands.
func (r *reporter) now(ctx context.Context) {
	r.telling.Lock()
	defer r.telling.Unlock()
	p := r.progress()
	if r.tell != nil {
		r.tell(p)
	}
	target, by := r.noted()
	_, err := r.p.m.pool.Exec(ctx, r.p.sql.beat, r.p.Name, r.p.kind, r.p.id, p.Events, p.Total, target, p.Waits, by)
	if err != nil && ctx.Err() == nil {
		r.p.logger.DebugContext(ctx, "progress not written", "error", err)
	}
	if time.Since(r.loggedLast) >= logEvery {
		r.loggedLast = time.Now()
		r.p.logger.InfoContext(ctx, r.p.command, "phase", string(p.Phase), "events", p.Events, "total", p.Total, "per_second", int64(p.Rate), "left", p.Left.Round(time.Second), "waits_for", p.Waits)
	}
}

// noted returns where it goes, and for whom it waits, as JSON or nil.
func (r *reporter) noted() (target int64, by *string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if encoded, err := json.Marshal(r.by); err == nil && len(r.by) > 0 {
		text := pgerr.Text(string(encoded))
		by = &text
	}
	return r.target, by
}

// progress returns how it stands. The rate is that of the last seconds.
func (r *reporter) progress() RebuildProgress {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.p.events.Load()
	if took := time.Since(r.lastAt); took > 0 && r.phase == PhaseReplaying {
		rate := float64(events-r.last) / took.Seconds()
		if r.rate > 0 {
			rate = 0.8*r.rate + 0.2*rate
		}
		r.rate, r.last, r.lastAt = rate, events, time.Now()
	}
	p := RebuildProgress{
		Projection: r.p.Name, Command: r.p.command, Phase: r.phase, Events: events, Total: max(r.total, events), Rate: r.rate, Left: -1,
		Waits: r.waits, Took: time.Since(r.began),
	}
	if r.total < 0 {
		p.Total = -1
	}
	if r.rate > 0 && p.Total >= 0 {
		p.Left = time.Duration(float64(p.Total-events) / r.rate * float64(time.Second))
	}
	return p
}

// enter notes the phase, and puts it on record.
func (r *reporter) enter(ctx context.Context, phase Phase) error {
	r.mu.Lock()
	same := r.phase == phase && r.waits == ""
	r.phase, r.waits, r.by = phase, "", nil
	r.mu.Unlock()
	if same {
		return nil
	}
	r.now(ctx)
	var mine int
	if err := r.p.m.pool.QueryRow(ctx, r.p.sql.phase, r.p.Name, r.p.kind, r.p.id, string(phase)).Scan(&mine); err != nil {
		return err
	}
	if mine == 0 {
		return errLostRun
	}
	return nil
}

// wait notes for whom it waits.
func (r *reporter) wait(ctx context.Context, whom string, by []consumer.Session) {
	r.mu.Lock()
	r.phase, r.waits, r.by = PhaseWaiting, whom, by
	r.mu.Unlock()
	r.now(ctx)
}

// expect notes what there is to do.
func (r *reporter) expect(total, target int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total, r.target = total, target
}
