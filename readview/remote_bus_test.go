package readview_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

// bus is a broker in memory that does to messages what may happen to them: it
// loses, repeats and swaps them. A topic that begins with "queue:" leads into one
// queue.
type bus struct {
	mu     sync.Mutex
	random *rand.Rand
	faults float64 // how likely each fault is, for each message
	queues map[string]*busQueue
	topics map[string][]string // the queues of a topic
	stats  struct {
		lost, repeated, swapped int
		deepest, events         map[string]int // of a queue: how many messages it had, and events in pages that were published to it
	}
}

type busQueue struct {
	messages []*message.Message
	more     chan struct{}
}

func newBus(seed uint64, faults float64) *bus {
	b := &bus{random: rand.New(rand.NewPCG(seed, 0)), faults: faults, queues: map[string]*busQueue{}, topics: map[string][]string{}} //nolint:gosec // a test repeats it
	b.stats.deepest, b.stats.events = map[string]int{}, map[string]int{}
	return b
}

// bind makes a queue that gets the messages of a topic.
func (b *bus) bind(topic, queue string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queues[queue] == nil {
		b.queues[queue] = &busQueue{more: make(chan struct{}, 1)}
		b.topics[topic] = append(b.topics[topic], queue)
	}
}

func (b *bus) Publish(topic string, messages ...*message.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	queues := b.topics[topic]
	if queue, direct := strings.CutPrefix(topic, "queue:"); direct {
		queues = []string{queue}
	}
	for _, name := range queues {
		q := b.queues[name]
		for _, msg := range messages {
			if n, err := strconv.Atoi(msg.Metadata[messaging.MetaEvents]); err == nil {
				b.stats.events[name] += n
			}
			if b.chance() {
				b.stats.lost++
				continue
			}
			q.messages = append(q.messages, msg.Copy())
			if b.chance() {
				b.stats.repeated++
				q.messages = append(q.messages, msg.Copy())
			}
			if n := len(q.messages); n > 1 && b.chance() {
				b.stats.swapped++
				q.messages[n-1], q.messages[n-2] = q.messages[n-2], q.messages[n-1]
			}
		}
		b.stats.deepest[name] = max(b.stats.deepest[name], len(q.messages))
		select {
		case q.more <- struct{}{}:
		default:
		}
	}
	return nil
}

func (b *bus) chance() bool { return b.random.Float64() < b.faults }

func (b *bus) Close() error { return nil }

// receiver is a subscriber to one queue.
type receiver struct {
	bus     *bus
	queue   string
	ctx     context.Context //nolint:containedctx // it is the consumer's life
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (b *bus) receiver(queue string) *receiver {
	ctx, cancel := context.WithCancel(context.Background())
	return &receiver{bus: b, queue: queue, ctx: ctx, cancel: cancel}
}

func (c *receiver) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(c.ctx, cancel)
	out := make(chan *message.Message)
	c.running.Go(func() {
		defer close(out)
		defer cancel()
		for c.next(ctx, out) {
		}
	})
	return out, nil
}

func (c *receiver) Close() error {
	c.cancel()
	c.running.Wait()
	return nil
}

// next delivers the queue's first message until it is acked.
func (c *receiver) next(ctx context.Context, out chan<- *message.Message) bool {
	c.bus.mu.Lock()
	q := c.bus.queues[c.queue]
	var msg *message.Message
	if len(q.messages) > 0 {
		msg = q.messages[0].Copy()
	}
	c.bus.mu.Unlock()
	if msg == nil {
		select {
		case <-q.more:
			return true
		case <-ctx.Done():
			return false
		}
	}
	msg.SetContext(context.WithoutCancel(ctx))
	select {
	case out <- msg:
	case <-ctx.Done():
		return false
	}
	select {
	case <-msg.Acked():
		c.bus.mu.Lock()
		for i, other := range q.messages { // it may have been swapped meanwhile
			if other.UUID == msg.UUID {
				q.messages = append(q.messages[:i], q.messages[i+1:]...)
				break
			}
		}
		c.bus.mu.Unlock()
	case <-msg.Nacked():
	}
	return ctx.Err() == nil
}
