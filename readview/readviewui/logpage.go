package readviewui

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// logPage is the page of the log's figures.
type logPage struct {
	pgstore.Figures
	Rate      float64       `json:"events_per_second"` // of all processes, over the last minute
	Bytes     int64         `json:"bytes"`
	Appends   int64         `json:"appends_here"` // of this process, in the last 15 minutes
	Conflicts int64         `json:"conflicts_here"`
	Failed    int64         `json:"failed_here"`
	Group     float64       `json:"group_size_here"`
	WaitP50   time.Duration `json:"lock_wait_p50_here_ns"`
	WaitP99   time.Duration `json:"lock_wait_p99_here_ns"`
	Spark     *spark        `json:"-"`
	Largest   int64         `json:"-"`
	Old       bool          `json:"transaction_is_old"`
	Done      string        `json:"-"`                 // what somebody has just done
	End       *ending       `json:"-"`                 // the way to end that transaction's session
	Trouble   []trouble     `json:"trouble,omitempty"` // who is in the way of appends, and why they fail
	Unread    string        `json:"unread,omitempty"`  // why there are no figures, of a log that somebody has locked
}

// DocumentTitle names the document.
func (l *logPage) DocumentTitle() string { return "Log" }

func (h *Handler) logPage(ctx context.Context, r *http.Request) (any, error) {
	if h.inspector == nil {
		return nil, noLog
	}
	trouble, done := h.inTheWay(h.look(ctx)), doneWord(Action(r.URL.Query().Get("done"))) // the look is remembered
	figures, err := h.inspector.Figures(ctx)
	switch {
	case err != nil && len(trouble) > 0:
		return &logPage{Done: done, Trouble: trouble, Unread: inShort(err)}, nil
	case err != nil:
		return nil, tooLong(err)
	}
	figures.Holder, figures.Oldest = h.holder(figures.Holder), h.holder(figures.Oldest)
	l := &logPage{Figures: figures, Rate: float64(figures.Recent) / pgstore.RecentTime.Seconds(), Old: figures.Oldest != nil && figures.Oldest.Age > pgstore.OldTransaction,
		Done: done, Trouble: trouble, End: endLog(figures.Oldest)}
	for _, relation := range figures.Relations {
		l.Bytes += relation.Bytes
		l.Largest = max(l.Largest, relation.Bytes)
	}
	all, rates := h.appended()
	l.Appends, l.Conflicts, l.Failed, l.Group = all.Appends, all.Conflicts, all.Failed, all.GroupSize()
	l.WaitP50, l.WaitP99, l.Spark = all.LockWait(0.5), all.LockWait(0.99), curve(rates, 1)
	return l, nil
}

// appended returns what this process has appended in the last 15 minutes, as far as it is remembered, and how many events a second in each step.
func (h *Handler) appended() (all pgstore.AppendTotals, rates []float64) {
	for _, totals := range h.trends.appends.Of(struct{}{}, time.Now()) {
		if totals == nil {
			rates = append(rates, math.NaN())
			continue
		}
		all = totals.Since(pgstore.AppendTotals{}.Since(all))
		rates = append(rates, float64(totals.Events)/trendStep.Seconds())
	}
	return all, rates
}
