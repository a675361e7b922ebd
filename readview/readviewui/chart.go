package readviewui

import (
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// chart is a large curve of the last 15 minutes, with a sentence that says what it shows.
type chart struct {
	Points string // of an SVG polyline, in 360 by 110
	Top    string
	Half   string
	Says   string
	Mark   string // the x of the moment of failure, "" for none
	Marked string
	MarkX  string // of its words
}

// charts draws what is remembered of a consumer.
func (v *consumerView) charts(h *Handler, s consumer.Status) {
	var lags, rates []float64
	now := time.Now()
	known := h.trends.consumers.Of(s.ID(), now)
	for _, m := range known {
		if m == nil {
			lags, rates = append(lags, gap), append(rates, gap)
			continue
		}
		lags, rates = append(lags, m.Lag.Seconds()), append(rates, m.Rate)
	}
	v.Lag15 = newChart(lags, 1, func(x float64) string { return dur(time.Duration(x * float64(time.Second))) })
	if v.Lag15 == nil {
		return
	}
	lag, applied := "Now it is "+dur(s.Lag), "Now it is "+rate(s.Rate)+"."
	if v.Unknown() {
		lag, applied = "How it is now is not known", "How many it is now is not known."
	}
	v.Lag15.Says = "The lag of the last 15 minutes. " + lag + ", the most was " + v.Lag15.Top + "."
	if hasRate(s) {
		v.Rate15 = newChart(rates, 1, func(x float64) string { return fmt.Sprintf("%.3g/s", x) })
		v.Rate15.Says = "Events applied in a second, in the last 15 minutes. " + applied
	}
	if f := s.Failure; f != nil && s.State == consumer.Failed {
		if since := now.Sub(f.Since); since < trendStep*trendPoints {
			x := 360 * (1 - since.Seconds()/(trendStep*trendPoints).Seconds())
			v.Lag15.Mark, v.Lag15.Marked = fmt.Sprintf("%.1f", x), "failed "+f.Since.In(h.config.Location).Format("15:04")
			v.Lag15.MarkX = fmt.Sprintf("%.1f", max(0, x-82))
			v.Lag15.Says += " It failed at " + h.clock(f.Since) + "."
		}
	}
}
