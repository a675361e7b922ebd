package eventsourced

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/dancefinder/eventsourcing/internal/wait"
)

// DefaultAttempts is how often [Repository.Update] tries by default.
const DefaultAttempts = 10

// Repository loads and stores the aggregates of one kind, structs of type A. It is safe
// for concurrent use.
type Repository[A any] struct {
	store         Store
	aggregateName string
	config        RepositoryConfig
	snapshots     SnapshotStore // nil when there are none
	turns         *turns        // nil when nobody waits for another
}

// RepositoryConfig configures a [Repository]. The zero value works.
type RepositoryConfig struct {
	// Attempts is how often [Repository.Update] tries before it returns [ErrConflict].
	// Defaults to [DefaultAttempts].
	Attempts int
	// SnapshotEvery stores a snapshot with every so many events of an aggregate, so that a
	// load reads at most the events since and the one before them. It is worth it for
	// streams of hundreds of events and more. The aggregate must be a [Snapshotter] and
	// the store a [SnapshotStore]. 0 stores none.
	SnapshotEvery int
	// SnapshotSchema belongs to the form of a snapshot's state: raise it when that
	// changes, and older snapshots are ignored.
	SnapshotSchema int
	// CacheBytes limits the memory for events of aggregates that were changed last on this repository, in bytes. A
	// change of such an aggregate (Update, Create, Change, UpdateAt) need not read them again. No answer is
	// stale: that another process has changed the aggregate is found out by the append, and what was
	// refused, or has recorded nothing, is decided again on what is stored. Load and all that only reads
	// never uses the cache. It is worth it where one process changes the same aggregates often. After the log
	// went back, as to a backup, restart programs with a cache. 0, the default, keeps none.
	CacheBytes int
	// Logger is where snapshots that can't be used or saved are logged. Defaults to
	// [slog.Default].
	Logger *slog.Logger
}

// NewRepository returns a repository of the aggregates that are stored under
// aggregateName:
//
//	accounts := eventsourced.NewRepository[Account](store, "bank.Account", eventsourced.RepositoryConfig{})
//
// It panics with all that is wrong: a store that is nil or has no registry, a name that is
// none, an Account that embeds a pointer to Root or whose events have both an Apply and an
// ApplyTo, a field of config that makes no sense.
func NewRepository[A any, P interface {
	*A
	Aggregate
}](store Store, aggregateName string, config RepositoryConfig) *Repository[A] {
	problems := []error{validateName("aggregate name", aggregateName), config.validate()}
	if !hasRoot(P(new(A))) {
		problems = append(problems, fmt.Errorf("%T has a nil Root: embed Root itself, not a pointer", new(A)))
	}
	switch {
	case isNil(store):
		problems = append(problems, errors.New("the store is nil"))
	case store.Registry() == nil:
		problems = append(problems, errors.New("the store has no registry"))
	default:
		problems = append(problems, applyProblems(P(new(A)), store.Registry(), func(event Event) bool {
			_, itself := event.(appliesTo[A])
			return itself
		})...)
	}
	snapshots, err := snapshotStoreOf(store, P(new(A)), config)
	if err := errors.Join(append(problems, err)...); err != nil {
		panic(fmt.Sprintf("eventsourced.NewRepository: %v", err))
	}
	config.Attempts = cmp.Or(config.Attempts, DefaultAttempts)
	config.Logger = cmp.Or(config.Logger, slog.Default())
	return &Repository[A]{store, aggregateName, config, snapshots, newTurns(config.CacheBytes)}
}

func (c RepositoryConfig) validate() error {
	var problems []error
	if c.Attempts < 0 {
		problems = append(problems, fmt.Errorf("config.Attempts is %d, want 1 or more, or 0 for %d", c.Attempts, DefaultAttempts))
	}
	if c.SnapshotEvery < 0 {
		problems = append(problems, fmt.Errorf("config.SnapshotEvery is %d, want 1 or more, or 0 for no snapshots", c.SnapshotEvery))
	}
	if c.SnapshotSchema < 0 {
		problems = append(problems, fmt.Errorf("config.SnapshotSchema is %d, want 0 or more", c.SnapshotSchema))
	}
	if c.CacheBytes < 0 {
		problems = append(problems, fmt.Errorf("config.CacheBytes is %d, want 1 or more, or 0 for no cache", c.CacheBytes))
	}
	return errors.Join(problems...)
}

// hasRoot tells whether a new aggregate has its Root, which is not so when it, or what it
// is in, is embedded as a pointer.
func hasRoot(a Aggregate) (has bool) {
	defer func() { _ = recover() }()
	return a.root() != nil
}

// rootOf returns the Root of an aggregate, which NewRepository has seen.
func rootOf[A any](a *A) *Root { return any(a).(Aggregate).root() }

// isNil tells that an interface holds nothing, or a nil pointer.
func isNil(v any) bool {
	value := reflect.ValueOf(v)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

// Update loads the aggregate id, a new one with version 0 when it has no events,
// calls act on it and appends the events that act recorded. When somebody else
// changed the aggregate meanwhile, all of that is repeated on its new state,
// with a short back-off: act must have no other effects. [Repository.Create] and
// [Repository.Change] do the same for an aggregate that must not be there yet, or must.
//
// Calls for one aggregate on one Repository take turns, in the order in which they came: so they make
// no conflicts for each other, and each goes on from what the one before has committed, mostly without
// reading it. A call waits for its turn until ctx ends, and no longer than a second for one act: then it goes on
// without its turn, with a warning in the log. So act must not change the same aggregate by another
// call: that waits for a second, and then makes a conflict for the one that it is in. Save, UpdateTx and other
// processes take no turns.
//
// It returns the position of the aggregate's last event, also when act recorded
// none, so that waiting for that position shows what act saw. An error of act is
// returned as it is, and nothing is stored. It returns [ErrConflict] after the
// last attempt, and [ErrCommandUsed].
func (r *Repository[A]) Update(ctx context.Context, id string, act func(*A) error) (Position, error) {
	end, err := beginChange(ctx, r.stream(id))
	if err != nil {
		return 0, err
	}
	refused := false
	position, err := r.update(ctx, id, func(a *A) error {
		err := act(a)
		refused = err != nil && !errors.Is(err, ErrConflict)
		return err
	})
	end(err == nil || refused)
	return position, err
}

// Create is Update for a new aggregate: it returns [ErrExists], without calling act,
// when it has events.
func (r *Repository[A]) Create(ctx context.Context, id string, act func(*A) error) (Position, error) {
	return r.Update(ctx, id, func(a *A) error {
		if rootOf(a).Exists() {
			return fmt.Errorf("create %s: %w", r.stream(id), ErrExists)
		}
		return act(a)
	})
}

// Change is Update for an aggregate that is there: it returns [ErrNotFound], without
// calling act, when it has no events, as for an id that is spelled wrong.
func (r *Repository[A]) Change(ctx context.Context, id string, act func(*A) error) (Position, error) {
	return r.Update(ctx, id, func(a *A) error {
		if !rootOf(a).Exists() {
			return fmt.Errorf("change %s: %w", r.stream(id), ErrNotFound)
		}
		return act(a)
	})
}

func (r *Repository[A]) update(ctx context.Context, id string, act func(*A) error) (Position, error) {
	t, release, err := r.takeTurn(ctx, id)
	if err != nil {
		return 0, err
	}
	defer release()
	for attempt := 1; ; attempt++ {
		if err := t.rest(ctx); err != nil {
			return 0, fmt.Errorf("wait to change %s: %w", r.stream(id), err)
		}
		began := time.Now()
		a, kept, err := r.loadInTurn(ctx, t)
		if err != nil {
			return 0, fmt.Errorf("load %s: %w", r.stream(id), err)
		}
		refused := t.run(func() error { return act(a) })
		loaded, recorded := rootOf(a).position, len(rootOf(a).pending) > 0
		position := loaded
		if refused == nil && recorded {
			position, err = r.saveInTurn(ctx, t, a)
		}
		if !kept {
			t.took = time.Since(began)
		}
		if kept && (refused != nil || !recorded || errors.Is(err, ErrConflict)) {
			t.tape = nil // nobody has checked that it is all: decide on what is stored
			attempt--
			continue
		}
		if refused != nil {
			return r.carriedOut(ctx, id, refused)
		}
		if errors.Is(err, ErrDuplicateID) {
			return r.carriedOut(ctx, id, err)
		}
		if err == nil && position < loaded { // an event of the first time, perhaps not the last
			return r.carriedOut(ctx, id, ErrDuplicateID)
		}
		if !errors.Is(err, ErrConflict) || attempt >= r.config.Attempts {
			return position, err
		}
		if !r.settle(ctx, t, attempt, err) {
			return 0, errors.Join(ctx.Err(), err)
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
func (r *Repository[A]) Save(ctx context.Context, a *A) (Position, error) {
	root := rootOf(a)
	if len(root.pending) == 0 {
		return root.position, nil
	}
	end, err := beginChange(ctx, r.stream(root.id))
	if err != nil {
		return 0, err
	}
	position, _, err := r.save(ctx, a)
	end(err == nil)
	return position, err
}

// save appends the pending events. It returns them, too, when they follow the version of a.
func (r *Repository[A]) save(ctx context.Context, a *A) (Position, []EventData, error) {
	root := rootOf(a)
	events, err := r.store.Registry().Encode(ctx, root.pending...)
	if err != nil {
		return 0, nil, err
	}
	command := !commandEventID(ctx, r.stream(root.id), 0).IsZero()
	for i := range events {
		if command {
			events[i].ID = commandEventID(ctx, r.stream(root.id), i)
		}
	}
	position, err := r.store.Append(ctx, r.stream(root.id), AtVersion(root.version), events)
	if err != nil {
		return 0, nil, err
	}
	if command {
		// It may have been carried out before, also while this aggregate was loaded:
		// which version that made is not known here.
		root.pending, root.stored = nil, true
		return position, nil, nil
	}
	before := root.version
	root.version += Version(len(events))
	root.position = position
	root.pending = nil
	r.saveSnapshot(ctx, a, before)
	return position, events, nil
}

func (r *Repository[A]) stream(id string) Stream { return Stream{r.aggregateName, id} }

// again is how long to wait before the next attempt.
var again = wait.BackOff{First: time.Millisecond, Last: 128 * time.Millisecond}
