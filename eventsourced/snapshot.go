package eventsourced

import (
	"context"
	"errors"
	"fmt"
)

// Snapshotter is implemented by aggregates that can be stored as a snapshot, see
// [SnapshotEvery]. The state is all that Apply has made; id and version are kept
// beside it.
type Snapshotter interface {
	Aggregate
	MarshalSnapshot() ([]byte, error)
	// UnmarshalSnapshot sets the state of a new aggregate. After an error the
	// aggregate is thrown away and its events are read instead.
	UnmarshalSnapshot(state []byte) error
}

// SnapshotEvery stores a snapshot with every n events of an aggregate, so that a
// load reads at most the events since and the one before them. It is worth it for streams of hundreds of
// events and more. schemaVersion belongs to the form of the state: raise it when
// that changes, and older snapshots are ignored.
//
// NewRepository panics when the aggregate is no [Snapshotter] or the store no
// [SnapshotStore].
func SnapshotEvery(n, schemaVersion int) RepositoryOption {
	return func(o *repositoryOptions) {
		o.snapshotEvery, o.snapshotSchema = Version(n), schemaVersion
	}
}

func snapshotStoreOf(store Store, a Aggregate) SnapshotStore {
	snapshots, ok := store.(SnapshotStore)
	if !ok {
		panic(fmt.Sprintf("eventsourced: SnapshotEvery: the store %T does not implement SnapshotStore", store))
	}
	if _, ok := a.(Snapshotter); !ok {
		panic(fmt.Sprintf("eventsourced: SnapshotEvery: the aggregate %T does not implement Snapshotter", a))
	}
	return snapshots
}

// loadSnapshot returns the aggregate as its snapshot says, or a new one. A
// snapshot is a cache: whatever is wrong with it, the events have it right.
// It counts only while its stream has the event that it ends with: a log that went back,
// as to an older backup, has another one there, or none.
func (r *Repository[A]) loadSnapshot(ctx context.Context, id string) (A, *Snapshot) {
	a := r.newAggregate(id)
	if r.options.snapshots == nil {
		return a, nil
	}
	snapshot, err := r.options.snapshots.LoadSnapshot(ctx, r.stream(id))
	if err == nil && (snapshot == nil || snapshot.SchemaVersion != r.options.snapshotSchema) {
		return a, nil
	}
	if err == nil {
		err = any(a).(Snapshotter).UnmarshalSnapshot(snapshot.State)
	}
	if err != nil {
		r.ignoreSnapshot(ctx, id, err)
		return r.newAggregate(id), nil
	}
	a.root().version, a.root().position = snapshot.Version, snapshot.Position
	return a, snapshot
}

func (r *Repository[A]) ignoreSnapshot(ctx context.Context, id string, err error) {
	r.options.logger.WarnContext(ctx, "snapshot ignored, reading all events", "stream", r.stream(id).String(), "error", err)
}

var errOtherLog = errors.New("its stream does not have the event that it ends with: the log went back, or is another one")

// saveSnapshot stores a snapshot if the append that followed version before has
// reached or passed a multiple of the interval. The events are committed
// already, so a failure is only logged.
func (r *Repository[A]) saveSnapshot(ctx context.Context, a A, before Version) {
	every, root := r.options.snapshotEvery, a.root()
	if every <= 0 || root.version/every == before/every {
		return
	}
	state, err := any(a).(Snapshotter).MarshalSnapshot()
	if err == nil {
		err = r.options.snapshots.SaveSnapshot(ctx, r.stream(root.id), Snapshot{
			Version:       root.version,
			Position:      root.position,
			SchemaVersion: r.options.snapshotSchema,
			State:         state,
		})
	}
	if err != nil {
		r.options.logger.WarnContext(ctx, "snapshot not saved", "stream", r.stream(root.id).String(), "error", err)
	}
}
