package readviewui

import (
	"fmt"
	"net/http"
	"time"
)

// How long a stream goes on: then it is asked for again, by those who still may.
const streamLife = 5 * time.Minute

// live tells an open page that something has changed, by server-sent events: the page then asks
// for itself. There is nothing in them that is not on the page.
func (h *Handler) live(w http.ResponseWriter, r *http.Request) {
	defer h.streams.Add(-1)
	if h.streams.Add(1) > int64(h.config.MaxStreams) {
		w.Header().Set("Retry-After", "30")
		h.refuse(w, r, problem{Status: http.StatusServiceUnavailable, Title: "There are too many open pages", Text: "Ask for this one again, or close some."})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	end := time.After(streamLife)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		l := h.look(r.Context())
		if r.Context().Err() != nil {
			return
		}
		at := ""
		if !l.At.IsZero() {
			at = h.clock(l.At)
		}
		_ = control.SetWriteDeadline(time.Now().Add(10 * time.Second)) // who does not read it is given up
		if _, err := fmt.Fprintf(w, "retry: 3000\nevent: look\ndata: {\"version\": %q, \"at\": %q, \"old\": %t}\n\n", l.Version, at, l.Old); err != nil {
			return
		}
		if err := control.Flush(); err != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-end:
			return
		case <-h.closing:
			return
		case <-r.Context().Done():
			return
		}
	}
}
