package wait

import (
	"math/rand/v2"
	"time"
)

// BackOff says how long to wait after failures in a row: First after the first one, twice as
// long after each further one, at most Last.
type BackOff struct{ First, Last time.Duration }

// After returns the wait after so many failures in a row, from 1: a random time from half of
// that to all of it, so that those who failed together do not try again together.
func (b BackOff) After(failures int) time.Duration {
	limit := b.First
	for ; failures > 1 && limit < b.Last; failures-- {
		limit *= 2
	}
	limit = max(min(limit, b.Last), 0)
	return limit - rand.N(limit/2+1)
}
