// Package reactor does something about events, once for each: it issues commands, sends
// mails, calls other services. Others call it a process manager or a policy.
//
//	log ──▶ Reactor ── of a stream one event at a time, at least once ──▶ reaction
//	           │                                                            │ fails
//	           ├──▶ position: table consumers                               ▼
//	           ├──▶ done above the position: table reactor_done       tried again, over minutes
//	           ├──▶ put aside, by stream: table parked_events ◀──┐          │
//	           └──▶ passed over: table reactor_skipped           └── or stops there
//
// What may go wrong:
//
//	failure                               what happens
//	a reaction fails                      it is tried again, for [Config.RetryFor]; then the reactor stops there, or parks the event
//	its error says what it wants          [Retry]: when to try again; [Park]: park it now; [Skip]: pass over it, on record
//	a reaction panics, ends its goroutine it fails
//	a reaction does not return            it is on record; another node takes over
//	the database is down, or busy         it is tried for ever
//	killed before the position is saved   the event comes again: see [On] on how to make that harmless, or use [OnTx]
//	a reset of a read view                nothing: a reactor's position is its own
//
// # What is handled how often
//
// An event is handled until its reaction returns nil, so at least once. It is handled again
// if the process died, or the lease was lost, after the reaction and before that was on record:
// [Config.Concurrency] events at most, and those that ended in the moment before. What is on record
// as done is never handled again, also above the position. A reaction of [OnTx] commits its effects
// together with the record: they are there exactly once. An event that was split is handled, parked
// and on record as a whole.
//
// # Order
//
// Events of one stream are handled in the order of the log, one after the other, whatever fails.
// With a Concurrency of 1 so are all events that are not parked. With more, other streams go
// on while one is tried again, until they are 1000 events ahead of the first event that is not done;
// there the position stays. No connection is held, and no query open, while a reaction of [On] runs.
//
// # Parking
//
// When an event is parked, later events of its stream are parked behind it, untried. The rows and the
// position are written in one transaction. They are tried again when somebody resumes them: all, a
// stream's, or one and those before it ([Reactor.Resume], [Reactor.ResumeStream], [Reactor.ResumeEvent],
// or [Parking] in any other process), once each and in order; the first that fails keeps those behind it.
// What comes meanwhile follows them. The status counts what is parked. There are at most
// [Config.MaxParked]; then the reactor stops. Memory holds the names of the streams only.
//
// For events of another context see package inbox. What holds for all who go through a log (leases,
// states, failures, pause) stands in package consumer.
//
// # Decisions
//
//   - At least once is the rule, and said so: what a mail server has done can't be rolled back. [OnTx] is exactly once where effects and record
//     share a database.
//   - An event that fails holds up its stream and no other: order counts within a stream, and a reactor that waits for one customer's mail serves no one.
//   - The outcome is on record per event, also above the position, so that nothing that is done is done again because a neighbour failed.
package reactor
