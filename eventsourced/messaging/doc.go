// Package messaging is the bridge between the log and Watermill: events go out as
// messages, and messages come in as events.
//
//	                     at least once, one event at a time
//	     ┌──▶ Subscriber ─────────────────────────▶ Router, cqrs.EventProcessor
//	     ├──▶ Reactor ────────────────────────────▶ commands, mails, calls of other services
//	     │        │
//	     │        └──▶ PositionStore: table consumers
//	     │        ┌──▶
//	log ─┼──▶ Relay ── in groups, in order ───────▶ RabbitMQ ──▶ other bounded contexts
//	     │        ▲                                                   │
//	     │        └────────── requests for history ───────────────────┘
//	     │              exactly once, in pages
//	     ├──▶ package readview ───────────────────▶ projections
//	     │
//	     └──◀ Publisher ◀───────────────────────── cqrs.EventBus, other brokers
//
// Projections do not use this [Subscriber]. They use package readview, which keeps
// the position in the transaction that writes the read view and so applies every
// event exactly once, and in pages. A Subscriber can't do either: it learns of a
// handler's work only by the Ack, after the fact, so an event whose Ack got lost
// comes again, and it knows nothing of transactions.
//
// # Messages
//
// [Marshal] makes a message of an event, in the event's current schema version,
// and [Unmarshal] an event of such a message, also of one that came by another
// broker. The message's UUID is the event's id, its payload the event's payload,
// and its metadata what the Meta constants say, besides the event's own.
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
// in whatever process, one is active and the others stand by; the lease in the
// [PositionStore] decides. Invariants:
//
//   - the position moves only forward, by the one who holds the lease, from where
//     that one knows it to be: whoever lost the lease unawares (a stopped process, a
//     lost network) finishes one event in vain and can't move the position back;
//   - no event is passed over: the position moves to an event that was acked, or to
//     the head of the log when no event of the topic is left below it;
//   - an event is repeated only if its Ack did not reach the position store, or came
//     after the lease was lost.
//
// What goes for a subscription goes for a [Relay] and a [Reactor]: they are the same
// follower of the log with something else to do for each event.
//
// # What goes wrong is on record
//
// Whatever keeps a consumer from handling events is in its [Status], within two
// seconds: in memory at once, and in the table consumers as soon as that can be
// written.
//
//	what                                          state             until
//	a try fails: reading, handling, saving        retrying          one succeeds
//	a call takes long                             catching up       it returns
//	a call hangs, see HangTimeout                 retrying          it returns; the lease ends, another node takes over
//	a reactor gives up an event                   failed            Resume, or a restart
//	the position is above the log's head          ahead of the log  the right log is back, another position, or Resume
//	a node dies at a failure                      standby           another one runs; the failure is shown
//
// A lease whose end is further away than leases are long is none: the database's clock
// went back. State and lag follow from what waits, not from dates in the future.
//
// # Relay
//
// A [Relay] saves its position after the messages are safe, together with the
// position of the last message to each topic. The next message names that one, so
// that who receives them notices what is missing; see [MetaPrevious] and
// [ReplayRequest]. Invariants:
//
//   - a message is sent after those before it are safe, or together with them;
//   - what a message says came before it is the same each time it is sent;
//   - after the last page of an answer, the next message to its topic follows the
//     page: both are sent by the goroutine that has the position.
//
// What may go wrong:
//
//	failure                                  what happens
//	the broker is down, refuses, is blocked  the group is sent again, later and later; the status says why
//	killed between sending and saving        the group is sent again, by whoever has the lease next
//	cut off without knowing it               two relays send for a moment: messages come twice
//	an event that can't leave                it is tried again, and nothing passes it
//	killed in an answer                      the request was not acknowledged, and is answered anew
package messaging
