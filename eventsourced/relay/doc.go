// Package relay publishes the events of a log to other bounded contexts, and answers those
// who ask for history.
//
//	log ──▶ Relay ── in groups, in order ───────▶ RabbitMQ ──▶ other bounded contexts
//	          ▲                                                   │
//	          └────────── requests for history ───────────────────┘
//
// A [Relay] saves its position after the messages are safe, together with the
// position of the last message to each topic. The next message names that one, so
// that who receives them notices what is missing; see [messaging.MetaPrevious] and
// [ReplayRequest]. Invariants:
//
//   - a message is sent after those before it are safe, or together with them;
//   - what a message says came before it is the same each time it is sent;
//   - the parts of an event that was split, see [eventsourced.Replace], go to a topic in one
//     message, a [Page] of one position, so that nobody gets half of it; a part that leaves
//     alone is a message like any other. Their ids follow from the event's;
//   - after the last page of an answer, the next message to its topic follows the
//     page: both are sent by the goroutine that has the position.
//
// What may go wrong:
//
//	failure                                  what happens
//	the broker is down, refuses, is blocked  the group is sent again, later and later; the status says why
//	killed between sending and saving        the group is sent again, by whoever has the lease next
//	cut off without knowing it               two relays send for a moment: messages come twice
//	an event that can't leave                it is tried again, and nothing passes it, until it is left out: see [Relay.Skip]
//	killed in an answer                      the request was not acknowledged, and is answered anew
//
// What holds for all who go through a log (leases, states, failures, pause) stands in package
// consumer. Projections of another context take the messages by readview's
// Manager.AddRemote.
package relay
