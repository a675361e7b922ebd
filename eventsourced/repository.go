package eventsourced

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"time"
)

// DefaultAttempts is how often [Repository.Update] tries by default.
const DefaultAttempts = 10

// Repository loads and stores the aggregates of one kind. It is safe for
// concurrent use.
type Repository[A Aggregate] struct {
	store         Store
	aggregateName string
	newFunc       func() A
	options       repositoryOptions
}

type repositoryOptions struct {
	attempts       int
	logger         *slog.Logger
	snapshots      SnapshotStore
	snapshotEvery  Version
	snapshotSchema int
}

// RepositoryOption is an option of [NewRepository].
type RepositoryOption func(*repositoryOptions)

// Attempts sets how often [Repository.Update] tries before it returns
// [ErrConflict]. Defaults to [DefaultAttempts].
func Attempts(n int) RepositoryOption {
	return func(o *repositoryOptions) { o.attempts = n }
}

// Logger sets where snapshots that can't be used or saved are logged. Defaults to
// [slog.Default].
func Logger(logger *slog.Logger) RepositoryOption {
	return func(o *repositoryOptions) { o.logger = logger }
}

// NewRepository returns a repository of the aggregates that are stored under
// aggregateName. newFunc returns a new, empty aggregate. NewRepository panics, with
// all that is wrong, when one of them is missing or the name is no name.
func NewRepository[A Aggregate](store Store, aggregateName string, newFunc func() A, options ...RepositoryOption) *Repository[A] {
	if err := repositoryProblems(store, aggregateName, newFunc); err != nil {
		panic(fmt.Sprintf("eventsourced.NewRepository: %v", err))
	}
	r := &Repository[A]{
		store:         store,
		aggregateName: aggregateName,
		newFunc:       newFunc,
		options:       repositoryOptions{attempts: DefaultAttempts, logger: slog.Default()},
	}
	for _, option := range options {
		option(&r.options)
	}
	if r.options.snapshotEvery > 0 {
		r.options.snapshots = snapshotStoreOf(store, r.newFunc())
	}
	return r
}

func repositoryProblems[A Aggregate](store Store, aggregateName string, newFunc func() A) error {
	problems := []error{validateName("aggregate name", aggregateName)}
	switch {
	case isNil(store):
		problems = append(problems, errors.New("the store is nil"))
	case store.Registry() == nil:
		problems = append(problems, errors.New("the store has no registry"))
	}
	switch {
	case newFunc == nil:
		problems = append(problems, errors.New("newFunc is nil"))
	case isNil(newFunc()):
		problems = append(problems, errors.New("newFunc returns nil"))
	}
	return errors.Join(problems...)
}

// isNil tells that an interface holds nothing, or a nil pointer.
func isNil(v any) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// Load returns the aggregate id as its events say. It returns [ErrNotFound] when
// there are none, and a [*DecodeError] for an event it can't decode.
func (r *Repository[A]) Load(ctx context.Context, id string) (A, error) {
	a, err := r.load(ctx, id)
	if err == nil && a.root().version == 0 {
		err = ErrNotFound
	}
	if err != nil {
		var none A
		return none, fmt.Errorf("load %s: %w", r.stream(id), err)
	}
	return a, nil
}

// Update loads the aggregate id, a new one with version 0 when it has no events,
// calls act on it and appends the events that act recorded. When somebody else
// changed the aggregate meanwhile, all of that is repeated on its new state,
// with a short back-off: act must have no other effects. [Repository.Create] and
// [Repository.Change] do the same for an aggregate that must not be there yet, or must.
//
// It returns the position of the aggregate's last event, also when act recorded
// none, so that waiting for that position shows what act saw. An error of act is
// returned as it is, and nothing is stored. It returns [ErrConflict] after the
// last attempt, and [ErrCommandUsed].
func (r *Repository[A]) Update(ctx context.Context, id string, act func(A) error) (Position, error) {
	end, err := beginChange(ctx, r.stream(id))
	if err != nil {
		return 0, err
	}
	refused := false
	position, err := r.update(ctx, id, func(a A) error {
		err := act(a)
		refused = err != nil
		return err
	})
	end(err == nil || refused)
	return position, err
}

// Create is Update for a new aggregate: it returns [ErrExists], without calling act,
// when it has events.
func (r *Repository[A]) Create(ctx context.Context, id string, act func(A) error) (Position, error) {
	return r.Update(ctx, id, func(a A) error {
		if a.root().Exists() {
			return fmt.Errorf("create %s: %w", r.stream(id), ErrExists)
		}
		return act(a)
	})
}

// Change is Update for an aggregate that is there: it returns [ErrNotFound], without
// calling act, when it has no events, as for an id that is spelled wrong.
func (r *Repository[A]) Change(ctx context.Context, id string, act func(A) error) (Position, error) {
	return r.Update(ctx, id, func(a A) error {
		if !a.root().Exists() {
			return fmt.Errorf("change %s: %w", r.stream(id), ErrNotFound)
		}
		return act(a)
	})
}

func (r *Repository[A]) update(ctx context.Context, id string, act func(A) error) (Position, error) {
	for attempt := 1; ; attempt++ {
		a, err := r.load(ctx, id)
		if err != nil {
			return 0, fmt.Errorf("load %s: %w", r.stream(id), err)
		}
		if err := act(a); err != nil {
			return r.carriedOut(ctx, id, err)
		}
		loaded := a.root().position
		position, err := r.save(ctx, a)
		if errors.Is(err, ErrDuplicateID) {
			return r.carriedOut(ctx, id, err)
		}
		if err == nil && position < loaded { // an event of the first time, perhaps not the last
			return r.carriedOut(ctx, id, ErrDuplicateID)
		}
		if !errors.Is(err, ErrConflict) || attempt >= r.options.attempts {
			return position, err
		}
		if ctxErr := backOff(ctx, attempt); ctxErr != nil {
			return 0, errors.Join(ctxErr, err)
		}
	}
}

// carriedOut returns the position that the command in ctx got when it was carried
// out before; if it was not, the error. A repeated command is often refused by the
// aggregate that it has changed.
func (r *Repository[A]) carriedOut(ctx context.Context, id string, cause error) (Position, error) {
	stream := r.stream(id)
	next := commandEventID(ctx, stream, 0)
	if next.IsZero() {
		return 0, cause
	}
	var position Position
	count := 0
	for recorded, err := range r.store.ReadStream(ctx, stream, 0) {
		if err != nil {
			return 0, errors.Join(cause, err)
		}
		if recorded.ID == next {
			position = recorded.Position
			count++
			next = commandEventID(ctx, stream, count)
		}
	}
	if count == 0 {
		return 0, cause
	}
	return position, nil
}

// Save appends the pending events of an aggregate that this repository loaded,
// expecting that its stream has not changed since, and returns the position of
// its last event. The events stop being pending once they are committed; after
// an error they still are, and a later Save stores them with new ids, so after
// an error whose outcome is open (see [Appender]) load the aggregate again. So do
// after a Save under [WithCommand], which may have been a repetition: the aggregate
// keeps its version, and another Save of it is an [ErrConflict], or [ErrCommandUsed]
// under the same command.
func (r *Repository[A]) Save(ctx context.Context, a A) (Position, error) {
	root := a.root()
	if len(root.pending) == 0 {
		return root.position, nil
	}
	end, err := beginChange(ctx, r.stream(root.id))
	if err != nil {
		return 0, err
	}
	position, err := r.save(ctx, a)
	end(err == nil)
	return position, err
}

func (r *Repository[A]) save(ctx context.Context, a A) (Position, error) {
	root := a.root()
	if len(root.pending) == 0 {
		return root.position, nil
	}
	events, err := r.store.Registry().Encode(ctx, root.pending...)
	if err != nil {
		return 0, err
	}
	command := !commandEventID(ctx, r.stream(root.id), 0).IsZero()
	for i := range events {
		if command {
			events[i].ID = commandEventID(ctx, r.stream(root.id), i)
		}
	}
	position, err := r.store.Append(ctx, r.stream(root.id), Revision(root.version), events)
	if err != nil {
		return 0, err
	}
	if command {
		// It may have been carried out before, also while this aggregate was loaded:
		// which version that made is not known here.
		root.pending, root.stored = nil, true
		return position, nil
	}
	before := root.version
	root.version += Version(len(events))
	root.position = position
	root.pending = nil
	r.saveSnapshot(ctx, a, before)
	return position, nil
}

func (r *Repository[A]) stream(id string) Stream { return Stream{r.aggregateName, id} }

// load returns the aggregate as stored, with version 0 when it is not.
func (r *Repository[A]) load(ctx context.Context, id string) (A, error) {
	a, snapshot := r.loadSnapshot(ctx, id)
	a, err := r.replayOn(ctx, a, snapshot)
	if errors.Is(err, errOtherLog) {
		r.ignoreSnapshot(ctx, id, err)
		return r.replayOn(ctx, r.newAggregate(id), nil)
	}
	return a, err
}

func (r *Repository[A]) newAggregate(id string) A {
	a := r.newFunc()
	a.root().id = id
	return a
}

// replayOn applies to a the events after those that it has: those of the snapshot, if it is
// not nil. Then it reads the last of them, too, and returns errOtherLog if it is another.
func (r *Repository[A]) replayOn(ctx context.Context, a A, snapshot *Snapshot) (A, error) {
	root, after := a.root(), a.root().version
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
		event, err := r.store.Registry().Decode(recorded)
		if err != nil {
			return a, err
		}
		if recorded.Version != root.version+1 {
			return a, fmt.Errorf("the stream is damaged: version %d follows version %d", recorded.Version, root.version)
		}
		a.Apply(event)
		root.version, root.position = recorded.Version, recorded.Position
	}
	if snapshot != nil {
		return a, errOtherLog
	}
	return a, nil
}

// backOff waits before the next attempt: a random time of up to 1 ms, 2 ms, 4 ms
// and so on to 128 ms, so that writers that collided do not meet again.
func backOff(ctx context.Context, attempt int) error {
	limit := time.Millisecond << min(attempt-1, 7)
	timer := time.NewTimer(rand.N(limit))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
