package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
)

const (
	// gather is how long changes are collected before a page is told, so that an import is
	// one piece of news.
	gather = 500 * time.Millisecond

	heartbeat   = 25 * time.Second
	writeWithin = 10 * time.Second
)

// changes tells an open page, by server-sent events, that something in its period has
// changed; the page then asks anew. Nothing is said about what it was.
func (h *handler) changes(w http.ResponseWriter, r *http.Request) {
	s, err := parseSearch(r.URL.Query(), h.today())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if h.config.Hub == nil {
		w.WriteHeader(http.StatusNoContent) // which tells the browser not to try again
		return
	}
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	subscription, err := h.config.Hub.Subscribe(r.Context(), client)
	if err != nil {
		status := http.StatusServiceUnavailable
		if errors.Is(err, live.ErrTooManyOfClient) {
			status = http.StatusTooManyRequests
		}
		w.Header().Set("Retry-After", "30")
		http.Error(w, http.StatusText(status), status)
		return
	}
	defer subscription.Close()
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	stream(w, subscription.Changes(), s)
}

// stream writes until the changes end or the client does not read any more.
func stream(w http.ResponseWriter, changes <-chan live.Change, s search) {
	control := http.NewResponseController(w)
	say := func(text string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(writeWithin))
		_, err := fmt.Fprint(w, text)
		return err == nil && control.Flush() == nil
	}
	if !say("retry: 5000\nevent: ready\ndata: {}\n\n") {
		return
	}
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	var due <-chan time.Time
	for {
		select {
		case change, open := <-changes:
			if !open {
				return
			}
			if due == nil && concerns(change, s) {
				due = time.After(gather)
			}
		case <-due:
			due = nil
			if !say("event: change\ndata: {}\n\n") {
				return
			}
		case <-alive.C:
			if !say(": \n\n") {
				return
			}
		}
	}
}

// concerns tells whether a change may show in the search.
func concerns(change live.Change, s search) bool {
	within := func(d *domain.EventDetails) bool {
		return d != nil && domain.Date(d.Date) >= s.From && domain.Date(d.Date) <= s.To
	}
	return change.EventID == "" || within(change.Before) || within(change.After)
}
