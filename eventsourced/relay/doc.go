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
// [HistoryRequest]. Invariants:
//
//   - a message is sent after those before it are safe, or together with them;
//   - what a message says came before it is the same each time it is sent;
//   - the parts of an event that was split, see [eventsourced.Replace], go to a topic in one
//     message, a [Page] of one position, so that nobody gets half of it; a part that leaves
//     alone is a message like any other. Their ids follow from the event's;
//   - after the last page of an answer, the next message to its topic follows the
//     page: both are sent by the goroutine that has the position.
//
// History is pulled: who asks says how much is wanted, and asks for the next window when that is
// handled. Those who ask are served in turn, page by page, beside the live messages:
//
//	request.go   a request: topic, position, events, bytes, names, asker
//	answer.go    receive, take: it is acknowledged, and stands in the line
//	line.go      a newer one of the same asker replaces it; next: whose turn it is
//	history.go   collect: a look at the log fills the next page of a window
//	answer.go    serve: the page goes out; the end of the history is left to the follower
//	relay.go     between: it sends that between two groups
//
// What may go wrong:
//
//	failure                                  what happens
//	the broker is down, refuses, is blocked  the group is sent again, later and later; the status says why
//	killed between sending and saving        the group is sent again, by whoever has the lease next
//	cut off without knowing it               two relays send for a moment: messages come twice
//	an event that can't leave                it is tried again, and nothing passes it, until it is left out: see [Relay.Skip]
//	killed in an answer                      who asked asks again
//	where an answer is to go is not there    the answer is given up, with a warning; who asked asks again
//	a page is refused, perhaps as too large  it is halved, and so are those of the next minute
//	many requests have waited                the newest of each asker is answered
//
// What holds for all who go through a log (leases, states, failures, pause) stands in package
// consumer. Projections of another context take the messages by readview's
// Manager.AddRemote.
//
// # Decisions
//
//   - The log is the outbox: there is no table of messages beside it, nothing to write twice and nothing to clean up.
//   - A message names the one before it, so a receiver notices a gap by itself, whatever broker is between; no broker is trusted to keep all.
//   - History is asked for by who lacks it, and not sent by who guesses it: a new context, a reset and a lost queue are one case.
package relay
