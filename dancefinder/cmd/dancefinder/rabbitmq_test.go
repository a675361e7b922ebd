package main

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/operate"
)

// A group that could not handle its messages, and then takes quorum queues.
func TestQueuesAndDeadLetters(t *testing.T) {
	t.Parallel()
	url, topic := broker(t), "test."+eventsourced.NewEventID().String()
	config := amqpbus.SubscriberConfig{Group: "billing", Attempts: 1, BackOff: time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	subscriber, err := amqpbus.NewSubscriber(url, config)
	require.NoError(t, err)
	require.NoError(t, subscriber.SubscribeInitialize(topic))
	publisher, err := amqpbus.NewPublisher(url, amqpbus.PublisherConfig{Logger: config.Logger})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	sent := []*message.Message{message.NewMessage("first", []byte(`{"a":1}`)), message.NewMessage("second", nil)}
	require.NoError(t, publisher.Publish(topic, sent...))
	messages, err := subscriber.Subscribe(t.Context(), topic)
	require.NoError(t, err)
	next(t, messages) // acks
	(<-messages).Nack()
	done := func(args ...string) string {
		t.Helper()
		got := dancefinder(t, append(args, "--amqp-url", url)...)
		require.Equal(t, operate.ExitDone, got.code, got.err)
		return got.out
	}
	require.Eventually(t, func() bool { return strings.Contains(done("deadletters", "list", topic, "billing"), "second") }, patience, 10*time.Millisecond)
	require.Regexp(t, `(?m)^ID +NAME +GIVEN UP +TRIES +REASON\nsecond +\S+ +1 +nacked$`, done("deadletters", "list", topic, "billing"))
	var letters []map[string]any
	require.NoError(t, json.Unmarshal([]byte(done("deadletters", "list", topic, "billing", "--json")), &letters))
	require.Equal(t, "nacked", letters[0]["reason"])
	require.Equal(t, topic+".billing", letters[0]["queue"])
	require.Regexp(t, `(?m)^QUEUE +MESSAGES +CONSUMERS\n\S+billing +0 +1\n\S+billing\.dead +1 +0\n\S+nobody +is not there +-\n`,
		done("queues", "show", topic, "billing", "nobody"))
	require.NoError(t, subscriber.Close())

	require.Equal(t, topic+".billing: 0 messages, 0 consumers: would be made a quorum queue\n", done("queues", "upgrade", topic, "billing", "--dry-run"))
	require.Contains(t, done("deadletters", "requeue", topic, "billing", "--all", "--dry-run"), "second")
	require.Equal(t, "requeued second\n", done("deadletters", "requeue", topic, "billing", "second", "--yes"))
	require.JSONEq(t, `{"queue": "`+topic+`.billing", "moved": 1, "late": 0}`, done("queues", "upgrade", topic, "billing", "--json"))
	require.Contains(t, done("queues", "upgrade", topic, "billing", "--dry-run"), "1 messages, 0 consumers: is one already")
	got := dancefinder(t, "queues", "upgrade", topic, "biling", "--yes", "--amqp-url", url)
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, got.err, topic+".biling: there is no such queue")
	got = dancefinder(t, "deadletters", "requeue", topic, "billing", "second", "--amqp-url", url)
	require.Equal(t, operate.ExitFailed, got.code)
	require.Contains(t, got.err, "1 of 1 ids are not among the dead letters of "+topic+".billing")
}
