package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// workingSizes are how large pages may be after one was refused, by what they are sent to: each
// transport has words of its own for what is too large, and it may be another kind of refusal.
type workingSizes struct {
	mu    sync.Mutex
	sizes map[string]workingSize
}

type workingSize struct {
	bytes int
	until time.Time
}

// sizeMemory is for how long that holds.
const sizeMemory = time.Minute

func (s *workingSizes) limit(topic string, most int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if size := s.sizes[topic]; time.Now().Before(size.until) {
		return min(size.bytes, most)
	}
	delete(s.sizes, topic)
	return most
}

func (s *workingSizes) set(topic string, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sizes == nil {
		s.sizes = map[string]workingSize{}
	}
	s.sizes[topic] = workingSize{bytes, time.Now().Add(sizeMemory)}
}

var errHalved = errors.New("it may be too large")

// publishPage publishes a window's page. After a refusal, which is errHalved then, pages are half
// as large. One that took long is another matter, and so is a queue that is gone, or no connection.
func (r *Relay) publishPage(ctx context.Context, w *window, page Page) error {
	widened := r.widened(w.request.Names)
	page.Publication, page.PublishedFrom = widened.Number, widened.Position
	msg, err := marshalPage(page, w.events)
	if err != nil {
		return err
	}
	began := time.Now()
	err = r.publish(ctx, consumer.PartBeside, nil, w.request.ReplyTo, msg)
	aboutIt := err != nil && !errors.Is(err, messaging.ErrUnroutable) && !errors.Is(err, messaging.ErrUnreachable)
	if aboutIt && len(w.events) > 1 && time.Since(began) < signOfLife {
		r.sizes.set(w.request.ReplyTo, len(msg.Payload)/2+pageOverhead)
		return fmt.Errorf("%w: %w", errHalved, err)
	}
	return err
}
