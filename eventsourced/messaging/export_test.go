package messaging

// Reserved returns the metadata keys that an event's own metadata can't use.
func Reserved() []string { return reserved }

// SetRelayFailpoint has f called at the points of a relay's way.
func SetRelayFailpoint(r *Relay, f func(point string)) { r.failpoint = f }

// SetReactorFailpoint has f called at the points of a reactor's way.
func SetReactorFailpoint(r *Reactor, f func(point string)) { r.failpoint = f }
