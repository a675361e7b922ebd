// Package amqpbus carries messages over RabbitMQ without losing any: a Watermill
// Publisher and Subscriber with the settings, and around them the code, that it
// takes.
//
//	topic ─▶ exchange of its name ─┬─ binding "#" ──────────▶ queue topic.group ─▶ Subscriber
//	         (durable, type topic) └─ binding "BandCreated" ▶ another queue ─────▶ any AMQP client
//
// A topic is an exchange, and the routing key is the message's name, so that a
// client which is no Watermill program binds a queue of its own to what it wants.
// A [Subscriber] has one queue for each topic and group, with all of the topic's
// messages, in order.
//
// # The Subscriber
//
// It is our own, over the client library of watermill-amqp, whose Subscriber does not
// tell when it can't receive. It is set up so:
//
//	setting                                why
//	durable exchange and queue             they outlive a restart of the broker; messages are persistent anyway
//	classic or quorum queue, by choice     with either, what was confirmed outlives a crash; in a cluster a quorum queue also goes on without the node
//	x-single-active-consumer               of several nodes one receives and the others stand by: with two, messages would overtake each other
//	prefetch 1, or more                    one message is handed out at a time, or AtOnce; more only wait here, and go back all at once, in order
//	queue declared and bound at Subscribe  before that, what is published is confirmed and dropped: see [Subscriber.SubscribeInitialize]
//	other headers than strings left out    a redelivered message has numbers among them, which would keep it from being unmarshalled, for ever
//	deliveries without a broker refused    at a reconnect an empty one can arrive, which would be handled as a message
//	heartbeat, dial timeout, back-off      a connection that hangs is noticed within 15 seconds; a broker that is down is waited for, with jitter
//	x-delivery-limit -1                    from version 4 on quorum queues drop what was delivered 20 times, unless told not to; a queue that does is refused
//
// Subscribe does not fail when the broker is down, as a handler of a router whose
// Subscribe fails is stuck: [Subscriber.Problem] tells why nothing comes. A message that was
// nacked is not given back to the broker, which would deliver it again at once and
// for ever: it comes again from here, after a back-off, and nothing else before it.
// [SubscriberConfig.Attempts] limits how often, after which it goes to a dead-letter
// queue. That is for reactors. A projection must not have it: it would go on without
// an event.
//
// # Dead letters
//
// A dead letter is the message as it came, with headers that say why ("nacked", or the
// handler's error with the middleware [Reasons]), when, after how many tries, and where it
// came from: dead_letter_reason, _time, _tries, _queue, _topic. [Subscriber.DeadLetters]
// lists them, and [Subscriber.Requeue] puts them back to the end of the queue they came from.
//
// # Clusters
//
// The constructors take the URLs of several nodes, separated by commas. A connection goes to
// the first that takes it, from a random one on, and after a failure to the next one; a node
// that does not answer holds that up for 3 seconds. Take [Quorum] queues, for requests too: a
// Classic one is gone for as long as its node is. [Subscriber.Upgrade] makes quorum queues of
// classic ones.
//
// # Queues that others declare
//
// [Declares] says what is made and what has to be there already. With DeclareNothing a
// publisher needs the permission to write to its exchanges and a subscriber that to read its
// queue (with Attempts, also to write to amq.default, the exchange by which dead letters go).
// Who declares has to do it so:
//
//	exchange  <topic>          type topic, durable
//	queue     <topic>.<group>  durable; x-single-active-consumer true, unless Competing; no TTL, no length
//	                           limit, no expiry; a quorum queue of RabbitMQ 4 with x-delivery-limit -1,
//	                           by argument or by policy (delivery-limit)
//	binding   of the two       with routing key #
//	queue     <topic>.<group>.dead  durable, with Attempts only
//	queue     <topic>.<group>.answers-<id>  see Subscriber.Answers: not with DeclareNothing; x-expires a minute
//
// AMQP shows neither arguments nor policies, so that nothing but their being there is checked
// then. Otherwise the broker compares the arguments, and a queue with others, a delivery limit
// among them, is a Problem. A policy shows nowhere: rabbitmqctl list_queues name policy.
//
// # The Publisher
//
// It is our own as well. The one of watermill-amqp waits for
// the broker's confirm of each message before it sends the next one, which makes
// about a sixth of the rate; its pool of channels leaks; its transactions can fail
// and say nothing. This one sends all messages of a Publish and then waits for all
// confirms, on one channel. When Publish returns nil, the broker has every message.
//
// # What remains
//
// RabbitMQ delivers at least once: after a lost connection a message comes again,
// and one that was under way when its consumer went may come after the next. And it
// loses what is in a queue that somebody deletes, or that reaches a limit somebody set. Package readview notices both, and asks the owner for what is
// missing; any other consumer has to be content with it.
package amqpbus
