// Package inbox lets a context react to the events of another one: a reactor whose log is what
// the other context's relay publishes.
//
//	relay ──▶ broker ──▶ reception ──▶ table inbox_events ──▶ Reactor ──▶ commands, events of one's own log
//	  ▲                     │ asks for history                   │
//	  └─────────────────────┘                                    └──▶ position: table consumers
//
// The reception is a projection, named "inbox." and the reactor's name: each event is written to
// the table once, in the transaction that moves the projection's position, and it notices
// gaps and asks for history as every projection of package readview does that has a
// [readview.Feed]. The reactor goes through the table as it would through a log, with all that
// package reactor promises: tries over minutes, parking by stream, concurrency, a status. So a
// reaction that takes long, or fails for an hour, holds up no message: broker and relay see a
// consumer that is always done.
//
// What may go wrong:
//
//	failure                                     what happens
//	messages are lost, repeated, out of order   the reception notices, and asks for what is missing
//	the broker or the other context is down     the status says so; what has come is handled
//	an event can't be decoded                   the reception stops there, the status says so; Resume
//	a reaction fails                            as at home: it is tried again, then parked, or the reactor stops
//	killed at any point                         nothing is lost; a reaction of reactor.On may come again,
//	                                            one of reactor.OnTx is done exactly once
//	the reception is reset                      history comes again; what was handled is not handled again
//	a reaction is added                         it begins with what comes from then on, as at home
//	one is taken away while events wait         they are passed over, with a warning in the log for each name
//	an older program runs again                 it stands by, the status says so, until it is reset with it
//
// What has been handled is deleted, within seconds; what is parked stays until it is
// done. So the table holds what waits: up to all of the other context's history of the events
// that are reacted to, when a new reactor is slow.
//
// A position set back in the table consumers finds nothing there any more: reset the reception as
// well ([Inbox.Reset], or the command readviews reset), which brings the history.
package inbox
