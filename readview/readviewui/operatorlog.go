package readviewui

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// How many operations are shown, and looked through for those.
const (
	operationsShown   = 200
	operationsScanned = 2000 // of projections, and as many of the others
)

// operatorLog is the page of who has done what.
type operatorLog struct {
	Operations []operation `json:"operations"`
	Cut        bool        `json:"cut"`              // there are more, or may be
	Unread     string      `json:"unread,omitempty"` // why there are none of others than projections
	Text       string      `json:"-"`
}

// DocumentTitle names the document.
func (o *operatorLog) DocumentTitle() string { return "Operator log" }

type operation struct {
	ID        string            `json:"id"` // as readviews log prints it
	Kind      consumer.Kind     `json:"kind"`
	Name      string            `json:"name"`
	Command   string            `json:"command"`
	Actor     string            `json:"actor"`
	Arguments map[string]string `json:"arguments"`
	Outcome   consumer.Outcome  `json:"outcome"`
	Detail    string            `json:"detail,omitempty"`
	Began     time.Time         `json:"began"`
	Ended     time.Time         `json:"ended,omitzero"`
}

func (h *Handler) operations(ctx context.Context, r *http.Request) (any, error) {
	all, err := h.manager.Operations(ctx, readview.OperationsQuery{Limit: operationsScanned})
	if err != nil {
		return nil, err
	}
	o := &operatorLog{Text: strings.TrimSpace(r.URL.Query().Get("q")), Cut: len(all) == operationsScanned}
	o.Text = strings.ToValidUTF8(o.Text[:min(len(o.Text), maxText)], "")
	if h.config.Consumers != nil {
		others, err := h.config.Consumers.Operations(ctx, operationsScanned)
		if err != nil {
			o.Unread = inShort(err)
		}
		o.Cut = o.Cut || len(others) == operationsScanned
		all = append(all, others...)
	}
	slices.SortStableFunc(all, func(a, b consumer.Operation) int { return b.Began.Compare(a.Began) })
	wanted := strings.ToLower(o.Text)
	for _, op := range all {
		if !strings.Contains(strings.ToLower(op.Name+" "+op.Command+" "+op.Actor+" "+string(op.Kind)+" "+string(op.Outcome)), wanted) {
			continue
		}
		if len(o.Operations) == operationsShown {
			o.Cut = true
			break
		}
		o.Operations = append(o.Operations, h.operationOf(op))
	}
	return o, nil
}
