package eventsourced

import (
	"context"
	"errors"
	"fmt"
	"iter"
)

// LoadAt returns the aggregate id as it was at a version, to look at: an event that is
// recorded on it can't be saved any more once there are later ones. It returns
// [ErrNotFound] when the aggregate has not come as far. It reads all events up to there.
func (r *Repository[A]) LoadAt(ctx context.Context, id string, version Version) (*A, error) {
	a, err := r.replayOn(ctx, r.newAggregate(id), nil, func(e *Recorded) bool { return e.Version <= version })
	if err == nil && (rootOf(a).version != version || version == 0) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("load version %d of %s: %w", version, r.stream(id), err)
	}
	return a, nil
}

// LoadAsOf returns the aggregate id as it was when the log had come to a position, as
// [Repository.LoadAt] does. It returns [ErrNotFound] when it had no events then.
func (r *Repository[A]) LoadAsOf(ctx context.Context, id string, position Position) (*A, error) {
	a, err := r.replayOn(ctx, r.newAggregate(id), nil, func(e *Recorded) bool { return e.Position <= position })
	if err == nil && rootOf(a).version == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("load %s as of position %d: %w", r.stream(id), position, err)
	}
	return a, nil
}

// UpdateAt is Update for somebody who has seen a version of the aggregate, such as a client
// that sends it along, and decides on that: it returns [ErrConflict], without calling act,
// when the aggregate has another one by now. 0 is one that has no events yet.
func (r *Repository[A]) UpdateAt(ctx context.Context, id string, expected Version, act func(*A) error) (Position, error) {
	return r.Update(ctx, id, func(a *A) error {
		if actual := rootOf(a).version; actual != expected {
			return &ConflictError{Stream: r.stream(id), Expected: AtVersion(expected), Actual: actual}
		}
		return act(a)
	})
}

var errNilTx = errors.New("the store of the transaction is nil")

// UpdateTx is Update in the caller's transaction: tx is the store bound to it, as
// pgstore.Store.Tx makes it. The events are visible to nobody before the caller commits,
// at the position that is returned, and are gone with a rollback. There is no second
// attempt, as others' events may not be visible before the transaction's end: after
// [ErrConflict] roll back and begin again. It takes no turn, see [Repository.Update]: the turn would have to last
// to the commit, and those whose turn it is wait for the transaction that has appended. No snapshot is stored, nor read. Under
// [WithCommand] another transaction is another execution, see [WithExecution].
func (r *Repository[A]) UpdateTx(ctx context.Context, tx Store, id string, act func(*A) error) (Position, error) {
	if isNil(tx) {
		return 0, fmt.Errorf("update %s: %w", r.stream(id), errNilTx)
	}
	bound := &Repository[A]{tx, r.aggregateName, r.config, nil, nil}
	bound.config.Attempts, bound.config.SnapshotEvery = 1, 0
	return bound.Update(ctx, id, act)
}

// History yields the aggregate id after each of its events from version after+1 on, in order, and ends
// after one that it can't read or apply, with an error. Each time it is the same aggregate, changed: look at it, and
// keep nothing of it. It reads all events from the first.
func (r *Repository[A]) History(ctx context.Context, id string, after Version) iter.Seq2[*A, error] {
	return func(yield func(*A, error) bool) {
		a := r.newAggregate(id)
		goesOn := func() bool { v := rootOf(a).version; return v == 0 || v <= after || yield(a, nil) }
		ended := false
		_, err := r.replayOn(ctx, a, nil, func(*Recorded) bool { // before each event, when the one before was applied
			ended = !goesOn()
			return !ended
		})
		switch {
		case ended:
		case err != nil:
			yield(nil, fmt.Errorf("history of %s: %w", r.stream(id), err))
		default:
			goesOn()
		}
	}
}
