package operate

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/operate/terminal"
	"github.com/dancefinder/eventsourcing/readview"
)

// rebuildReport tells how far rebuilds are: in one line of a terminal, or in one after the other.
type rebuildReport struct {
	w   io.Writer
	bar bool

	mu    sync.Mutex
	shown map[string]readview.RebuildProgress
	at    map[string]time.Time
	wide  int // the line that is on the terminal
}

// reportEvery is how often there is a line where none can be replaced.
const reportEvery = 5 * time.Second

func (r *rebuildReport) tell(p readview.RebuildProgress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shown == nil {
		r.shown, r.at = map[string]readview.RebuildProgress{}, map[string]time.Time{}
	}
	before := r.shown[p.Projection]
	r.shown[p.Projection] = p
	line := terminal.Text(p.Projection + ": " + describeProgress(p))
	if r.bar {
		_, _ = fmt.Fprintf(terminal.Raw(r.w), "\r%s%s", line, strings.Repeat(" ", max(0, r.wide-len(line))))
		r.wide = len(line)
		return
	}
	if before.Phase != p.Phase || before.Waits != p.Waits || time.Since(r.at[p.Projection]) >= reportEvery {
		r.at[p.Projection] = time.Now()
		_, _ = fmt.Fprintln(r.w, line)
	}
}

// end makes room for other lines.
func (r *rebuildReport) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wide > 0 {
		_, _ = fmt.Fprintln(r.w)
		r.wide = 0
	}
}

// describeProgress is the progress in a line.
func describeProgress(p readview.RebuildProgress) string {
	text := string(p.Phase)
	if p.Waits != "" {
		text += " for " + oneLine(p.Waits) // which has a query
	}
	text += fmt.Sprintf(", %d", p.Events)
	if p.Total >= 0 {
		text += fmt.Sprintf(" of %d", p.Total)
		if p.Total > 0 {
			const wide = 20
			done := int(wide * p.Events / p.Total)
			text = "[" + strings.Repeat("#", done) + strings.Repeat(".", wide-done) + "] " + text
		}
	}
	text += " events"
	if p.Phase == readview.PhaseReplaying && p.Rate > 0 {
		text += fmt.Sprintf(", %.0f a second", p.Rate)
		if p.Left >= 0 {
			text += fmt.Sprintf(", %s left", p.Left.Round(time.Second))
		}
	}
	return text
}
