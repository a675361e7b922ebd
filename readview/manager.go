package readview

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// Manager runs projections as handlers of a Watermill router, and answers for
// them: their status, reset, pause, waiting for a position. Its methods are safe
// for concurrent use. A manager whose router does not run can do all but apply
// events: that is how a command line tool uses it.
//
// When a handler fails, after its attempts, its projection stops at that event
// and the others go on. The failure is on record, see [Manager.Status], until
// the projection got past the event: after [Manager.Resume] or a restart of the
// process it tries again.
type Manager struct {
	router *message.Router
	log    eventsourced.Log
	pool   *pgxpool.Pool
	states states
	config Config
	node   string // unique to this manager
	keeper *keeper
	tail   *tail
	watch  *watcher // of those who wait for positions in pool
	shared shared

	replays  chan struct{} // has an item for each replay under way: they share the pool
	schedule chan struct{} // has an item while a projection is verified on schedule
	rest     time.Duration // [VerifyPause], but in tests
	program  func() string // executable, but in tests

	mu       sync.Mutex
	names    []string // in the order of Add
	runners  map[string]*runner
	watching map[*watcher]struct{}           // those that look: they hear what changes here
	life     atomic.Pointer[context.Context] // of the router's Run, once a projection was subscribed
}

// NewManager returns a manager of projections of log, whose read views are in
// the database that pool reaches, in the first schema of its search path. There
// are the tables of [Migrations], too, unless Schema of the config names another one; without it they are in the first
// schema of that path that has them. log may be nil, for projections whose events come
// by messages only, see [Manager.AddRemote]. It sends nothing yet. While the router runs,
// each projection uses two connections of the pool, the log's aside.
//
// router is the application's, with its middlewares; nil stands for one of the manager's own. Either is
// run by [Manager.Run]; the application's may be run by itself. The projections are added as by
// [Manager.Add].
//
// The error names every problem: a pool that is nil, and what is wrong with
// the config and the projections.
func NewManager(router *message.Router, log eventsourced.Log, pool *pgxpool.Pool, config Config, projections ...Projection) (*Manager, error) {
	problems := []error{config.validate()}
	if pool == nil {
		problems = append(problems, errors.New("readview.NewManager: the pool is nil"))
	}
	switch {
	case log != nil:
		problems = append(problems, need.Log("readview.NewManager", log)...)
	case len(projections) > 0:
		problems = append(problems, errors.New("readview.NewManager: the log is nil, and only AddRemote takes projections then"))
	}
	config = config.withDefaults()
	m := &Manager{
		router:   router,
		log:      log,
		pool:     pool,
		config:   config,
		node:     config.Node + "/" + eventsourced.NewEventID().String()[32:],
		runners:  map[string]*runner{},
		watching: map[*watcher]struct{}{},
		schedule: make(chan struct{}, 1),
		rest:     VerifyPause,
		program:  executable,
	}
	if pool != nil {
		m.replays = make(chan struct{}, max(1, pool.Config().MaxConns/replayConns))
	}
	m.states, m.keeper, m.tail, m.watch = m.statesIn(pool), newKeeper(m), newTail(m), newWatcher(m, pool)
	if router == nil {
		var err error
		m.router, err = message.NewRouter(message.RouterConfig{CloseTimeout: config.DrainTimeout + closeGrace}, watermill.NopLogger{})
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		if m.router != nil {
			var registry *eventsourced.Registry
			if !need.Nil(log) {
				registry = log.Registry()
			}
			_, more := m.check(registry, projections)
			err = errors.Join(err, more)
		}
		return nil, err
	}
	if len(projections) > 0 {
		if err := m.Add(projections...); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// closeGrace is how much longer than a page the router's end may take.
const closeGrace = 5 * time.Second

// shared is what is there while a projection is applied from the log: the goroutines of the keeper and the tail.
type shared struct {
	mu    sync.Mutex
	users int
	stop  context.CancelFunc
	loops sync.WaitGroup
}

// share is called by a source before it uses the keeper and the tail, and unshare when it does no longer.
func (m *Manager) share() {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if m.shared.users++; m.shared.users > 1 {
		return
	}
	var ctx context.Context
	ctx, m.shared.stop = context.WithCancel(context.Background())
	m.shared.loops.Go(func() { m.keeper.run(ctx) })
	m.shared.loops.Go(func() { m.tail.run(ctx) })
}

func (m *Manager) unshare() {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if m.shared.users--; m.shared.users == 0 {
		m.shared.stop()
		m.shared.loops.Wait()
	}
}

// statesIn returns what is read and written beside the pages, in the database that pool
// reaches.
func (m *Manager) statesIn(pool *pgxpool.Pool) states {
	return states{&tables{pool: pool, schema: m.config.Schema, positions: m.config.Positions}}
}

// Run runs the projections until ctx ends: it runs the router, the manager's own or the
// application's. A page that is being applied then is finished, for as long as the Config's DrainTimeout.
// It returns nil when ctx has ended; it can't be called again.
func (m *Manager) Run(ctx context.Context) error {
	// A router without handlers does not look at ctx.
	stop := context.AfterFunc(ctx, func() {
		if len(m.Names()) == 0 {
			_ = m.router.Close() // its error is that of a handler which does not end, and there is none
		}
	})
	defer stop()
	if err := m.router.Run(ctx); err != nil {
		return fmt.Errorf("readview: %w", err)
	}
	return nil
}

// Names returns the names of the projections in the order of their registration.
func (m *Manager) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.names)
}

// Handles returns the names under which the events that the projection handles are stored, in alphabetical
// order; [ErrUnknownProjection] when there is none of that name.
func (m *Manager) Handles(name string) ([]string, error) {
	r, err := m.runner(name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(r.handled), nil
}

// Tables returns the tables that the projection has declared, [ErrUnknownProjection] when
// there is none of that name.
func (m *Manager) Tables(name string) ([]string, error) {
	r, err := m.runner(name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(r.Projection.Tables), nil
}

// CheckReset returns why a reset of the projection can't work, as far as that is known without trying, nil if it may:
// [ErrUnknownProjection], [ErrNoReset], a foreign key of another table that is in the way of TRUNCATE.
func (m *Manager) CheckReset(ctx context.Context, name string) error {
	r, err := m.runner(name)
	switch {
	case err != nil:
		return err
	case r.Reset == nil:
		return fmt.Errorf("reset %s: %w", name, ErrNoReset)
	}
	if tables, truncates := r.Reset.(truncate); truncates {
		err = tables.referenced(ctx, m.pool)
	}
	if err != nil {
		return fmt.Errorf("reset %s: %w", name, explain(err))
	}
	return nil
}

// ResetProjection empties the projection's tables with its reset handler and sets
// its position to 0, in one transaction. Nodes that run the projection, this one
// or others, notice by themselves and apply all events again; until they are
// through, the tables are incomplete. A failure is forgotten; a pause stays.
//
// When it returns an error, nothing has changed: [ErrUnknownProjection],
// [ErrNoReset], the handler's own, or a lock that was not to be had within
// [Config.LockTimeout].
func (m *Manager) ResetProjection(ctx context.Context, name string) error {
	r, err := m.runner(name)
	if err != nil {
		return err
	}
	if err := m.CheckReset(ctx, name); err != nil {
		return err
	}
	op := m.operation(ctx, name, "reset", nil)
	if err := r.reset(ctx, op, 0); err != nil {
		return m.failed(ctx, op, fmt.Errorf("reset %s: %w", name, err))
	}
	m.config.Observer.Reset(ctx, r.id())
	r.wake()
	return nil
}

// Pause stops the projection, on all nodes, until [Manager.Resume]. When it
// returns, no page is being applied.
func (m *Manager) Pause(ctx context.Context, name string) error {
	return m.setStatus(ctx, name, "pause", "paused")
}

// Resume lets a paused or failed projection go on from its position.
func (m *Manager) Resume(ctx context.Context, name string) error {
	return m.setStatus(ctx, name, "resume", "running")
}

func (m *Manager) setStatus(ctx context.Context, name, what, status string) error {
	r, err := m.runner(name)
	if err != nil {
		return err
	}
	op := m.operation(ctx, name, what, nil)
	if err := m.states.setStatus(ctx, r.definition, status, op); err != nil {
		return m.failed(ctx, op, fmt.Errorf("%s %s: %w", what, name, explain(err)))
	}
	r.wake()
	return nil
}

func (m *Manager) runner(name string) (*runner, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.runners[name]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w %q, want one of: %s", ErrUnknownProjection, name, strings.Join(m.names, ", "))
}

// announce tells those who wait for a position what this process has done: see [watcher.hear].
func (m *Manager) announce(name string, at eventsourced.Position, since time.Time) {
	m.mu.Lock()
	watching := slices.Collect(maps.Keys(m.watching))
	m.mu.Unlock()
	for _, w := range watching {
		w.hear(name, at, since)
	}
}

// listen says whether a watcher is to hear of it.
func (m *Manager) listen(w *watcher, hears bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if hears {
		m.watching[w] = struct{}{}
	} else {
		delete(m.watching, w)
	}
}

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables readviews, readview_states, readview_operations, readview_rebuilds, readview_kept
// and others that begin with readview_, for [migrate.Run].
func Migrations() migrate.Component {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return migrate.Component{Name: "readview", Files: files}
}
