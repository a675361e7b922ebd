package readview

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

var errSubscriptionEnded = errors.New("the subscription has ended")

// receive hands the feed's messages to the router. It subscribes again when that fails or the subscription
// ends: for the one the router would end, with all projections, and nobody would notice the other.
func (s *feedSource) receive(ctx context.Context, topic string, out chan<- *message.Message) {
	for failures := 1; ; failures++ {
		messages, err := s.feed.Subscriber.Subscribe(ctx, topic)
		if err == nil {
			s.receives(nil)
			if s.handOn(messages, out) {
				failures = 1
			}
			err = errSubscriptionEnded
		}
		if ctx.Err() != nil {
			return
		}
		s.receives(fmt.Errorf("subscribe to %s: %w", topic, err))
		select {
		case <-time.After(s.m.config.BackOffAfter(failures)):
		case <-s.closed:
			return
		}
	}
}

// handOn hands messages to the router until there are no more, and tells whether there was one.
func (s *feedSource) handOn(messages <-chan *message.Message, out chan<- *message.Message) (some bool) {
	for msg := range messages {
		some = true
		select {
		case out <- msg:
		case <-s.closed:
			msg.Nack()
		}
	}
	return some
}

// receives notes why no messages are received, nil when they are.
func (s *feedSource) receives(problem error) {
	if was := s.unsubscribed.Swap(&problem); (was != nil && *was != nil) != (problem != nil) {
		nudge(s.looks)
	}
}

// noMessages begins what is said when a broker, or its like, brings nothing.
const noMessages = "no messages come: "

// WantsBroker tells that a failure of a projection of [Manager.AddRemote] is about the way that its messages take, such as a broker that is not reached,
// and about no event.
func WantsBroker(f *consumer.Failure) bool {
	return f != nil && f.EventName == "" && strings.HasPrefix(f.Error, noMessages)
}

// transportProblem is why no messages come, as far as the subscriber tells.
func (s *feedSource) transportProblem() error {
	if problem := s.unsubscribed.Load(); problem != nil && *problem != nil {
		return *problem
	}
	if subscriber, tells := s.feed.Subscriber.(interface{ Problem() error }); tells {
		return subscriber.Problem()
	}
	return nil
}
