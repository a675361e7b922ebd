package readviewui

import (
	"context"
	"net/http"
)

// debts is the page of what is parked, of all.
type debts struct {
	Rows []row `json:"consumers"`
}

// DocumentTitle names the document.
func (d *debts) DocumentTitle() string { return "Parked" }

func (h *Handler) parked(ctx context.Context, _ *http.Request) (any, error) {
	d := &debts{}
	for _, s := range h.look(ctx).All {
		if s.Parked > 0 || s.Skipped > 0 {
			d.Rows = append(d.Rows, h.rowOf(s, false))
		}
	}
	return d, nil
}
