package identity

import "time"

// SetClock has the gate take the time from now.
func SetClock(g *Gate, now func() time.Time) {
	if g.sessions != nil {
		g.sessions.now = now
	}
	if g.provider == nil {
		return
	}
	g.provider.now = now
	if g.provider.found != nil {
		g.provider.found.keys.now = now
	}
}

// LocalPath returns where a login leads to.
var LocalPath = localPath

// RolesIn returns the roles at a path of claims.
var RolesIn = rolesIn
