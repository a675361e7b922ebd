// Package messaging is the bridge between the log and Watermill: events go out as
// messages, and messages come in as events.
//
//	                     at least once, one event at a time
//	log ─┬──▶ Subscriber ─────────────────────────▶ Router, cqrs.EventProcessor
//	     └──◀ Publisher ◀───────────────────────── cqrs.EventBus, other brokers
//
// Projections do not use this [Subscriber]. They use package readview, which keeps
// the position in the transaction that writes the read view and so applies every
// event exactly once, and in pages. A Subscriber can't do either: it learns of a
// handler's work only by the Ack, after the fact, so an event whose Ack got lost
// comes again, and it knows nothing of transactions. What is to be done about an event is a
// reaction of package reactor, and what other contexts are to hear of is for package relay:
// see docs/cqrs.md on what to use for what.
//
// # Messages
//
// [Marshal] makes a message of an event, in the event's current schema version,
// and [Unmarshal] an event of such a message, also of one that came by another
// broker. The message's UUID is the event's id, its payload the event's payload,
// and its metadata what the Meta constants say, besides the event's own and its tags. An
// event that was split is several messages, one after the other, and the position moves after
// the last one; one that means nothing any more is none.
//
// # Delivery
//
// A subscription sends one message and waits for its Ack before the next, so
// events arrive in the order of the log. After a Nack the same event comes again,
// later and later, and nothing else comes before: what can never be handled has to
// be acked at last, by the handler or a middleware such as PoisonQueue.
//
// Watermill's cqrs components take a [Marshaler], made from the registry.
//
// The position of a consumer group advances after the Ack, so an event comes again
// when the process dies in between. Of several subscribers of one group and topic,
// in whatever process, one is active and the others stand by: see package consumer, which
// has also what goes for their states and failures.
package messaging
