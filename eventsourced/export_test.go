package eventsourced

// Streams returns of how many streams a repository keeps anything in memory.
func Streams[A any](r *Repository[A]) int {
	r.turns.mu.Lock()
	defer r.turns.mu.Unlock()
	return len(r.turns.streams)
}
