package operate

import (
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Check is what a status with --check finds wrong, with the limits that it has by default.
func Check(all ...consumer.Status) error { return limits{behind: 1000, lag: time.Minute}.check(all) }

// Advice is what a status says to do.
func Advice(c *Commands, s consumer.Status) string { return c.advice(s) }
