// Package reactor does something about events, once for each: it issues commands, sends
// mails, calls other services. Others call it a process manager or a policy.
//
//	log ──▶ Reactor ── one event at a time, at least once ──▶ reaction
//	           │                                               │ fails, for long
//	           └──▶ position: table consumers                  ▼
//	                                            stops there, or parks the event and goes on
//
// What may go wrong:
//
//	failure                               what happens
//	a reaction fails                      it is tried again; then the reactor stops there, or parks the event
//	a reaction panics, ends its goroutine the same
//	a reaction does not return            it is on record; another node takes over
//	the database is down, or busy         it is tried for ever
//	killed before the position is saved   the event comes again: see [On] on how to make that harmless
//	a reset of a read view                nothing: a reactor's position is its own
//
// What holds for all who go through a log (leases, states, failures, pause) stands in package
// consumer.
package reactor
