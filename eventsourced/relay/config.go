package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/need"
)

// Defaults of [Config].
const (
	DefaultName        = "relay"
	DefaultTopic       = "events"
	DefaultGroupEvents = 500
	DefaultPageEvents  = 1000
	DefaultPageBytes   = 256 << 10
)

// Config is the optional part of a [Relay]. The zero value works; a negative
// value is an error.
type Config struct {
	// Config is what all consumers have in common. HangTimeout is that of one call: of
	// Publish, Translate or Topic.
	consumer.Config

	// Name identifies the relay and its position for ever. Defaults to
	// [DefaultName].
	Name string

	// Topic returns the topic of an event, never none. It has to return the same one for ever.
	// A consumer receives the events of one topic in order, so events that belong
	// together belong into one topic. By default all go to [DefaultTopic].
	Topic func(eventsourced.Recorded) string

	// Names are the names of the events that leave the context. The others are no
	// concern of anybody else, and may change without asking. By default all leave. When
	// there are more of them later, consumers who want those learn that they need a reset: what
	// happened before is missing in what they have.
	Names []string

	// Revision is that of Translate. Raise it when consumers have to read again what they have: as
	// events leave that stayed inside, or in a form that means something else. They learn
	// that they need a reset.
	Revision int

	// Translate returns the form in which an event, in today's schema version,
	// leaves the context: its Name, SchemaVersion (1 if it is 0), Payload and
	// Metadata; the rest stays. Without a name the event stays inside. It has to be a pure function,
	// and may be called concurrently. By default events leave as they are.
	Translate func(eventsourced.Recorded) (eventsourced.Recorded, error)

	// TranslateMany is Translate for an event that leaves as several, or whose form depends on more than
	// the event: it may query, with ctx, and block as long as [consumer.Config.HangTimeout]. What
	// it returns goes into one message for each topic, in that order; none stays inside. The ids of
	// several follow from the event's. History translates again, perhaps years later: what it looks up
	// has to be there still, and as it was when the event happened. Only one of both may be set.
	TranslateMany func(ctx context.Context, event eventsourced.Recorded) ([]eventsourced.Recorded, error)

	// CloudEventsSource is the source, a URI reference such as "https://example.com/bank", of the
	// CloudEvents attributes that messages of one event have besides their metadata, see
	// [messaging.SetCloudEvent]. By default there are none.
	CloudEventsSource string

	// AppID says in each message which application has published it, see [messaging.MetaAppID].
	AppID string

	// StartAtHead lets a new relay begin with the events that come after its first
	// start, when consumers are to ask for the history. By default it begins with
	// the first event of the log.
	StartAtHead bool

	// GroupEvents is how many events are published at once, and how many come
	// twice at most after a crash. Defaults to [DefaultGroupEvents].
	GroupEvents int

	// PageEvents is how many events a page of history has at most. Defaults to
	// [DefaultPageEvents].
	PageEvents int

	// PageBytes is how large the message of such a page is at most, unless one event alone is
	// larger. A page that the publisher refuses is halved, and so are those of the next minute.
	// Defaults to [DefaultPageBytes].
	PageBytes int

	// Requests is where consumers ask for history, see [HistoryRequest]. Only the
	// active node subscribes. A request is acknowledged when it has come: who gets no answer
	// asks again. By default there is no history to be had.
	Requests message.Subscriber

	// CheckReply returns an error when an answer about a topic must not be sent to replyTo, which
	// whoever may ask has put into the request: then it is refused, and logged. Defaults to the
	// method CheckReply of the publisher, as amqpbus.Publisher has it, or else to no check. What
	// wraps such a publisher hides it.
	CheckReply func(topic, replyTo string) error

	// RequestTopic is the topic of those requests. Defaults to the name of the
	// relay and ".requests".
	RequestTopic string
}

func (c Config) withDefaults() Config {
	c.Config = c.Config.WithDefaults()
	c.Name = cmp.Or(c.Name, DefaultName)
	c.GroupEvents = cmp.Or(c.GroupEvents, DefaultGroupEvents)
	c.PageEvents = cmp.Or(c.PageEvents, DefaultPageEvents)
	c.PageBytes = cmp.Or(c.PageBytes, DefaultPageBytes)
	c.RequestTopic = cmp.Or(c.RequestTopic, c.Name+".requests")
	if c.Topic == nil {
		c.Topic = func(eventsourced.Recorded) string { return DefaultTopic }
	}
	return c
}

func (c Config) problems(log eventsourced.Log) []error {
	problems := c.Problems("relay.Config")
	for _, field := range []struct {
		name  string
		value int
	}{{"GroupEvents", c.GroupEvents}, {"PageEvents", c.PageEvents}, {"PageBytes", c.PageBytes}} {
		if field.value < 0 {
			problems = append(problems, fmt.Errorf("relay.Config: %s is negative", field.name))
		}
	}
	if c.Translate != nil && c.TranslateMany != nil {
		problems = append(problems, errors.New("relay.Config: Translate and TranslateMany are both set"))
	}
	if _, err := url.Parse(c.CloudEventsSource); err != nil {
		problems = append(problems, fmt.Errorf("relay.Config: CloudEventsSource is no URI reference: %w", err))
	}
	if c.Revision < 0 {
		problems = append(problems, errors.New("relay.Config: Revision is negative"))
	}
	if c.Name != "" {
		problems = append(problems, need.Name("relay.Config: Name", c.Name))
	}
	if c.Requests != nil && need.Nil(c.Requests) {
		problems = append(problems, errors.New("relay.Config: Requests is a nil pointer"))
	}
	if len(need.Log("", log)) > 0 {
		return problems
	}
	for _, name := range c.Names {
		if log.Registry().SchemaVersion(name) == 0 {
			problems = append(problems, fmt.Errorf("relay.Config: Names has %q, which is no event of the registry", name))
		}
	}
	return problems
}
