package readviewui

import (
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// lastPages is what the last pages of a projection took here.
type lastPages struct {
	Node  string      `json:"node"` // this program's
	Other string      `json:"-"`    // the node that applies it now, when that is another one
	Pages []pageTaken `json:"pages"`
}

type pageTaken struct {
	At     time.Time     `json:"time"`
	Events int           `json:"events"`
	Took   time.Duration `json:"-"`
	TookMS float64       `json:"took_ms"`
	Rate   float64       `json:"rate"` // events a second
	Failed bool          `json:"failed"`
}

func (h *Handler) lastPages(s consumer.Status) *lastPages {
	known, err := h.manager.LastPages(s.Name)
	if err != nil {
		return nil
	}
	p := &lastPages{Node: known.Node, Pages: []pageTaken{}}
	if s.Node != known.Node {
		p.Other = s.Node
	}
	for _, page := range known.Pages {
		taken := pageTaken{At: page.Began.UTC(), Events: page.Events, Took: page.Took, TookMS: float64(page.Took.Microseconds()) / 1000, Failed: page.Failed}
		if !page.Failed {
			taken.Rate = float64(page.Events) / max(page.Took, time.Microsecond).Seconds()
		}
		p.Pages = append(p.Pages, taken)
	}
	return p
}
