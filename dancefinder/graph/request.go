package graph

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// request is what is known of the request that is being answered.
type request struct {
	id      string
	method  string
	stream  bool // it is answered by server-sent events
	client  string
	header  http.Header
	answer  http.Header
	expires *time.Timer // ends the request

	working sync.WaitGroup // goroutines of subscriptions

	mu       sync.Mutex
	status   int                   // of the answer, when it is not the usual one
	position eventsourced.Position // of the last mutation; 0 when there was none
	waited   *readview.ConsistencyResult
	failure  error // that ended the subscription, until it is told
}

// errTime is why a request that took too long was ended.
var errTime = errors.New("the request took too long")

type requestKey struct{}

// newRequest returns the context of a request, and what ends it.
func newRequest(w http.ResponseWriter, r *http.Request, config Config) (context.Context, *request, func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	q := &request{
		id: rand.Text()[:16], method: r.Method, client: config.ClientFunc(r), header: r.Header, answer: w.Header(),
		expires: time.AfterFunc(config.Limits.Time, func() { cancel(errTime) }),
	}
	ctx = context.WithValue(ctx, requestKey{}, q)
	return ctx, q, func() {
		q.expires.Stop()
		cancel(nil)
		q.working.Wait()
	}
}

// requestOf returns the request of a context that [newRequest] has made.
func requestOf(ctx context.Context) *request {
	return ctx.Value(requestKey{}).(*request)
}

// wrote takes down where a mutation has left the log.
func (q *request) wrote(position eventsourced.Position) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.position = max(q.position, position)
}

// waitedFor takes down how a wait ended. Of several it is satisfied if all are.
func (q *request) waitedFor(result readview.ConsistencyResult) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waited == nil {
		q.waited = &result
		return
	}
	q.waited.Satisfied = q.waited.Satisfied && result.Satisfied
	last := map[string]int{}
	for i, p := range q.waited.Projections {
		last[p.Name] = i
	}
	for _, p := range result.Projections {
		if i, known := last[p.Name]; known {
			q.waited.Projections[i] = p
			continue
		}
		q.waited.Projections = append(q.waited.Projections, p)
	}
}

// fail says why the subscription ends.
func (q *request) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.failure = err
}

// failed returns why the subscription has ended, once.
func (q *request) failed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.failure
	q.failure = nil
	return err
}

// refuse sets the status of the answer.
func (q *request) refuse(status int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.status = status
}

func (q *request) refusal() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.status
}
