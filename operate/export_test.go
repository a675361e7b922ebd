package operate

import "github.com/dancefinder/eventsourcing/eventsourced/consumer"

// Advice is what a status says to do.
func Advice(c *Commands, s consumer.Status) string { return c.advice(s) }
