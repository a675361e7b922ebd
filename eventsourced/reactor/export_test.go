package reactor

// SetFailpoint has f called at the points of a reactor's way.
func SetFailpoint(r *Reactor, f func(point string)) { r.failpoint = f }
