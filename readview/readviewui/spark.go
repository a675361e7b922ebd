package readviewui

import (
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// spark is a small curve of the lag of the last 15 minutes: nobody reads a number from it.
type spark struct {
	Points string // of an SVG polyline, in 96 by 26
}

// spark returns the curve of a consumer, nil when nothing is known.
func (h *Handler) spark(consumer.ID) *spark { return nil }
