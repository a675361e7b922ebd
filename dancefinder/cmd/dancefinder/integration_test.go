//go:build unix

package main

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	"github.com/dancefinder/eventsourcing/operate"
)

// broker returns the URL of a RabbitMQ: that of the environment, or a private one.
func broker(t *testing.T) string {
	t.Helper()
	if url := os.Getenv("TEST_AMQP_URL"); url != "" {
		return url
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server, err := devservices.StartRabbitMQ(ctx, devservices.RabbitMQConfig{})
	require.NoError(t, err, "or set TEST_AMQP_URL to a running broker")
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server.URL()
}

// What happens to dance halls leaves the process, and so does where they are, which
// geocoding found.
func TestProjectorPublishesToRabbitMQ(t *testing.T) {
	t.Parallel()
	url := broker(t)
	subscriber, err := amqpbus.NewSubscriber(url, amqpbus.SubscriberConfig{
		Group:    "test." + eventsourced.NewEventID().String(),
		Bindings: []string{"DanceHall.*"},
		Logger:   slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, subscriber.Close()) })
	require.NoError(t, subscriber.SubscribeInitialize(eventsTopic))

	d := newTables(t)
	projector := start(t, append(d.args([]string{"projector"}), "--amqp-url", url)...)
	d.imports(header + "2026-08-01,21.00-01.00,Ängs,Logen,Mora,Mora,Dalarna,\n")
	messages, err := subscriber.Subscribe(t.Context(), eventsTopic)
	require.NoError(t, err)
	created, geocoded := next(t, messages), next(t, messages)
	require.Equal(t, "DanceHallCreated", created.Metadata["name"])
	require.Equal(t, "DanceHallGeocoded", geocoded.Metadata["name"])
	require.Equal(t, created.UUID, geocoded.Metadata["causation_id"], "the one because of the other")
	require.Equal(t, created.Metadata["correlation_id"], geocoded.Metadata["correlation_id"])

	got := dancefinder(t, append(d.args([]string{"relay", "status"}), "--amqp-url", url)...)
	require.Equal(t, operate.ExitDone, got.code, got.err)
	require.Regexp(t, `^NAME .*\nrelay +relay +live +\d{16} .*\n$`, got.out)
	require.Equal(t, "1 dance halls on the map, 0 waiting, 0 not found, 0 failed\n", d.done("geocoding", "status"))
	require.Equal(t, "0 dance halls queued again\n", d.done("geocoding", "retry"))
	require.Contains(t, projector.err.String(), "events are published to RabbitMQ")
	require.Equal(t, operate.ExitDone, projector.stop())
}

func next(t *testing.T, messages <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case msg := <-messages:
		msg.Ack()
		return msg
	case <-time.After(patience):
		require.Fail(t, "no message")
		return nil
	}
}

func TestProjectorWithoutRabbitMQ(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	projector := start(t, d.args([]string{"projector"})...)
	projector.await(projector.err, "no AMQP_URL: events are published in this process only", patience)
	require.Equal(t, operate.ExitDone, projector.stop())
}

func TestWrongBrokerAndGeocoder(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	for says, args := range map[string][]string{
		"amqp://user:password@host:port/vhost": {"projector", "--amqp-url", "http://guest:secret@localhost/"},
		"want gazetteer or nominatim":          {"projector", "--geocoder", "atlas"},
		"Contact":                              {"projector", "--geocoder", "nominatim"},
	} {
		got := dancefinder(t, d.args(args)...)
		require.Equal(t, operate.ExitUsage, got.code)
		require.Contains(t, got.err, says)
		require.NotContains(t, got.err, "secret")
	}
}

func TestRoutingKeys(t *testing.T) {
	t.Parallel()
	for key, metadata := range map[string]message.Metadata{
		"DanceHall.Geocoded":          {"name": "DanceHallGeocoded", "aggregate_name": "domain.DanceHall"},
		"UserPreferences.BandIgnored": {"name": "BandIgnored", "aggregate_name": "domain.UserPreferences"},
	} {
		require.Equal(t, key, routingKey(&message.Message{Metadata: metadata}))
	}
}
