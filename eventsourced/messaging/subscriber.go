package messaging

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// AllEvents is the topic of all events of the log. Any other topic is an event's
// name.
const AllEvents = "$all"

// Subscriber delivers the events of a log as messages, at least once and in order;
// see the package documentation. It is safe for concurrent use.
type Subscriber struct {
	log       eventsourced.Log
	positions consumer.LeaseStore
	config    SubscriberConfig

	mu      sync.Mutex
	closed  bool
	cancels map[*subscription]context.CancelFunc
	running sync.WaitGroup
}

var _ message.Subscriber = (*Subscriber)(nil)

// NewSubscriber returns a subscriber to log. It sends nothing yet. positions is
// needed for a consumer group only and may be nil without one. With a [consumer.Store], an
// active subscription uses up to two connections of their pool for moments.
func NewSubscriber(log eventsourced.Log, positions consumer.LeaseStore, config SubscriberConfig) (*Subscriber, error) {
	if err := errors.Join(append(need.Log("messaging.NewSubscriber", log), config.problems(positions)...)...); err != nil {
		return nil, err
	}
	return &Subscriber{
		log:       log,
		positions: positions,
		config:    config,
		cancels:   map[*subscription]context.CancelFunc{},
	}, nil
}

// Subscribe returns the messages of the events named topic, or of all with
// [AllEvents]. Each comes when the one before was acked, and again, as a new
// message, after a Nack. The channel is closed when ctx ends or Close is called.
//
// The context of a message has the values of ctx and the event, see
// [eventsourced.FromContext]. It is cancelled when the message is acked or nacked,
// when its handler has not finished within [consumer.Config.DrainTimeout] of the
// subscription's end, and when another subscriber of the group took over.
//
// It returns [ErrClosed] after Close, and [eventsourced.ErrUnknownEvent] for a topic
// that the registry does not have, see [SubscriberConfig.Unregistered]. It fails for
// no other reason but an empty topic: a database that is down is waited for.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	if topic == "" {
		return nil, errors.New("subscribe: the topic is empty")
	}
	if topic != AllEvents && !s.config.Unregistered && s.log.Registry().SchemaVersion(topic) == 0 {
		return nil, fmt.Errorf("subscribe to %.200s: %w: no event of the registry has that name", topic, eventsourced.ErrUnknownEvent)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, ErrClosed)
	}
	ctx, cancel := context.WithCancel(ctx)
	sub := newSubscription(s, topic)
	s.cancels[sub] = cancel
	s.running.Go(func() {
		defer close(sub.out)
		defer s.forget(sub)
		defer cancel()
		sub.Run(ctx)
	})
	return sub.out, nil
}

// Status returns how the subscriptions of this subscriber stand, whichever process
// receives their messages, in the order of their topics.
func (s *Subscriber) Status(ctx context.Context) (all []consumer.Status, err error) {
	for _, sub := range s.subscriptions() {
		status, statusErr := sub.Status(ctx)
		all, err = append(all, status), errors.Join(err, statusErr)
	}
	return all, err
}

// Pause keeps the subscriptions of this subscriber's group to the topics that this one has
// from delivering, in all processes, until they are resumed: see [consumer.Store.Pause].
// What is being handled then ends first.
func (s *Subscriber) Pause(ctx context.Context) (err error) {
	for _, sub := range s.subscriptions() {
		err = errors.Join(err, sub.Pause(ctx))
	}
	return err
}

// Resume lets them go on, also those that have stopped because they are ahead of the log,
// see [consumer.Ahead].
func (s *Subscriber) Resume(ctx context.Context) (err error) {
	for _, sub := range s.subscriptions() {
		err = errors.Join(err, sub.Resume(ctx))
	}
	return err
}

func (s *Subscriber) subscriptions() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.cancels), func(a, b *subscription) int { return cmp.Compare(a.ID().Topic, b.ID().Topic) })
}

// Close ends all subscriptions and returns when their channels are closed. It
// waits for messages that are being handled, see [consumer.Config.DrainTimeout].
// It may be called again, and concurrently.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, cancel := range s.cancels {
		cancel()
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

func (s *Subscriber) forget(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cancels, sub)
}
