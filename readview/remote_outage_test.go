package readview_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
	"github.com/dancefinder/eventsourcing/readview"
)

// history counts the events that go out in answers, by who gets them.
type history struct {
	*amqpbus.Publisher
	mu     sync.Mutex
	events map[string]int
}

func (h *history) Publish(topic string, messages ...*message.Message) error {
	for _, msg := range messages {
		page, err := relay.UnmarshalPage(msg)
		if err != nil {
			return err
		}
		if page.Asker != "" {
			h.mu.Lock()
			h.events[topic] += len(page.Events)
			h.mu.Unlock()
		}
	}
	return h.Publisher.Publish(topic, messages...)
}

// However long a relay was off, and however often its consumers have asked meanwhile: each gets what it lacks once.
func TestRelayThatWasOffForLong(t *testing.T) {
	t.Parallel()
	c := newContexts(t, testamqp.URL(t))
	publisher, err := amqpbus.NewPublisher(c.url, amqpbus.PublisherConfig{Logger: fast().Logger})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	sent := &history{Publisher: publisher, events: map[string]int{}}
	_, stopRelay := c.startRelayOn(sent)

	askers := make([]*contexts, soak.Times(2, 10))
	managers := make([]*readview.Manager, len(askers))
	for i := range askers {
		askers[i] = c.anotherBranch()
		router := newRouter(t)
		managers[i], err = readview.NewManager(router, nil, askers[i].branch.pool, fast())
		require.NoError(t, err)
		subscriber := c.subscriber(fmt.Sprint("branch", i))
		require.NoError(t, managers[i].AddRemote(balances(), readview.Feed{
			Registry: registry(), Subscriber: subscriber, Topic: c.topic,
			Requests: publisher, RequestTopic: c.requestTopic(), ReplyTo: amqpbus.QueueTopic(subscriber.Queue(c.topic)),
			AskAgain: time.Second, AskAtLeast: time.Second,
		}))
		askers[i].start(router)
	}
	last := c.write(40)
	for _, manager := range managers {
		c.waitFor(manager, last)
	}

	stopRelay()
	sent.mu.Lock()
	clear(sent.events)
	sent.mu.Unlock()
	missing := 0
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for end := time.Now().Add(soak.For(2*time.Second, time.Hour)); time.Now().Before(end); <-pace.C {
		c.write(4)
		missing += 4
	}
	_, stopRelay = c.startRelayOn(sent)
	last = c.write(4)
	ctx, cancel := context.WithTimeout(t.Context(), soak.For(time.Minute, time.Hour))
	defer cancel()
	began := time.Now()
	for i, manager := range managers {
		require.NoError(t, manager.WaitFor(ctx, last))
		askers[i].requireSame()
	}
	t.Logf("all have caught up after %s", time.Since(began).Round(time.Millisecond))
	stopRelay()
	sent.mu.Lock()
	defer sent.mu.Unlock()
	for topic, n := range sent.events {
		if strings.Contains(topic, c.topic) {
			t.Logf("%d events were missing, %d went to %s as history", missing, n, topic)
			require.LessOrEqual(t, n, missing+4, topic)
		}
	}
}

// anotherBranch is one more context that follows the bank.
func (c *contexts) anotherBranch() *contexts {
	c.t.Helper()
	another := *c
	another.branch = newBranch(c.t, 4)
	return &another
}
