package readview

import (
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Defaults of [Feed].
const (
	DefaultAskAgain   = 10 * time.Second
	DefaultAskAtLeast = 30 * time.Second
)

// Feed is where a projection's events come from when they are another bounded
// context's: a topic to which a [relay.Relay] publishes.
type Feed struct {
	// Registry knows the events that the projection handles, under the names under
	// which they are published. Required.
	Registry *eventsourced.Registry

	// Subscriber delivers the messages of the topic, for this projection alone, one
	// after the other: the next one after the Ack. It is closed with the router.
	// Its Subscribe should not fail when the broker is down, as that of
	// amqpbus.Subscriber. Required.
	Subscriber message.Subscriber

	// Topic is what the relay publishes to. Required.
	Topic string

	// Requests is where to ask for history. Without it, a new projection needs all
	// messages from the first one on, and a projection that misses some fails with
	// [ErrGap].
	Requests message.Publisher

	// RequestTopic is where the relay receives those requests. Required with
	// Requests.
	RequestTopic string

	// ReplyTo is the topic that leads to Subscriber and to nobody else, such as
	// amqpbus.QueueTopic(subscriber.Queue(topic)). Defaults to Topic; then everybody
	// receives what one has asked for, and passes over it.
	ReplyTo string

	// AskAgain is how long an answer may take before the request is repeated, and
	// the status says that it is late. It doubles with each repetition, up to
	// AskAtLeast. Defaults to [DefaultAskAgain].
	AskAgain time.Duration

	// AskAtLeast is how often to ask when nothing comes, whether there is nothing:
	// the last messages may be missing as well. Defaults to [DefaultAskAtLeast].
	AskAtLeast time.Duration
}

func (f Feed) withDefaults() Feed {
	setDefault(&f.ReplyTo, f.Topic)
	setDefault(&f.AskAgain, DefaultAskAgain)
	setDefault(&f.AskAtLeast, DefaultAskAtLeast)
	return f
}

func (f Feed) validate() error {
	var problems []error
	if f.Registry == nil {
		problems = append(problems, errors.New("readview.Feed: Registry is nil"))
	}
	if f.Subscriber == nil {
		problems = append(problems, errors.New("readview.Feed: Subscriber is nil"))
	}
	if f.Topic == "" {
		problems = append(problems, errors.New("readview.Feed: Topic is empty"))
	}
	if f.Requests != nil && f.RequestTopic == "" {
		problems = append(problems, errors.New("readview.Feed: RequestTopic is empty"))
	}
	if f.AskAgain < 0 || f.AskAtLeast < 0 {
		problems = append(problems, errors.New("readview.Feed: AskAgain or AskAtLeast is negative"))
	}
	return errors.Join(problems...)
}

// AddRemote registers a projection whose events come by messages. All else is as
// with [Manager.Add]: the same handlers, pipeline, failures, reset and status. The
// manager may have been made without a log.
//
// An event counts once, as the position is compared and set in the transaction of
// the handlers' writes: messages that come again are passed over. Each message says
// which position it follows, so one that is missing, lost with its queue or
// overtaken, is noticed: then, at the first start and after a reset, the projection
// asks for the history and goes on when it has come. Until then it applies nothing
// that comes after the gap.
func (m *Manager) AddRemote(projection Projection, feed Feed) error {
	if err := feed.validate(); err != nil {
		return fmt.Errorf("projection %q: %w", projection.Name, err)
	}
	return m.add(feed.Registry, []Projection{projection}, func(d *definition) *runner {
		a := newApplier(m, d, feed.Registry, nil)
		return &runner{a, newFeedSource(a, feed), feed.Topic}
	})
}
