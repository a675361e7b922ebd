package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// tellInterval is how often those are asked how they are who can tell.
const tellInterval = 500 * time.Millisecond

// trouble is what is wrong beside the live messages. It is forgotten when an answer is out, and
// after a while: nobody may ask any more.
type trouble struct {
	mu    sync.Mutex
	err   error
	until time.Time
}

const troubleMemory = 10 * time.Second

func (t *trouble) note(err error, stays bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err, t.until = err, time.Now().Add(troubleMemory)
	if stays {
		t.until = time.Time{}
	}
}

func (t *trouble) clear() { t.note(nil, true) }

// subscribed forgets that nothing could be received.
func (t *trouble) subscribed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.until.IsZero() {
		t.err = nil
	}
}

func (t *trouble) current() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.until.IsZero() && time.Now().After(t.until) {
		t.err = nil
	}
	return t.err
}

// tell keeps it on record what is wrong beside the live messages, and with the transport when there
// are none, as long as ctx lasts.
func (r *Relay) tell(ctx context.Context) {
	defer r.follower.Clear(consumer.PartBeside)
	var told error
	for wait.Sleep(ctx, tellInterval) {
		err := r.beside.current()
		if problem := problemOf(r.config.Requests); problem != nil {
			err = r.cantReceive(problem)
			r.line.gather()
		} else if problem := problemOf(r.publisher); problem != nil {
			err = problem
		}
		var problem *consumer.ProblemError
		switch {
		case err == nil && told != nil:
			r.follower.Clear(consumer.PartBeside)
		case err == nil:
		case err != told || errors.As(err, &problem): //nolint:errorlint // the same is told once
			r.follower.Note(consumer.PartBeside, nil, err)
		}
		told = err
	}
}

// problemOf returns why a publisher or subscriber does not work now, if it can tell.
func problemOf(transport any) error {
	if tells, can := transport.(interface{ Problem() error }); can {
		return tells.Problem()
	}
	return nil
}
