package live

import (
	"context"
	"slices"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// height is how far a projection has been seen.
type height struct {
	highest eventsourced.Position
	short   bool // it is below that, or stands still
}

// watch tells when a read view is filled anew: once when that is noticed and once
// when it is complete again. Nobody else would, as nothing happens in the log.
func (h *Hub) watch(ctx context.Context) error {
	if h.Subscribers() == 0 {
		return nil
	}
	all, err := h.projections.Status(ctx)
	if err != nil {
		return err
	}
	refreshed := false
	for _, status := range all {
		if !slices.Contains(shownBy, status.Name) {
			continue
		}
		was, seen := h.heights[status.Name]
		if !seen && status.Position == 0 && status.Behind > 0 {
			was.highest = status.Head // it was reset, perhaps when a page was drawn already that subscribed only now
		}
		now := height{highest: max(was.highest, status.Position)}
		stopped := status.State == consumer.Failed || status.State == consumer.Paused
		now.short = status.Position < was.highest || stopped
		refreshed = refreshed || (now.short != was.short && !(stopped && !was.short))
		h.heights[status.Name] = now
	}
	if refreshed {
		h.send(Change{Kind: Refreshed})
	}
	return nil
}
