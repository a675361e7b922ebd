package readview

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// SetFailpoint has f called at the named points of applying and resetting:
// "locked", "applied" (after each event), "advanced", "committed", "reset" and
// "emptied", and of rebuilds, see TestRebuildKilledAtEveryPoint. Call it before the router runs.
func SetFailpoint(m *Manager, f func(point string)) {
	for _, r := range m.runners {
		r.failpoint = f
	}
}

// SetVerifyPause has projections rest for another time than [VerifyPause] after a verification on schedule. Call it before the router runs.
func SetVerifyPause(m *Manager, times int) { m.rest = time.Duration(times) }

// SetExecutable has a manager pass for one of another program.
func SetExecutable(m *Manager, name string) { m.program = func() string { return name } }

// Watching tells whether c asks the database at intervals.
func Watching(c *Consistency) bool { return c.watch.looks() }

// Waiting returns how many wait.
func Waiting(c *Consistency) int { return c.watch.count() }

// Looks and WaitingFor are the same of those who wait for positions in the manager's database.
func Looks(m *Manager) bool     { return m.watch.looks() }
func WaitingFor(m *Manager) int { return m.watch.count() }

// Pool returns the manager's.
func Pool(m *Manager) *pgxpool.Pool { return m.pool }

func (w *watcher) looks() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stop != nil
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting)
}
