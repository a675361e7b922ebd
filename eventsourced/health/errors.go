package health

import "errors"

// ErrDraining is why a node is not ready that is about to end.
var ErrDraining = errors.New("health: this node is about to end")
