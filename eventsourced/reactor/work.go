package reactor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// work handles a unit until there is an outcome.
func (w *window) work(u *unit) {
	var failing time.Time // since when, but for the database
	attempts := 0
	for {
		if !w.turn() {
			return
		}
		started := time.Now()
		err := w.r.call(w.ctx, u)
		u.took = time.Since(started)
		<-w.slots
		if u.tries++; err == nil {
			u.became = done
			return
		}
		if errors.Is(err, consumer.ErrLeaseLost) {
			u.became = fenced
			return
		}
		if w.ctx.Err() != nil {
			return
		}
		u.err = err
		if u.since.IsZero() {
			u.since = time.Now()
		}
		passes := w.r.passes(w.ctx, err)
		if !passes {
			if attempts++; failing.IsZero() {
				failing = time.Now()
			}
			u.became = w.r.verdict(u, attempts, time.Since(failing))
			if u.became == open || u.became == refused {
				u.became = w.asked(u)
			}
			if u.became != open {
				w.r.note(u, 0)
				return
			}
		}
		pause := w.r.pause(u, attempts, passes)
		w.r.note(u, pause)
		w.r.logger(u.event()).WarnContext(w.ctx, "event not handled", "error", err, "wait", pause)
		if passes {
			if !w.sleep(pause) || u.parked != nil {
				return // what is due stays due
			}
		} else if !w.rest(u, pause) {
			return
		}
	}
}

// hangPause is between two looks whether a call of another unit still hangs.
const hangPause = 50 * time.Millisecond

// turn waits until the unit may be handled, and tells whether it may ever. While a call hangs,
// another node may take over.
func (w *window) turn() bool {
	for w.r.follower.Hangs() {
		if !w.sleep(hangPause) {
			return false
		}
	}
	select {
	case <-w.stopping:
		return false
	case <-w.ctx.Done():
		return false
	default:
	}
	select {
	case w.slots <- struct{}{}:
		return true
	case <-w.stopping:
		return false
	case <-w.ctx.Done():
		return false
	}
}

// sleep waits, and tells whether to go on.
func (w *window) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.stopping:
		return false
	case <-w.ctx.Done():
		return false
	}
}

// logger names an event.
func (r *Reactor) logger(event *eventsourced.Recorded) *slog.Logger {
	return r.follower.Logger().With("event_id", event.ID.String(), "event_name", event.Name, "stream", event.Stream.String(), "position", int64(event.Position))
}

// call runs the reactions to all parts of a unit once.
func (r *Reactor) call(ctx context.Context, u *unit) (err error) {
	ctx, ended := r.config.Tracer.Handling(ctx, consumer.Handling{ID: r.follower.ID(), Events: 1, Causes: consumer.Causes(u.event())})
	defer func() {
		if err != nil {
			ended(0, err)
			return
		}
		ended(u.position(), nil)
	}()
	return r.follower.Guard(ctx, consumer.PartEvents, u.event(), "a reaction", func(ctx context.Context) error {
		var decoded []eventsourced.Decoded
		for i := range u.parts {
			var err error
			if decoded, err = r.log.Registry().AppendDecoded(ctx, decoded, &u.parts[i]); err != nil {
				return err
			}
		}
		ctx = eventsourced.WithExecution(ctx)
		for _, part := range decoded {
			if r.reactions[part.Recorded.Name].tx {
				return r.transact(ctx, u, decoded)
			}
		}
		return r.react(ctx, nil, decoded)
	})
}

// react calls the reactions to the parts of an event.
func (r *Reactor) react(ctx context.Context, tx pgx.Tx, parts []eventsourced.Decoded) error {
	for _, part := range parts {
		reaction, has := r.reactions[part.Recorded.Name]
		if !has {
			continue
		}
		if err := reaction.call(eventsourced.WithRecorded(ctx, part.Recorded), tx, part.Event); err != nil {
			return err
		}
		r.failpoint("reacted")
	}
	return nil
}

// transact calls the reactions in a transaction that also says that the unit is done. If one
// has said so before, as far as its commit's outcome was unknown, nothing is called.
func (r *Reactor) transact(ctx context.Context, u *unit, parts []eventsourced.Decoded) error {
	before := false
	err := pgx.BeginTxFunc(ctx, r.store.Pool(), pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) (err error) {
		if before, err = r.isMarked(ctx, tx, u); err != nil || before {
			return err
		}
		if err := r.react(ctx, tx, parts); err != nil {
			return err
		}
		if err := r.mark(ctx, tx, u); err != nil {
			return err
		}
		r.failpoint("marked")
		return nil
	})
	if err == nil {
		u.marked = true
		r.failpoint("committed")
		r.config.Committed()
	}
	return err
}
