package eventsourced

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/dancefinder/eventsourcing/internal/wait"
)

// takeTurn waits for the turn to change an aggregate, which ends with release. Who need not wait for one has
// a turn of his own.
func (r *Repository[A]) takeTurn(ctx context.Context, id string) (t *turn, release func(), err error) {
	if r.turns != nil {
		t := r.turns.enter(id)
		his, err := t.wait(ctx)
		if his {
			return t, func() { <-t.taken; r.turns.leave(t) }, nil
		}
		r.turns.leave(t)
		if err != nil {
			return nil, nil, fmt.Errorf("wait for the turn to change %s: %w", r.stream(id), err)
		}
		r.config.Logger.WarnContext(ctx, "a command takes long, going on without waiting for it: does it change its aggregate in another call?",
			"stream", r.stream(id).String())
	}
	return &turn{id: id}, func() {}, nil
}

// loadInTurn returns the aggregate as the one before has left it, and true, or as it is stored.
func (r *Repository[A]) loadInTurn(ctx context.Context, t *turn) (a *A, kept bool, err error) {
	if t.tape != nil {
		if a, err := r.replayTape(ctx, t.id, t.tape); err == nil {
			return a, true, nil
		}
		t.tape = nil
	}
	var read *tape
	if r.turns != nil && r.turns.wanted(t) {
		read = newTape(r.maxEvents())
	}
	a, err = r.load(ctx, t.id, read)
	if err == nil && read.fits() {
		t.tape = read
	}
	return a, false, err
}

// maxEvents is how many events a tape has at most: after so many there is a new snapshot to begin with.
func (r *Repository[A]) maxEvents() int {
	if r.snapshots == nil {
		return math.MaxInt
	}
	return 2 * r.config.SnapshotEvery
}

// replayTape does what load does, without the store.
func (r *Repository[A]) replayTape(ctx context.Context, id string, t *tape) (*A, error) {
	a := r.newAggregate(id)
	root := rootOf(a)
	if t.snapshot != nil {
		if err := any(a).(Snapshotter).UnmarshalSnapshot(bytes.Clone(t.snapshot.State)); err != nil {
			return nil, err
		}
		root.version, root.position = t.snapshot.Version, t.snapshot.Position
	}
	for i := range t.events {
		if err := r.applyStored(ctx, a, &t.events[i]); err != nil {
			return nil, err
		}
		root.version, root.position = t.events[i].Version, t.events[i].Position
	}
	return a, nil
}

// saveInTurn appends the events that a command has recorded.
func (r *Repository[A]) saveInTurn(ctx context.Context, t *turn, a *A) (Position, error) {
	before := rootOf(a).version
	position, events, err := r.save(ctx, a)
	if err == nil {
		t.ended = time.Now()
		t.row++
	}
	if events != nil && t.tape != nil {
		t.tape.appended(r.stream(t.id), before, position, events)
	}
	if events == nil || !t.tape.fits() { // the stream has changed in a way that is not known, or too much
		t.tape = nil
	}
	return position, err
}

// settle waits after a lost race: for a back-off, and every other time until nobody has changed the stream for a
// moment. A process in which many change it leaves it alone at times, and can't be overtaken at others; one that
// reads it each time never leaves it alone, and is no faster. It returns false when ctx ended.
func (r *Repository[A]) settle(ctx context.Context, t *turn, attempt int, lost error) bool {
	var conflict *ConflictError
	moment := min(t.took, longestRest/rests)
	if !wait.Sleep(ctx, max(again.After(attempt), moment)) {
		return false
	}
	if attempt%2 == 1 || !errors.As(lost, &conflict) {
		return true
	}
	for version, polls := conflict.Actual, 0; polls < inARow; polls++ {
		before := version
		for recorded, err := range r.store.ReadStream(ctx, r.stream(t.id), before) {
			if err != nil {
				return ctx.Err() == nil // loading will say so
			}
			version = recorded.Version
		}
		if version == before {
			return true
		}
		if !wait.Sleep(ctx, moment) {
			return false
		}
	}
	return true
}
