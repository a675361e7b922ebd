package terminal

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows how far long work is, with its rate and the time left: as a bar
// on a terminal, otherwise as a line every few seconds and one at the end.
type Progress struct {
	w        io.Writer
	what     string
	unit     string
	total    int64 // -1 if it is not known
	current  int64
	started  time.Time
	reported time.Time
	bar      *progressbar.ProgressBar // nil without a terminal
}

const reportInterval = 5 * time.Second

// NewProgress returns one that is printed to w: so much of total of a unit is done of what. total is
// -1 when it is not known.
func NewProgress(w io.Writer, what, unit string, total int64) *Progress {
	p := &Progress{w: w, what: what, unit: unit, total: total, started: time.Now(), reported: time.Now()}
	if Is(w) {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(Raw(w)),
			progressbar.OptionSetDescription(fmt.Sprintf("%-10s", what)),
			progressbar.OptionSetItsString(unit),
			progressbar.OptionShowIts(),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionFullWidth(),
		)
	}
	return p
}

// Set says how much is done.
func (p *Progress) Set(current int64) {
	p.current = current
	if p.bar != nil {
		_ = p.bar.Set64(current)
		return
	}
	if time.Since(p.reported) >= reportInterval {
		p.report()
	}
}

// Write counts bytes that are read, for an [io.TeeReader].
func (p *Progress) Write(b []byte) (int, error) {
	p.Set(p.current + int64(len(b)))
	return len(b), nil
}

// Interrupt makes room for another line.
func (p *Progress) Interrupt() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// Done shows the end.
func (p *Progress) Done() {
	if p.bar != nil {
		_ = p.bar.Exit()
		_, _ = fmt.Fprintln(p.w)
		return
	}
	p.report()
}

func (p *Progress) report() {
	p.reported = time.Now()
	elapsed := time.Since(p.started)
	rate := float64(p.current) / elapsed.Seconds()
	line := fmt.Sprintf("%s: %d", p.what, p.current)
	if p.total > 0 {
		line += fmt.Sprintf(" of %d", p.total)
	}
	line += fmt.Sprintf(" %s in %s, %.0f a second", p.unit, elapsed.Round(100*time.Millisecond), rate)
	if left := p.total - p.current; left > 0 && rate > 0 {
		line += fmt.Sprintf(", %s left", time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second))
	}
	_, _ = fmt.Fprintln(p.w, line)
}
