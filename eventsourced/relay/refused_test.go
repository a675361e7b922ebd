package relay_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestBadHistoryRequestsAreRefused(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	requests := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, requests.Close()) })
	logger, refused := consumertest.LogSignal("request for history refused")
	config := consumertest.Relaying()
	config.Requests, config.Logger = requests, logger
	outbox := consumertest.NewOutbox()
	b.Relay(outbox, config)
	require.NoError(t, requests.Publish("relay.requests", message.NewMessage("1", []byte("{"))))
	b.Wait(refused, "it is logged")
	msg, err := relay.MarshalHistoryRequest(relay.HistoryRequest{Topic: "t", ReplyTo: "next"})
	require.NoError(t, err)
	require.NoError(t, requests.Publish("relay.requests", msg))
	b.history(outbox, "next", 0) // the next one is served
}

// Who may ask can't have pages sent anywhere.
func TestRequestThatNamesAnotherQueue(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.Deposit(3)
	requests := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, requests.Close()) })
	logger, refused := consumertest.LogSignal("request for history refused")
	config := consumertest.Relaying()
	config.Requests, config.Logger = requests, logger
	outbox := consumertest.NewOutbox()
	b.Relay(checkingOutbox{outbox}, config)
	for _, replyTo := range []string{"somebody else's", "own"} {
		msg, err := relay.MarshalHistoryRequest(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: replyTo})
		require.NoError(t, err)
		require.NoError(t, requests.Publish("relay.requests", msg))
	}
	b.Wait(refused, "it is logged")
	b.history(outbox, "own", 0)
	require.Empty(t, outbox.Of("somebody else's"))
}

// checkingOutbox is a publisher that knows where answers may go.
type checkingOutbox struct{ *consumertest.Outbox }

func (checkingOutbox) CheckReply(_, replyTo string) error {
	if replyTo == "own" {
		return nil
	}
	return consumertest.ErrRefused
}

func TestRequestOfANewerProgramIsInTheStatus(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	requests := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, requests.Close()) })
	config := consumertest.Relaying()
	config.Requests = requests
	outbox := consumertest.NewOutbox()
	it, _ := b.Relay(outbox, config)
	require.NoError(t, requests.Publish("relay.requests", message.NewMessage("1", []byte(`{"topic": "t", "reply_to": "next", "wire_version": 3}`))))
	b.Becomes(it, "it says so", consumertest.Retrying(eventsourced.Recorded{}, "unknown version of the wire format: it is of version 3, and this program knows 2"))
	msg, err := relay.MarshalHistoryRequest(relay.HistoryRequest{Topic: "t", ReplyTo: "next"})
	require.NoError(t, err)
	require.NoError(t, requests.Publish("relay.requests", msg))
	b.history(outbox, "next", 0) // the next one is served
	b.Becomes(it, "it is forgotten", consumertest.IsLive)
}

// One request that can't be answered does not keep others from their history.
func TestRequestThatCannotBeAnswered(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	deposits := b.Deposit(3)
	outbox := consumertest.NewOutbox()
	outbox.Refuse = func(topic string, _ []*message.Message) error {
		if topic == "refused" {
			return consumertest.ErrRefused
		}
		return nil
	}
	ask := b.answers(outbox, consumertest.Relaying())
	b.Published(outbox, relay.DefaultTopic, 3)
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "refused"})
	ask(relay.HistoryRequest{Topic: relay.DefaultTopic, ReplyTo: "next"})
	ids, _ := b.history(outbox, "next", 0)
	require.Equal(t, consumertest.IDsOf(deposits), ids)
	require.Empty(t, outbox.Of("refused"))
}
