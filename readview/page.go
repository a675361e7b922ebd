package readview

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// page is a part of the log as one projection sees it: all events that it handles
// with a position above after and up to upTo. It is read once and never changed,
// but for the outcome.
type page struct {
	after, upTo eventsourced.Position
	generation  int64
	items       []item
	meanwhile   func() // called when the page's transaction is under way; may be nil

	// Set by the handler before it returns, read after the message was acked or
	// nacked.
	err error
}

// item is one event of a page, decoded while the page before is applied.
type item struct {
	recorded eventsourced.Recorded
	event    eventsourced.Event
	err      error // of decoding; it counts when it is the event's turn
}

// readPage reads the page after a position. It is empty when there is nothing new
// for the projection; upTo then says how far that holds.
func (r *runner) readPage(ctx context.Context, at Checkpoint) (*page, error) {
	pg := &page{after: at.Position, upTo: at.Position, generation: at.Generation}
	err := r.collect(ctx, pg, 0)
	if err != nil || len(pg.items) > 0 {
		return pg, err
	}
	// Nothing, so far. The head is read before the events are looked for once
	// more: an event that comes in between is above it.
	head, err := r.m.log.Head(ctx)
	if err != nil || head <= at.Position {
		return pg, err
	}
	if err := r.collect(ctx, pg, head); err != nil {
		return pg, err
	}
	if len(pg.items) == 0 {
		pg.upTo = head
	}
	return pg, nil
}

// collect adds events to the page until it is full.
func (r *runner) collect(ctx context.Context, pg *page, upTo eventsourced.Position) error {
	query := eventsourced.LogQuery{After: pg.after, UpTo: upTo, Names: r.handled, Limit: r.pageLimit}
	bytes := 0
	pg.items = make([]item, 0, r.lastItems) // in a catch-up all pages have as many
	defer func() { r.lastItems = len(pg.items) }()
	for recorded, err := range r.m.log.ReadLog(ctx, query) {
		if err != nil {
			return err
		}
		event, err := r.decode(recorded)
		pg.items = append(pg.items, item{recorded: recorded, event: event, err: err})
		pg.upTo = recorded.Position
		if bytes += len(recorded.Payload); bytes >= r.m.config.PageBytes {
			break
		}
	}
	// What is asked for beyond the limit of bytes is read in vain: ask for about
	// as much as fits.
	if bytes >= r.m.config.PageBytes {
		r.pageLimit = len(pg.items) + 1
	} else {
		r.pageLimit = min(r.m.config.PageEvents, r.pageLimit*2)
	}
	return nil
}

// decode survives upcasters and UnmarshalJSON methods that panic.
func (r *runner) decode(recorded eventsourced.Recorded) (event eventsourced.Event, err error) {
	defer recoverAs(&err)
	return r.registry.Decode(recorded)
}

func recoverAs(err *error) {
	if value := recover(); value != nil {
		*err = &panicError{value, debug.Stack()}
	}
}

type pageKey struct{}

// message returns a message that carries the page in its context. Its payload and
// metadata are for people and middlewares to look at.
func (pg *page) message(ctx context.Context, projection string) *message.Message {
	payload, _ := json.Marshal(map[string]any{"after": pg.after, "up_to": pg.upTo, "events": len(pg.items)})
	msg := message.NewMessage(watermill.NewUUID(), payload)
	msg.Metadata.Set("projection", projection)
	msg.Metadata.Set("position", fmt.Sprint(int64(pg.upTo)))
	msg.SetContext(context.WithValue(ctx, pageKey{}, pg))
	return msg
}

func pageOf(ctx context.Context) *page {
	pg, _ := ctx.Value(pageKey{}).(*page)
	return pg
}

// reading is a page that is read in a goroutine of its own.
type reading struct {
	begin  func() // the first time
	result chan struct{}
	page   *page
	err    error
	stop   context.CancelFunc
}

func (r *runner) readAhead(ctx context.Context, at Checkpoint) *reading {
	ctx, stop := context.WithCancel(ctx)
	next := &reading{result: make(chan struct{}), stop: stop}
	next.begin = sync.OnceFunc(func() {
		go func() {
			defer close(next.result)
			next.page, next.err = r.readPage(ctx, at)
		}()
	})
	return next
}

func (n *reading) await() (*page, error) {
	n.begin()
	<-n.result
	n.stop()
	return n.page, n.err
}

// cancel ends the reading and waits for its goroutine.
func (n *reading) cancel() {
	n.stop()
	n.begin()
	<-n.result
}
