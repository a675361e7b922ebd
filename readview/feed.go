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
	DefaultAskAgain   = 5 * time.Second
	DefaultAskAtLeast = time.Second
	DefaultAskEvents  = 4000
	DefaultAskBytes   = 1 << 20
)

// Feed is where a projection's events come from when they are another bounded
// context's: a topic to which a relay (package relay) publishes.
type Feed struct {
	// Registry knows the events that the projection handles, under the names under
	// which they are published. A type that is [eventsourced.Tolerant] is read in newer schema
	// versions, too; any other stops the projection then. Required.
	Registry *eventsourced.Registry

	// Subscriber delivers the messages of the topic, for this projection alone. Those that it
	// hands over in another order are put right, a few hundred of them. It is closed with the router.
	// When its Subscribe fails or a subscription ends, the status says why, and it is subscribed again, as Config.BackOff and
	// MaxBackOff say. If it has a method Problem() error, the status has what that returns. If it has a method
	// ForFeed(topic, replyTo string) (queue any, err error), as amqpbus.Subscriber has, AddRemote calls that, and refuses it when that
	// returns an error, or the queue of another projection. If it has a method Answers(topic string) (subscriber
	// message.Subscriber, replyTo string, err error), as that one has, a rebuild, a verification or an explanation has the history
	// sent to replyTo, receives it from that subscriber by the topic, and closes it. Required.
	Subscriber message.Subscriber

	// Topic is what the relay publishes to. The position of the projection is one of this topic: with another one it
	// has to be reset, see [ErrOtherTopic]. Required.
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

	// AskAgain is how long an answer may take before the request is repeated; a request that
	// has not been answered then is void. It doubles with each repetition, up to
	// AskAtLeast. That an answer is late shows in the status earlier. Defaults to [DefaultAskAgain].
	AskAgain time.Duration

	// AskAtLeast is how often to ask when nothing comes, whether there is nothing:
	// the last messages may be missing as well, and the relay may be off. Defaults to [DefaultAskAtLeast].
	AskAtLeast time.Duration

	// AskEvents and AskBytes are how much history is asked for at once, and so about how much of it
	// waits in the queue of a projection that is slow: so many events, and so many bytes and a page.
	// They default to [DefaultAskEvents] and [DefaultAskBytes].
	AskEvents int
	AskBytes  int
}

func (f Feed) withDefaults() Feed {
	setDefault(&f.ReplyTo, f.Topic)
	setDefault(&f.AskAgain, DefaultAskAgain)
	setDefault(&f.AskAtLeast, DefaultAskAtLeast)
	setDefault(&f.AskEvents, DefaultAskEvents)
	setDefault(&f.AskBytes, DefaultAskBytes)
	return f
}

// Validate returns all that is wrong with the feed, nil if nothing is. [Manager.AddRemote] does so itself.
func (f Feed) Validate() error {
	_, err := f.check()
	return err
}

// check also returns what tells the queue that the feed reads from others, nil if nobody knows.
func (f Feed) check() (queue any, err error) {
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
	if f.AskEvents < 0 || f.AskBytes < 0 {
		problems = append(problems, errors.New("readview.Feed: AskEvents or AskBytes is negative"))
	}
	if subscriber, checks := f.Subscriber.(interface {
		ForFeed(topic, replyTo string) (any, error)
	}); checks && f.Topic != "" {
		queue, err = subscriber.ForFeed(f.Topic, f.withDefaults().ReplyTo)
		problems = append(problems, err)
	}
	return queue, errors.Join(problems...)
}

// AddRemote registers a projection whose events come by messages. All else is as
// with [Manager.Add]: the same handlers, pipeline, failures, reset and status. The
// manager may have been made without a log.
//
// An event counts once, as the position is compared and set in the transaction of
// the handlers' writes: messages that come again are passed over. Each message says
// which position it follows, so one that is missing, lost with its queue or
// overtaken, is noticed: then, at its start and after a reset, the projection
// asks for the history of the events that it handles, window by window, and goes on when it has come.
// Until then it applies nothing that comes after the gap.
//
// What has stopped it is asked for again when it is resumed, or its process restarts: the other context may
// send another form by then. When the other context publishes more of the events that it handles than it
// did when the projection began to read, see relay.Publication, it stops, and needs a reset; without
// [Feed.Requests] it can't tell. With another topic than its position is of it is refused, with [ErrOtherTopic].
func (m *Manager) AddRemote(projection Projection, feed Feed) error {
	queue, err := feed.check()
	if projection.Durability == Deferred {
		err = errors.Join(err, errors.New("its Durability is Deferred, and its events come by messages: a crash of the server would undo what the broker was told is done"))
	}
	if err = errors.Join(err, m.sharedQueue(queue, projection.Name)); err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		_, more := m.check(feed.Registry, []Projection{projection})
		return errors.Join(fmt.Errorf("projection %q: %w", projection.Name, err), more)
	}
	return m.add(feed.Registry, []Projection{projection}, func(d *definition) *runner {
		d.topic = feed.Topic
		a := newApplier(m, d, feed.Registry, nil)
		return &runner{a, newFeedSource(a, feed, queue), feed.Topic}
	})
}

// sharedQueue returns an error when another projection reads from a queue that is not nil: of two, one would get
// nothing.
func (m *Manager) sharedQueue(queue any, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.runners {
		if s, remote := r.source.(*feedSource); remote && queue != nil && s.queue == queue && r.Name != name {
			return fmt.Errorf("readview.Feed: Subscriber reads from the queue of projection %q: each needs one of its own, of a group of its own", r.Name)
		}
	}
	return nil
}
