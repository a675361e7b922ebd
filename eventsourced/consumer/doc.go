// Package consumer is who goes through the log: what projections, reactors, relays and
// subscribers have in common.
//
//	                        Follower: lead, read, handle, save
//	     ┌──▶ package messaging: Subscriber ──────▶ Router, cqrs.EventProcessor
//	log ─┼──▶ package reactor ────────────────────▶ commands, mails, calls of other services
//	     ├──▶ package relay ──────────────────────▶ RabbitMQ ──▶ other bounded contexts
//	     │
//	     └──▶ package readview ───────────────────▶ projections, with a position of their own
//
// All have a name, a position in the log, a [State] of one set, a [Status], a [Failure] when
// they don't get on, and a [Config]. A program makes one Config and gives it to all, and [Run] runs
// them and ends them in order. [Store] is the table consumers, for those who run consumers and those who
// look after them.
//
// The package has more than fifty names for two reasons. Each state, kind and outcome is a constant. And
// besides what a program needs (Config, Run, Store, Status, Observer, Tracer) there is what
// a consumer is made of: [Follower], [Work], [Part], [Watch], [WorkError], [LeaseStore] and the methods of Store that take
// a transaction. Packages reactor, relay and messaging are made of these, and so may be a kind of consumer
// of your own; nobody else needs them.
//
// Of several nodes that run a consumer, one is active and the others stand by; the lease in
// the [LeaseStore] decides. Invariants:
//
//   - the position moves only forward, by the one who holds the lease, from where
//     that one knows it to be: whoever lost the lease unawares (a stopped process, a
//     lost network) finishes one event in vain and can't move the position back;
//   - no event is passed over: the position moves to an event that was handled, or to
//     the head of the log when no event of the consumer's is left below it;
//   - an event is repeated only if what was done about it did not reach the position store,
//     or came after the lease was lost.
//
// # States
//
//	             ┌─────────────── Resume, restart ───────────────┐
//	             ▼                                               │
//	standby ─▶ catching up ⇄ live ── gives up an event ───────▶ failed
//	             ▲    │  ▲     ▲  │
//	       retrying ◀─┼──┼─────┼──┤ an error
//	        stalled ◀─┼──┼─────┼──┘ a call that does not return
//	            Pause ▼  │ Resume     └── the log's head is below the position ─▶ ahead of the log
//	                 paused
//
// A consumer that is paused begins nothing new, on all nodes, when Pause has returned (it waits for the node's next
// renewal, two seconds at most); what is being handled then ends first. A restart changes nothing about it.
//
// Whatever keeps a consumer from handling events is in its Status, within two seconds: in
// memory at once, and in the table as soon as that can be written.
//
//	what                                          state             until
//	a try fails: reading, handling, saving        retrying          one succeeds
//	a call takes longer than 1.5 s                stalled           it returns
//	a call hangs, see Config.HangTimeout          stalled           it returns; the lease ends, another node takes over
//	a reactor gives up an event                   failed            Resume, or a restart
//	somebody pauses it                            paused            Resume
//	the position is above the log's head          ahead of the log  the right log is back, another position, or Resume
//	a node dies at a failure                      standby           another one runs; the failure is shown
//
// A lease whose end is further away than leases are long is none: the database's clock
// went back. State and lag follow from what waits, not from dates in the future.
//
// # Decisions
//
//   - Position and lease are one row: whoever saves a position proves by the same statement that it still has the lease.
//   - The lease ends by the database's clock, never by a node's: those differ, and a node that was stopped does not know it.
//   - A state follows from what is stored and what waits, it is stored nowhere itself: so no crash leaves behind a state that is not true.
package consumer
