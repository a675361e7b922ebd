package relay

// SetFailpoint has f called at the points of a relay's way.
func SetFailpoint(r *Relay, f func(point string)) { r.failpoint = f }
