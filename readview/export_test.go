package readview

// SetFailpoint has f called at the named points of applying and resetting:
// "locked", "applied" (after each event), "advanced", "committed", "reset" and
// "emptied", and of rebuilds, see TestRebuildKilledAtEveryPoint. Call it before the router runs.
func SetFailpoint(m *Manager, f func(point string)) {
	for _, r := range m.runners {
		r.failpoint = f
	}
}

// Watching tells whether c asks the database at intervals.
func Watching(c *Consistency) bool {
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	return c.watch.stop != nil
}

// Waiting returns how many wait.
func Waiting(c *Consistency) int {
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	return len(c.watch.waiting)
}
