package metrics

import "time"

// SetRole has the node that reports lose that sooner. It is called before the first scrape.
func SetRole(m *Metrics, silence, unasked time.Duration) {
	m.reporter.role.silence, m.reporter.role.unasked = silence, unasked
}
