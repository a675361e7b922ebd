package eventsourced

import (
	"context"
	"errors"
	"fmt"
)

// Load returns the aggregate id as its events say. It returns [ErrNotFound] when
// there are none, and a [*DecodeError] for an event it can't decode.
func (r *Repository[A]) Load(ctx context.Context, id string) (*A, error) {
	a, err := r.load(ctx, id, nil)
	if err == nil && rootOf(a).version == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", r.stream(id), err)
	}
	return a, nil
}

// load returns the aggregate as stored, with version 0 when it is not. What it reads is added to a tape,
// if it is not nil.
func (r *Repository[A]) load(ctx context.Context, id string, read *tape) (*A, error) {
	a, snapshot := r.loadSnapshot(ctx, id)
	a, err := r.replayOn(ctx, a, snapshot, read.add)
	if errors.Is(err, errOtherLog) {
		r.ignoreSnapshot(ctx, id, err)
		return r.replayOn(ctx, r.newAggregate(id), nil, read.add)
	}
	read.begin(snapshot)
	return a, err
}

func (r *Repository[A]) newAggregate(id string) *A {
	a := new(A)
	rootOf(a).id = id
	return a
}

// replayOn applies to a the events after those that it has: those of the snapshot, if it is
// not nil. Then it reads the last of them, too, and returns errOtherLog if it is another.
func (r *Repository[A]) replayOn(ctx context.Context, a *A, snapshot *Snapshot, within func(*Recorded) bool) (*A, error) {
	root, after := rootOf(a), rootOf(a).version
	if snapshot != nil {
		after--
	}
	for recorded, err := range r.store.ReadStream(ctx, r.stream(root.id), after) {
		if err != nil {
			return a, err
		}
		if snapshot != nil {
			if recorded.Version != snapshot.Version || recorded.Position != snapshot.Position {
				return a, errOtherLog
			}
			snapshot = nil
			continue
		}
		if !within(&recorded) {
			return a, nil
		}
		if recorded.Version != root.version+1 {
			return a, fmt.Errorf("the stream is damaged: version %d follows version %d", recorded.Version, root.version)
		}
		if err := r.applyStored(ctx, a, &recorded); err != nil {
			return a, err
		}
		root.version, root.position = recorded.Version, recorded.Position
	}
	if snapshot != nil {
		return a, errOtherLog
	}
	return a, nil
}

// applyStored applies all that a stored event is today.
func (r *Repository[A]) applyStored(ctx context.Context, a *A, recorded *Recorded) error {
	registry := r.store.Registry()
	if registry.asStored(recorded) {
		event, err := registry.decode(ctx, recorded)
		if err != nil {
			return &DecodeError{*recorded, err}
		}
		return notApplied(recorded, applyTo(a, event))
	}
	parts, err := registry.decodeParts(ctx, *recorded)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if err := applyTo(a, part.Event); err != nil {
			return notApplied(recorded, err)
		}
	}
	return nil
}

// notApplied says of which event that is.
func notApplied(recorded *Recorded, err error) error {
	if err == nil {
		return nil
	}
	return &DecodeError{*recorded, err}
}
