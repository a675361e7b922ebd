// Package transporttest is the suite for whoever carries events with a transport of their own: a
// Watermill Publisher for a relay, and a Subscriber for what another context makes of them.
// [TestTransport] proves what they count on.
package transporttest

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Feature is something that a transport may lack, at a price.
type Feature string

// The features, and what is without them.
const (
	// Order: one message comes at a time, after the Ack of those that were published before
	// it. Without it a projection, which notices, waits for what was overtaken or asks for
	// history; anything else has to sort by position.
	Order Feature = "Order"

	// Durability: what was published for a group waits until one of its subscribers acks it,
	// from [message.SubscribeInitializer.SubscribeInitialize] or the first Subscribe on.
	// Without it a projection has to have [readview.Feed.Requests], and anything else loses it.
	//
	// [readview.Feed.Requests]: https://pkg.go.dev/github.com/dancefinder/eventsourcing/readview#Feed
	Durability Feature = "Durability"

	// ReplyTo: a topic leads to one group only, given by [Bus.ReplyTo]. Without it all groups
	// get what one has asked for, and pass over it.
	ReplyTo Feature = "ReplyTo"
)

// Bus is a transport under test.
type Bus struct {
	// Publisher publishes to all groups.
	Publisher message.Publisher

	// Subscriber returns a new subscriber of a group, or what all groups share.
	Subscriber func(group string) message.Subscriber

	// ReplyTo returns the topic that leads to a topic's messages of one group only.
	ReplyTo func(topic, group string) string
}

// MaxMessage is how many bytes a page of history has at most by default. A transport that takes
// less has to refuse it, with an error: then the relay sends less at once.
const MaxMessage = 256 << 10

// TestTransport proves that a transport keeps these requirements, each in a subtest of its
// name. open is called once for each; what it opens it closes itself, with t.Cleanup.
//
// [message.Publisher.Publish] may also take a message twice, and a message may come twice:
// consumers know them by their ids.
func TestTransport(t *testing.T, open func(t *testing.T) Bus, lacks ...Feature) {
	for _, requirement := range requirements {
		if lacking(lacks, requirement.needs) {
			continue
		}
		t.Run(requirement.name, func(t *testing.T) {
			t.Parallel()
			s := &suite{T: t, bus: open(t), topic: "transporttest." + random(), ordered: !lacking(lacks, Order)}
			requirement.test(s)
		})
	}
}

// The requirements. Most are of the relay and of projections; the rest is of reactors.
var requirements = []struct {
	name  string
	needs Feature
	test  func(*suite)
}{
	{"a message arrives as it was published: its id, its payload, its metadata", "", unchanged},
	{"the next message comes after the Ack of the one before", Order, oneByOne},
	{"messages come in the order in which they were published", Order, inOrder},
	{"a message that was nacked comes again", "", nacked},
	{"a message that was nacked comes again before any later one", Order, nackedInOrder},
	{"each group gets all messages", "", groups},
	{"messages of another topic don't come", "", topics},
	{"a handler may publish before it acks", "", publishInHandler},
	{"a page of history arrives, or its Publish fails", "", large},
	{"several may publish at the same time", "", concurrent},
	{"what was published while nobody received waits", Durability, waits},
	{"what was not acked when its subscriber was closed comes to the next one", Durability, takenOver},
	{"an answer comes to the one who asked, and to nobody else", ReplyTo, replies},
	{"a subscription ends with its context, and closes its channel", "", ends},
	{"a subscriber that is closed has closed its channels, also when it is closed twice", "", closes},
	{"nothing can be published after Close", "", closedPublisher},
}

func lacking(lacks []Feature, feature Feature) bool {
	for _, lack := range lacks {
		if lack == feature {
			return true
		}
	}
	return false
}
