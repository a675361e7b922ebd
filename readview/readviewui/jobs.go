package readviewui

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

const (
	// soon is how long a request waits for what may take long, so that what is refused at once is
	// said at once.
	soon = 700 * time.Millisecond
	// maxJobs is how many of those may be under way at the same time: each uses connections of the pool.
	maxJobs = 4
	// maxResults is how many consumers have results that are remembered.
	maxResults = 200
)

// results are what came of what was asked for about a consumer, in the memory of this process: rows may be
// anybody's secrets, and are not stored.
type results struct {
	Rehearsal *readview.Rehearsal
	Rehearsed time.Time

	Explained  *readview.Explained
	Verified   *readview.Verified
	VerifiedAt time.Time
	Retried    *readview.RetryResult
	RetriedAt  time.Time

	Running Action // of this process, "" for none
	Began   time.Time
	Ended   time.Time
	Last    Action // that has ended last
	Problem string // what was wrong with it; "" for nothing
}

// jobs are what takes long, and what came of it. One for each consumer is under way at a time.
type jobs struct {
	mu      sync.Mutex
	results map[consumer.ID]*results
	running int
	group   sync.WaitGroup
}

// of returns what is known about a consumer, as a copy.
func (j *jobs) of(id consumer.ID) results {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r := j.results[id]; r != nil {
		return *r
	}
	return results{}
}

// change changes what is known about a consumer.
func (j *jobs) change(id consumer.ID, change func(*results)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.changeLocked(id, change)
}

func (j *jobs) changeLocked(id consumer.ID, change func(*results)) {
	if j.results == nil {
		j.results = map[consumer.ID]*results{}
	}
	r := j.results[id]
	if r == nil {
		for old, other := range j.results { // any one that nobody is at
			if len(j.results) >= maxResults && other.Running == "" {
				delete(j.results, old)
			}
		}
		r = &results{}
		j.results[id] = r
	}
	change(r)
}

// errUnderWay is no error: what was begun goes on.
var errUnderWay = errors.New("under way")

// start begins something that takes long, and waits a moment for its end, or returns errUnderWay. It goes on when ctx ends,
// until the handler is closed.
func (h *Handler) start(ctx context.Context, id consumer.ID, action Action, do func(context.Context) error) error {
	j := &h.jobs
	j.mu.Lock()
	if r := j.results[id]; r != nil && r.Running != "" {
		j.mu.Unlock()
		return problem{Status: 409, Title: "Something is under way already", Text: "The " + string(r.Running) + " of " + id.String() + ", which this process began at " + h.clock(r.Began) + ". Nothing has changed."}
	}
	if j.running >= maxJobs {
		j.mu.Unlock()
		return problem{Status: 409, Title: "Too much is under way", Text: "Wait until one of the others has ended. Nothing has changed."}
	}
	j.running++
	j.changeLocked(id, func(r *results) { r.Running, r.Began, r.Problem = action, time.Now(), "" })
	j.mu.Unlock()

	long, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	j.group.Go(func() {
		defer cancel()
		go func() {
			select {
			case <-h.closing:
				cancel()
			case <-long.Done():
			}
		}()
		err := do(long)
		h.looks.forget()
		j.mu.Lock()
		defer j.mu.Unlock()
		j.running--
		j.changeLocked(id, func(r *results) {
			r.Running, r.Ended, r.Last = "", time.Now(), action
			if err != nil {
				r.Problem = err.Error()
			}
		})
		ended <- err
	})
	timer := time.NewTimer(soon)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		return errUnderWay
	}
}
