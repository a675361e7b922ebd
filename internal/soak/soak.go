// Package soak says how often a test repeats what it leaves to chance: a few times in CI,
// often in make soak.
package soak

import (
	"os"
	"time"
)

// On tells whether this is make soak.
var On = os.Getenv("SOAK") != ""

// Times returns how often.
func Times(ci, soak int) int {
	if On {
		return soak
	}
	return ci
}

// For returns for how long.
func For(ci, soak time.Duration) time.Duration {
	if On {
		return soak
	}
	return ci
}
