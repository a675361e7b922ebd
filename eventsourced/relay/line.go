package relay

import (
	"cmp"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// window is the answer to a request, under way: what is collected of its next page.
type window struct {
	request  HistoryRequest
	received time.Time // last

	after   eventsourced.Position  // of the page
	scanned eventsourced.Position  // the log is read up to here
	events  []json.RawMessage      // of the page
	first   *eventsourced.Recorded // the page begins with
	size    int                    // of its message, about
	limit   int                    // events of the log to read next

	leftEvents, leftBytes int // of the window, without the page

	sent     time.Time // the last page, or the request
	failures int       // in a row
	earliest time.Time // the next try
}

// newWindow returns that of a request, within what a relay sends.
func (c Config) newWindow(request HistoryRequest, now time.Time) *window {
	w := &window{
		request: request, received: now, sent: now, after: request.After, scanned: request.After, limit: c.PageEvents,
		leftEvents: MaxWindow * c.PageEvents, leftBytes: MaxWindow * c.PageBytes,
	}
	switch {
	case request.Events > 0 || request.Bytes > 0:
		w.leftEvents = min(w.leftEvents, cmp.Or(request.Events, w.leftEvents))
		w.leftBytes = min(w.leftBytes, cmp.Or(request.Bytes, w.leftBytes))
	default:
		w.leftEvents, w.leftBytes = c.PageEvents, 1
	}
	return w
}

// line is who waits for history, each with one window, in turn.
type line struct {
	mu       sync.Mutex
	waiting  []*window
	answered []answered
	ended    []*window // those that have all but the last page, which the follower sends
	quiet    time.Time // before that nobody is served: older requests may be replaced
	since    time.Time // the first request that came after [line.gather]
	gathers  bool
	news     chan struct{} // of capacity 1
}

// answered is a request whose answer has gone out.
type answered struct {
	asker, topic, id string
	until            time.Time // a repetition may have crossed it
}

func newLine() *line { return &line{gathers: true, news: make(chan struct{}, 1)} }

// Times of requests that have waited, perhaps for long: the newest of each asker counts.
const (
	gatherPause = 100 * time.Millisecond // without another one
	gatherLimit = 3 * time.Second
)

// gather has the requests that come next wait for newer ones.
func (l *line) gather() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gathers, l.since = true, time.Time{}
}

// put takes a request into the line, in the place of the same asker's, if it is not a repetition.
func (l *line) put(w *window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.repeated(w) {
		return
	}
	if l.gathers {
		if l.since.IsZero() {
			l.since = w.received
		}
		l.quiet = w.received.Add(gatherPause)
		l.gathers = l.quiet.Sub(l.since) < gatherLimit
	}
	same := func(other *window) bool {
		return other.request.Asker == w.request.Asker && other.request.Topic == w.request.Topic
	}
	l.ended = slices.DeleteFunc(l.ended, same)
	if i := slices.IndexFunc(l.waiting, same); i >= 0 {
		l.waiting[i] = w
	} else {
		l.waiting = append(l.waiting, w)
	}
	l.wake()
}

// repeated tells that a request is answered already, or just was. The caller holds the mutex.
func (l *line) repeated(w *window) bool {
	if w.request.ID == "" {
		return false
	}
	for _, other := range slices.Concat(l.waiting, l.ended) {
		if other.request.Asker == w.request.Asker && other.request.Topic == w.request.Topic && other.request.ID == w.request.ID {
			other.received = w.received
			return true
		}
	}
	l.answered = slices.DeleteFunc(l.answered, func(a answered) bool { return w.received.After(a.until) })
	return slices.ContainsFunc(l.answered, func(a answered) bool {
		return a.asker == w.request.Asker && a.topic == w.request.Topic && a.id == w.request.ID
	})
}

func (l *line) wake() {
	select {
	case l.news <- struct{}{}:
	default:
	}
}

// next returns whose turn it is, who comes last then, or how long to wait at most for one.
func (l *line) next(now time.Time) (turn *window, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait = time.Minute
	if left := l.quiet.Sub(now); left > 0 && len(l.waiting) > 0 {
		return nil, left
	}
	l.gathers = l.gathers && l.since.IsZero()
	l.waiting = slices.DeleteFunc(l.waiting, func(w *window) bool { return w.expired(now) })
	for i, w := range l.waiting {
		if left := w.earliest.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		l.waiting = append(slices.Delete(l.waiting, i, i+1), w)
		return w, 0
	}
	return nil, wait
}

// expired tells that nobody waits for an answer any longer.
func (w *window) expired(now time.Time) bool {
	return w.request.Expires > 0 && now.Sub(w.sent) > w.request.Expires && now.Sub(w.received) > w.request.Expires
}

// done takes a window out whose last page has gone out.
func (l *line) done(w *window, now time.Time) {
	l.remove(w)
	if w.request.ID == "" || w.request.Expires == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered = append(l.answered, answered{w.request.Asker, w.request.Topic, w.request.ID, now.Add(w.request.Expires)})
}

// remove takes a window out, unless it was replaced.
func (l *line) remove(w *window) {
	l.mu.Lock()
	defer l.mu.Unlock()
	is := func(other *window) bool { return other == w }
	l.waiting, l.ended = slices.DeleteFunc(l.waiting, is), slices.DeleteFunc(l.ended, is)
}

// end leaves the rest of a window to the follower, and again to the line if it turns out to be
// longer; unless it was replaced.
func (l *line) end(w *window, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, to := &l.waiting, &l.ended
	if !ended {
		from, to = to, from
	}
	if i := slices.Index(*from, w); i >= 0 {
		*from = slices.Delete(*from, i, i+1)
		*to = append(*to, w)
	}
	if !ended {
		l.wake()
	}
}

// lasts returns the windows that wait for the follower.
func (l *line) lasts() []*window {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.ended)
}
