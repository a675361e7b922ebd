// Package readview is the read side of event sourcing: projections, which turn the
// events of a log into tables, run as handlers of a Watermill router. Every event
// is applied exactly once and in order, whatever crashes, and however many nodes
// run the same projection.
//
//	balances := readview.Projection{
//		Name:     "balances",
//		Handlers: readview.Handlers{readview.On(onDeposited)},
//		Reset:    readview.Truncate("balance"),
//		Tables:   []string{"balance"},
//	}
//	manager, err := readview.NewManager(router, store, pool, readview.Config{})
//	err = manager.Add(balances)
//	err = router.Run(ctx)
//
// # How a projection advances
//
//	a goroutine of each projection              the router's handler, inside the app's middlewares
//
//	wait: wake-up, poll, resumed                begin
//	read the next page of the events              lock the row in readviews
//	  that the projection handles                 compare its position with the page's start
//	emit ONE message with the page  ─────────▶    call the handlers, event by event
//	once it is locked, read the next one          position = last event of the page
//	wait for the ack                ◀─────────  commit; ack; after an error roll back and nack
//
// The position is locked, compared and set in the transaction of the handlers'
// writes. From this alone follows that an event counts once:
//
//	failure                                    what happens
//	a node dies at any point                   the server rolls back, or had committed the position too
//	the commit's outcome is unknown            the page is offered again; what is applied is passed over
//	two nodes apply the same page              one waits for the lock, then finds it done
//	a node is stopped in a page, and goes on   the server ends its transaction after Config.IdleTimeout
//	a reset, a pause, other handlers           pages that were read before find another checkpoint and are dropped
//	a middleware retries or duplicates         each call is a fresh transaction with the same comparison
//
// Leases in the table readview_states keep it to one node at a time, so that nodes
// do not read in vain; nothing else depends on them. When the active node dies,
// another one takes over within [Config.PollInterval].
//
// # The pipeline
//
// Handlers are written one statement at a time and executed many at a time. In a
// page, ExecContext only sends its statement on its way, with its arguments as they
// are then; the server works while the handlers go on. Outcomes are read when a query
// needs what was written, when RowsAffected is asked for, and at the end of the page.
// BEGIN travels with the first query and COMMIT with the last statements, so that a
// page whose handlers ask nothing is two round trips.
//
// Inserts of one row that follow each other, upserts included, are executed as one
// statement for many rows:
//
//	INSERT INTO balance (account, amount) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE ...
//	INSERT INTO balance (account, amount) SELECT * FROM unnest($1, $2) ON CONFLICT (account) DO UPDATE ...
//
// That is for statements that are no more than this, with their arguments in order
// and without RETURNING, functions or subqueries, and for tables without triggers,
// rules or row security, where nobody can tell; all others are executed as they are.
// A row whose key is in the statement already begins another one, and so does what
// comes after 256 rows or 64 KiB of arguments.
//
// Of all this a handler notices nothing but that an error may come to light after it
// has returned. When one does, the page is taken back, the events before are
// committed, and the event is applied alone with nothing queued, so that its handler
// sees its own error. The outcome is the same for pages of any size. A handler that sets
// a savepoint or prepares a statement has its outcomes at once from there on. On a virtual
// machine of 2 cores with PostgreSQL 15 on loopback a catch-up with one upsert an
// event runs at 106 times the speed of a transaction per event, and at 1.65 of that
// of a loop written by hand with pgx.Batch ("make bench").
//
// # States
//
//	           ┌───────────── Resume, restart ─────────────┐
//	           ▼                                           │
//	standby ─▶ catching up ⇄ live ── an event fails ─▶ failed
//	                │  ▲                             (position kept just before the event)
//	          Pause ▼  │ Resume
//	               paused
//
// An event that can't be applied, by an error, a panic, or because it does not
// decode, stops its projection and no other. The page's earlier events are
// committed, the event is tried [Config.Attempts] times, then it is on record with
// its error. What may pass (a lost connection, a deadlock, a server that is
// starting) is retried for ever.
//
// # Events of another context
//
// [Manager.AddRemote] runs a projection whose events come as messages of another
// context's relay. The table of failures above holds there too, and besides:
//
//	failure                                what happens
//	a message comes twice, or late         its position is not above the stored one: it is passed over
//	one is missing, or comes too early     the next one names a position that is not known: history is asked for
//	the last one is missing                nothing tells, so history is asked for now and then when it is quiet
//	the request or its answer is lost      it is asked again
//	it is paused or failed                 the message is held, and the broker keeps those after it
//
// # Reset
//
// [Manager.ResetProjection] empties the tables, sets the position to 0 and raises
// the generation, in one transaction under the same lock. There are never empty
// tables with an old position, nor full ones with position 0.
//
// Handlers have no effects but those on their transaction; with side effects they
// would have them again after each reset.
package readview
