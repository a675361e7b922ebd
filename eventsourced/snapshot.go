package eventsourced

import (
	"context"
	"errors"
	"fmt"
)

// Snapshotter is implemented by aggregates that can be stored as a snapshot, see
// [RepositoryConfig.SnapshotEvery]. The state is all that the events have made; id and version are kept
// beside it.
type Snapshotter interface {
	Aggregate
	MarshalSnapshot() ([]byte, error)
	// UnmarshalSnapshot sets the state of a new aggregate. After an error the
	// aggregate is thrown away and its events are read instead.
	UnmarshalSnapshot(state []byte) error
}

// snapshotStoreOf returns where config's snapshots are kept, nil when there are to be none.
func snapshotStoreOf(store Store, a Aggregate, config RepositoryConfig) (SnapshotStore, error) {
	if config.SnapshotEvery <= 0 {
		return nil, nil
	}
	var problems []error
	snapshots, ok := store.(SnapshotStore)
	if !ok && !isNil(store) {
		problems = append(problems, fmt.Errorf("SnapshotEvery: the store %T does not implement SnapshotStore", store))
	}
	if _, ok := a.(Snapshotter); !ok {
		problems = append(problems, fmt.Errorf("SnapshotEvery: the aggregate %T does not implement Snapshotter", a))
	}
	return snapshots, errors.Join(problems...)
}

// loadSnapshot returns the aggregate as its snapshot says, or a new one. A
// snapshot is a cache: whatever is wrong with it, the events have it right.
// It counts only while its stream has the event that it ends with: a log that went back,
// as to an older backup, has another one there, or none.
func (r *Repository[A]) loadSnapshot(ctx context.Context, id string) (*A, *Snapshot) {
	a := r.newAggregate(id)
	if r.snapshots == nil {
		return a, nil
	}
	snapshot, err := r.snapshots.LoadSnapshot(ctx, r.stream(id))
	if err == nil && (snapshot == nil || snapshot.SchemaVersion != r.config.SnapshotSchema) {
		return a, nil
	}
	if err == nil {
		err = any(a).(Snapshotter).UnmarshalSnapshot(snapshot.State)
	}
	if err != nil {
		r.ignoreSnapshot(ctx, id, err)
		return r.newAggregate(id), nil
	}
	rootOf(a).version, rootOf(a).position = snapshot.Version, snapshot.Position
	return a, snapshot
}

func (r *Repository[A]) ignoreSnapshot(ctx context.Context, id string, err error) {
	r.config.Logger.WarnContext(ctx, "snapshot ignored, reading all events", "stream", r.stream(id).String(), "error", err)
}

var errOtherLog = errors.New("its stream does not have the event that it ends with: the log went back, or is another one")

// saveSnapshot stores a snapshot if the append that followed version before has
// reached or passed a multiple of the interval. The events are committed
// already, so a failure is only logged.
func (r *Repository[A]) saveSnapshot(ctx context.Context, a *A, before Version) {
	every, root := Version(r.config.SnapshotEvery), rootOf(a)
	if every <= 0 || root.version/every == before/every {
		return
	}
	state, err := any(a).(Snapshotter).MarshalSnapshot()
	if err == nil {
		err = r.snapshots.SaveSnapshot(ctx, r.stream(root.id), Snapshot{
			Version:       root.version,
			Position:      root.position,
			SchemaVersion: r.config.SnapshotSchema,
			State:         state,
		})
	}
	if err != nil {
		r.config.Logger.WarnContext(ctx, "snapshot not saved", "stream", r.stream(root.id).String(), "error", err)
	}
}
