package wait

import (
	"math/rand/v2"
	"time"
)

// BackOff says how long to wait after failures in a row: First after the first one, twice as
// long after each further one, at most Last.
type BackOff struct{ First, Last time.Duration }

// Limit returns that time, after so many failures in a row, from 1.
func (b BackOff) Limit(failures int) time.Duration {
	limit := b.First
	for ; failures > 1 && limit > 0 && limit < b.Last; failures-- {
		limit += min(limit, b.Last-limit) // which does not overflow
	}
	return max(min(limit, b.Last), 0)
}

// After returns a random time from half of it to all of it, so that those who failed
// together do not try again together.
func (b BackOff) After(failures int) time.Duration {
	limit := b.Limit(failures)
	return limit - rand.N(limit/2+1)
}
