package geocoding

// What the tests of the parsers need.
var (
	Decode     = decode
	RetryAfter = retryAfter
	Clean      = line
)

// MaxPause is the longest pause that a provider can want.
const MaxPause = maxPause

// Searches returns what Nominatim is searched for.
func (q Query) Searches() []string { return q.searches() }

// Backoff returns a delay after an attempt, with the defaults where c has 0.
var Backoff = func(c WorkerConfig, attempt int) int64 { return int64(c.withDefaults().backoff(attempt)) }
