package readview

import (
	"context"
	"sync"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// readPage reads the page after a position. It is empty when there is nothing new
// for the projection; upTo then says how far that holds.
func (s *logSource) readPage(ctx context.Context, at checkpoint) (*page, error) {
	p := newPage(s.Name, at.Position, at.Position, at.Generation)
	err := s.collect(ctx, p, 0)
	if err != nil || len(p.items) > 0 {
		return p, err
	}
	// Nothing, so far. The head is read before the events are looked for once
	// more: an event that comes in between is above it.
	head, err := s.m.log.Head(ctx)
	switch {
	case err != nil || head == at.Position:
		return p, err
	case head < at.Position:
		return nil, aheadError(s.Name, at.Position, head)
	}
	if err := s.collect(ctx, p, head); err != nil {
		return p, err
	}
	if len(p.items) == 0 {
		p.upTo = head
	}
	return p, nil
}

// collect adds events to the page until it is full.
func (s *logSource) collect(ctx context.Context, p *page, upTo eventsourced.Position) error {
	query := eventsourced.LogQuery{After: p.after, UpTo: upTo, Names: s.handled, Streams: s.streams, Limit: min(s.pageLimit, int(s.pageCap.Load()))}
	bytes := 0
	p.items = make([]item, 0, s.lastItems) // in a catch-up all pages have as many
	p.decoded = make([]eventsourced.Decoded, 0, s.lastItems)
	defer func() { s.lastItems = len(p.items) }()
	for recorded, err := range s.m.log.ReadLog(ctx, query) {
		if err != nil {
			return err
		}
		p.add(ctx, s.applier, recorded)
		p.upTo = recorded.Position
		if bytes += len(recorded.Payload); bytes >= s.m.config.PageBytes {
			break
		}
	}
	// What is asked for beyond the limit of bytes is read in vain: ask for about
	// as much as fits.
	if bytes >= s.m.config.PageBytes {
		s.pageLimit = len(p.items) + 1
	} else {
		s.pageLimit = min(s.m.config.PageEvents, s.pageLimit*2)
	}
	return nil
}

// reading is a page that is read in a goroutine of its own.
type reading struct {
	life   context.Context // of who reads, which goes on when the page is read
	begin  func()          // the first time
	result chan struct{}
	heard  int64 // wake-ups, before
	page   *page
	err    error
	stop   context.CancelFunc
}

func (s *logSource) readAhead(ctx context.Context, at checkpoint) *reading {
	life := ctx
	ctx, stop := context.WithCancel(ctx)
	next := &reading{life: life, result: make(chan struct{}), stop: stop}
	next.begin = sync.OnceFunc(func() {
		go func() {
			defer close(next.result)
			next.heard = s.m.tail.heard.Load()
			if next.page, next.err = s.readPage(ctx, at); next.err == nil && len(next.page.items) > 0 {
				at.Position = next.page.upTo
				next.page.next.Store(s.readAhead(life, at))
			}
		}()
	})
	return next
}

// readAll stands for a reading that has found nothing after at, when so many wake-ups had been heard.
func (s *logSource) readAll(at checkpoint, heard int64) *reading {
	next := &reading{begin: func() {}, result: make(chan struct{}), heard: heard, page: newPage(s.Name, at.Position, at.Position, at.Generation), stop: func() {}}
	close(next.result)
	return next
}

func (n *reading) await() (*page, error) {
	n.begin()
	<-n.result
	n.stop()
	return n.page, n.err
}

// cancel ends the reading, and that of the page after it, and waits for their goroutines.
func (n *reading) cancel() {
	n.stop()
	n.begin()
	<-n.result
	if n.page == nil {
		return
	}
	if next := n.page.next.Load(); next != nil {
		next.cancel()
	}
}
