package transporttest_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/transporttest"
)

// Watermill's gochannel stays in the process, and hands each message out by itself.
func TestGoChannel(t *testing.T) {
	t.Parallel()
	transporttest.TestTransport(t, func(t *testing.T) transporttest.Bus {
		bus := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
		t.Cleanup(func() { require.NoError(t, bus.Close()) })
		return transporttest.Bus{Publisher: bus, Subscriber: func(string) message.Subscriber { return bus }}
	}, transporttest.Order, transporttest.Durability, transporttest.ReplyTo)
}
