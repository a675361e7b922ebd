// Package jetstream tests the framework over NATS JetStream: three servers in this process, streams
// with three replicas, and watermill-nats as it comes. It is a module of its own: nobody who
// imports the framework needs what it requires.
//
// What such a transport has to be set up with is in newBus:
//
//   - a stream for each topic, made before it is subscribed to: a stream's name has no dots, a
//     topic's subject may;
//   - a durable consumer for each group, with DeliverAll and MaxAckPending 1: one message comes
//     at a time, in order, whichever subscriber of the group receives it;
//   - the JSON marshaler: NATS headers take no line breaks.
package jetstream
