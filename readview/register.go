package readview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Add registers projections with the router. When the router runs already they start at
// once, and end with the manager's others; the first ones of a manager are better
// added before, or started with the router's RunHandlers: otherwise they start a second
// later, and end only when the router is closed. All or none are added; the
// error names every problem. That a projection handles events which it has
// passed over shows later, as its failure: see [ErrNewEvents].
func (m *Manager) Add(projections ...Projection) error {
	if m.log == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		_, err := m.check(nil, projections)
		return errors.Join(errors.New("readview: the manager has no log, only AddRemote is possible"), err)
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
	checked, err := m.check(registry, projections)
	if err != nil {
		return err
	}
	var added []*runner
	for _, d := range checked {
		r := make(d)
		if err := m.register(r); err != nil {
			return err
		}
		added = append(added, r)
	}
	if m.router.IsRunning() && len(added) > 0 {
		return m.startLate(added)
	}
	return nil
}

// check checks projections, by themselves and beside those that the manager has. The
// caller holds the mutex.
func (m *Manager) check(registry *eventsourced.Registry, projections []Projection) (checked []*definition, err error) {
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
		problems = append(problems, err)
		switch {
		case p.Name == "": // which is said
		case m.runners[p.Name] != nil || slices.ContainsFunc(checked, func(d *definition) bool { return d.Name == p.Name }):
			problems = append(problems, fmt.Errorf("projection %q: added twice", p.Name))
			continue
		case taken[handlerName(p.Name)] != nil:
			problems = append(problems, fmt.Errorf("projection %q: the router has a handler %s already, of another manager perhaps", p.Name, handlerName(p.Name)))
			continue
		}
		for _, r := range m.runners {
			problems = append(problems, d.overlap(r.definition))
		}
		for _, other := range checked {
			problems = append(problems, d.overlap(other))
		}
		checked = append(checked, d)
	}
	return checked, errors.Join(problems...)
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

// tablesOfOthers returns the tables of the projections but one, and whose each is.
func (m *Manager) tablesOfOthers(name string) map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	owners := map[string]string{}
	for _, r := range m.runners {
		if r.Name == name {
			continue
		}
		for _, table := range r.Tables {
			owners[table] = r.Name
		}
	}
	return owners
}

// missingTables returns [ErrNoTable] as long as the database lacks one of a projection's.
func (m *Manager) missingTables(ctx context.Context, d *definition) error {
	if len(d.Tables) == 0 {
		return nil
	}
	db := stdlib.OpenDBFromPool(m.pool)
	defer func() { _ = db.Close() }()
	return missingTables(ctx, db, d.Name, d.Tables)
}
