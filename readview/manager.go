package readview

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
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
	store  PositionStore
	config Config
	node   string // unique to this manager

	mu      sync.Mutex
	names   []string // in the order of Add
	runners map[string]*runner
	changed chan struct{}                   // closed and replaced whenever a position or a state changes here
	life    atomic.Pointer[context.Context] // of the router's Run, once a projection was subscribed
}

// NewManager returns a manager of projections of log, whose read views are in
// the database that pool reaches, in the first schema of its search path, beside
// the tables that [Migrations] makes. log may be nil, for projections whose events come
// by messages only, see [Manager.AddRemote]. It sends nothing yet. While the router runs,
// each projection uses two connections of the pool, the log's aside.
//
// The error names every problem: a router or a pool that is nil, and what is wrong with
// the config.
func NewManager(router *message.Router, log eventsourced.Log, pool *pgxpool.Pool, config Config) (*Manager, error) {
	problems := []error{config.validate()}
	if router == nil {
		problems = append(problems, errors.New("readview.NewManager: the router is nil"))
	}
	if pool == nil {
		problems = append(problems, errors.New("readview.NewManager: the pool is nil"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	tables := &tables{pool: pool}
	return &Manager{
		router:  router,
		log:     log,
		pool:    pool,
		states:  states{tables},
		store:   positions{tables: tables, idleTimeout: config.IdleTimeout},
		config:  config,
		node:    config.Node + "/" + eventsourced.NewEventID().String()[32:],
		runners: map[string]*runner{},
		changed: make(chan struct{}),
	}, nil
}

// Add registers projections with the router. When the router runs already they start at
// once, and end with the manager's others; the first ones of a manager are better
// added before, or started with the router's RunHandlers: otherwise they start a second
// later, and end only when the router is closed. All or none are added; the
// error names every problem. That a projection handles events which it has
// passed over shows later, as its failure: see [ErrNewEvents].
func (m *Manager) Add(projections ...Projection) error {
	if m.log == nil {
		return errors.New("readview: the manager has no log, only AddRemote is possible")
	}
	return m.add(m.log.Registry(), projections, func(d *definition) *runner {
		a := newApplier(m, d, m.log.Registry(), m.log)
		return &runner{a, newLogSource(a), d.Name}
	})
}

// add checks projections and has each of them registered with the router.
func (m *Manager) add(registry *eventsourced.Registry, projections []Projection, make func(*definition) *runner) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var added []*runner
	var problems []error
	if m.router.IsClosed() {
		problems = append(problems, errors.New("readview: the router is closed"))
	}
	var taken map[string]message.HandlerFunc
	if !m.router.IsRunning() { // while it runs, they may change at any time
		taken = m.router.Handlers()
	}
	for _, p := range projections {
		d, err := define(p, registry)
		switch {
		case err != nil:
			problems = append(problems, err)
		case m.runners[p.Name] != nil || slices.ContainsFunc(added, func(r *runner) bool { return r.Name == p.Name }):
			problems = append(problems, fmt.Errorf("projection %q: added twice", p.Name))
		case taken[handlerName(p.Name)] != nil:
			problems = append(problems, fmt.Errorf("projection %q: the router has a handler %s already, of another manager perhaps", p.Name, handlerName(p.Name)))
		default:
			added = append(added, make(d))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	for _, r := range added {
		if err := m.register(r); err != nil {
			return err
		}
	}
	if m.router.IsRunning() && len(added) > 0 {
		return m.startLate(added)
	}
	return nil
}

// register has the router take a projection. It panics when it has one of that name.
func (m *Manager) register(r *runner) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("projection %q: %v", r.Name, value)
		}
	}()
	m.router.AddConsumerHandler(handlerName(r.Name), r.topic, r.source, r.source.handle)
	m.names, m.runners[r.Name] = append(m.names, r.Name), r
	return nil
}

// startGrace is how long the caller of Add has for RunHandlers.
const startGrace = time.Second

// startLate starts projections that were added to a router that runs. Left alone, they
// would never start, and the router would wait for their end for ever.
func (m *Manager) startLate(added []*runner) error {
	if life := m.life.Load(); life != nil && (*life).Err() == nil {
		if err := m.router.RunHandlers(*life); err != nil {
			return fmt.Errorf("readview: start projections on a router that runs: %w", err)
		}
		return nil
	}
	time.AfterFunc(startGrace, func() {
		for _, r := range added {
			if r.starts() || m.router.IsClosed() {
				continue
			}
			m.config.Logger.Warn("projection was added to a router that runs, without RunHandlers: it ends only when the router is closed", "projection", r.Name)
			if err := m.router.RunHandlers(context.Background()); err != nil {
				m.config.Logger.Error("projection not started", "projection", r.Name, "error", err)
			}
		}
	})
	return nil
}

// handlerName is the name of a projection's handler on the router.
func handlerName(projection string) string { return "readview." + projection }

// Names returns the names of the projections in the order of their registration.
func (m *Manager) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.names)
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
	if r.Reset == nil {
		return fmt.Errorf("reset %s: %w", name, ErrNoReset)
	}
	if err := r.reset(ctx); err != nil {
		return fmt.Errorf("reset %s: %w", name, err)
	}
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
	if err := m.states.setStatus(ctx, r.definition, status); err != nil {
		return fmt.Errorf("%s %s: %w", what, name, explain(err))
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

// leaseTime is for how long a lease holds. The one who waits for its end and then
// takes over has done so within the poll interval.
func (m *Manager) leaseTime() time.Duration { return m.config.PollInterval * 4 / 5 }

// announce wakes those who wait for a position.
func (m *Manager) announce() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Manager) changes() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations are those of the tables readviews and readview_states, for [migrate.Run].
func Migrations() migrate.Component {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	return migrate.Component{Name: "readview", Files: files}
}
