package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/amqpbus"
	log "github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/operate"
)

// What other bounded contexts need to know: all events go to one topic, and
// requests for history to the other. With RabbitMQ they are exchanges.
const (
	eventsTopic   = "dancefinder.events"
	requestsTopic = "dancefinder.requests"
)

// Names of positions in the table consumers. The in-process one says nothing of
// what RabbitMQ has.
const (
	relayName      = "relay"
	localRelayName = "relay.in-process"
	geocodingName  = "geocoding"
)

// bus is how events leave the process.
type bus struct {
	relayName string
	publisher message.Publisher
	requests  message.Subscriber
}

// openBus connects to nothing yet. Without a URL messages stay in the process.
func openBus(options appOptions) (bus, error) {
	url, logger, declare := options.amqpURL, options.logger, amqpbus.Declares(options.declare)
	if url == "" {
		local := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
		return bus{localRelayName, local, local}, nil
	}
	requests, err := amqpbus.NewSubscriber(url, amqpbus.SubscriberConfig{
		Group: relayName, QueueType: amqpbus.QueueType(options.queueType), Declare: declare, Logger: logger,
	})
	if err != nil { // it knows all that the publisher knows
		return bus{}, operate.UsageError{Err: err}
	}
	publisher, err := amqpbus.NewPublisher(url, amqpbus.PublisherConfig{RoutingKey: routingKey, Declare: declare, Logger: logger})
	if err != nil {
		return bus{}, operate.UsageError{Err: err}
	}
	return bus{relayName, publisher, requests}, nil
}

// routingKey returns "DanceHall.Geocoded" for a DanceHallGeocoded of
// domain.DanceHall, so that a queue can be bound to what happens to dance halls.
func routingKey(msg *message.Message) string {
	_, aggregate, _ := strings.Cut(msg.Metadata[messaging.MetaAggregateName], ".")
	return aggregate + "." + strings.TrimPrefix(msg.Metadata[messaging.MetaName], aggregate)
}

// integrate makes what reacts to events and what tells others of them.
func (a *app) integrate(options appOptions) (err error) {
	if a.bus, err = openBus(options); err != nil {
		return err
	}
	common := a.observed(options.logger)
	a.positions = log.NewStore(a.pool, common)
	if a.relay, err = a.relayNamed(a.bus.relayName, options.logger); err != nil {
		return err
	}
	geocoder, concurrency, err := a.geocoder(options)
	if err != nil {
		return err
	}
	a.geocoding = geocoding.NewWorker(a.pool, a.service, geocoder, geocoding.WorkerConfig{Concurrency: concurrency, Logger: options.logger})
	a.reactor, err = reactor.New(a.store, a.pool, reactor.Config{Config: common, Name: geocodingName},
		reactor.On(a.geocoding.Enqueue), reactor.On(a.geocoding.EnqueueUpdated))
	return err
}

// relayNamed returns the relay of that name, which goes through the log on its own.
func (a *app) relayNamed(name string, logger *slog.Logger) (*relay.Relay, error) {
	return relay.New(a.store, a.pool, a.bus.publisher, relay.Config{
		Config:       a.observed(logger),
		Name:         name,
		Topic:        func(eventsourced.Recorded) string { return eventsTopic },
		AppID:        "dancefinder",
		StartAtHead:  name == localRelayName, // nobody waits for the past
		Requests:     a.bus.requests,
		RequestTopic: requestsTopic,
	})
}

// geocoder returns the chosen one, and how many halls it may be asked for at once.
func (a *app) geocoder(options appOptions) (geocoding.Geocoder, int, error) {
	switch options.geocoder {
	case "", "gazetteer":
		return geocoding.Gazetteer{}, geocoding.DefaultConcurrency, nil
	case "nominatim":
		nominatim, err := geocoding.NewNominatim(a.pool, geocoding.NominatimConfig{BaseURL: options.nominatimURL, Contact: options.contact})
		if err != nil {
			return nil, 0, operate.UsageError{Err: err}
		}
		return nominatim, 1, nil
	}
	return nil, 0, operate.UsageError{Err: fmt.Errorf("--geocoder %q: want gazetteer or nominatim", options.geocoder)}
}

// announce says where events go.
func (a *app) announce(ctx context.Context, logger *slog.Logger) {
	if a.bus.relayName == localRelayName {
		logger.InfoContext(ctx, "no AMQP_URL: events are published in this process only")
		return
	}
	logger.InfoContext(ctx, "events are published to RabbitMQ", "exchange", eventsTopic)
}
