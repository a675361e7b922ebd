package readviewui

import (
	"context"
	"net/http"
	"time"
)

// debts is the page of what is parked, of all.
type debts struct {
	Rows    []row     `json:"consumers"`
	At      time.Time `json:"at,omitzero"`       // of what is known
	Old     bool      `json:"old"`               // nothing is known of now
	Problem string    `json:"problem,omitempty"` // why it is old, or lacks something
}

// DocumentTitle names the document.
func (d *debts) DocumentTitle() string { return "Parked" }

func (h *Handler) parked(ctx context.Context, _ *http.Request) (any, error) {
	l := h.look(ctx)
	d := &debts{Rows: []row{}, At: l.At, Old: l.Old, Problem: l.Says()}
	for _, s := range l.All {
		if s.Parked > 0 || s.Skipped > 0 {
			d.Rows = append(d.Rows, h.rowOf(l, s, false))
		}
	}
	return d, nil
}
