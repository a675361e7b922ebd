package readviewui

import (
	"context"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Remember has the page remember how consumers were, as after a look.
func (h *Handler) Remember(at time.Time, all ...consumer.Status) {
	h.trends.add(&look{At: at, All: all}, nil)
}

// Says is what the overview says of consumers that stand so: its title, and of each in trouble its state, what is wrong, what to do next, and who notices.
func (h *Handler) Says(ctx context.Context, all ...consumer.Status) (title string, said []string) {
	counts := map[string]int{}
	for i, s := range all {
		s = whoeverRuns(s)
		all[i] = s
		counts[standingOf(s).Class]++
	}
	troubles, _ := h.troubles(ctx, all, false)
	for _, t := range troubles {
		said = append(said, t.State+": "+t.Name+" "+t.Says+". "+t.Next+" "+t.Notices)
	}
	return h.titleOf(all, counts, nil), said
}

// Left is for how long a consumer that stands so is said to have to go on.
func (h *Handler) Left(s consumer.Status) time.Duration {
	h.trends = newTrends()
	return h.rowOf(&look{}, s, false).Left
}
