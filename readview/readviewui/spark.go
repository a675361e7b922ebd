package readviewui

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/readviewui/internal/trend"
)

// What is remembered: 15 minutes in 30 steps, of a thousand consumers. It is in the memory of this
// process, and no table: a page that is looked at must not write, and 30 points are there again after a quarter.
const (
	trendStep   = 30 * time.Second
	trendPoints = 30
	trendMost   = 1000
	lookAnyway  = 10 * time.Second // while nobody looks
)

// measured is how a consumer was in a step of time: its worst lag and its last rate.
type measured struct {
	Lag     time.Duration
	Rate    float64
	Waiting int64
	Running bool // it was live, or caught up
}

// trends is what is remembered of the last 15 minutes.
type trends struct {
	consumers *trend.Trend[consumer.ID, measured]
	appends   *trend.Trend[struct{}, pgstore.AppendTotals] // of this process
	counted   pgstore.AppendTotals                         // of them, so far; of the look
}

func newTrends() *trends {
	return &trends{
		consumers: trend.New[consumer.ID](trendStep, trendPoints, trendMost, func(earlier, later measured) measured {
			later.Lag = max(earlier.Lag, later.Lag)
			return later
		}),
		appends: trend.New[struct{}](trendStep, trendPoints, 1, func(earlier, later pgstore.AppendTotals) pgstore.AppendTotals {
			return later.Since(pgstore.AppendTotals{}.Since(earlier))
		}),
	}
}

// add remembers a look. Looks come one after the other.
func (t *trends) add(l *look, log inspected) {
	for _, s := range l.All {
		t.consumers.Add(l.At, s.ID(), measured{s.Lag, s.Rate, waiting(s), s.State == consumer.Live || s.State == consumer.CatchingUp})
	}
	if log != nil {
		now := log.Appends()
		t.appends.Add(l.At, struct{}{}, now.Since(t.counted))
		t.counted = now
	}
}

// Watch looks at how all consumers stand also while nobody asks for a page, until ctx ends: so there
// are 15 minutes of history when somebody comes. Without it there are those since somebody has looked.
func (h *Handler) Watch(ctx context.Context) {
	for {
		h.look(ctx)
		if !wait.Sleep(ctx, lookAnyway) {
			return
		}
	}
}

// spark is a small curve of the last 15 minutes: nobody reads a number from it.
type spark struct {
	Points string // of an SVG polyline, in 96 by 26
}

// spark returns the curve of a consumer's lag, nil when there are not two points of it. Its scale is its own, of a second at least.
func (h *Handler) spark(id consumer.ID) *spark {
	var values []float64
	for _, v := range h.trends.consumers.Of(id, time.Now()) {
		if v == nil {
			values = append(values, math.NaN())
		} else {
			values = append(values, v.Lag.Seconds())
		}
	}
	return curve(values, 1)
}

// gap is a step of time of which nothing is known.
var gap = math.NaN()

// curve draws values; gaps are passed over. The highest is floor at least.
func curve(values []float64, floor float64) *spark {
	points, _ := polyline(values, floor, 96, 24)
	if points == "" {
		return nil
	}
	return &spark{points}
}

// newChart draws values large, nil when there are not two.
func newChart(values []float64, floor float64, word func(float64) string) *chart {
	points, highest := polyline(values, floor, 360, 110)
	if points == "" {
		return nil
	}
	return &chart{Points: points, Top: word(highest), Half: word(highest / 2)}
}

// polyline returns the points of values in a box, "" when there are not two, and the value on top.
func polyline(values []float64, floor, width, height float64) (text string, highest float64) {
	highest = floor
	for _, v := range values {
		if v > highest {
			highest = v
		}
	}
	var points []string
	for i, v := range values {
		if !math.IsNaN(v) {
			points = append(points, fmt.Sprintf("%.1f,%.1f", float64(i)*width/float64(len(values)-1), height-v/highest*(height-2)))
		}
	}
	if len(points) < 2 {
		return "", highest
	}
	return strings.Join(points, " "), highest
}
