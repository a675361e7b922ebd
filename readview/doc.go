// Package readview is the read side of event sourcing: projections, which turn the
// events of a log into tables, run as handlers of a Watermill router. Every event
// is applied exactly once and in order, whatever crashes, and however many nodes
// run the same projection.
//
//	balances := readview.Projection{
//		Name:     "balances",
//		Handlers: readview.Handlers{readview.On(onDeposited)},
//		Tables:   []string{"balance"},
//	}
//	manager, err := readview.NewManager(nil, store, pool, readview.Config{}, balances)
//	if err != nil {
//		return err
//	}
//	return manager.Run(ctx)
//
//	func onDeposited(ctx context.Context, tx readview.Tx, e *Deposited) error {
//		return readview.Exec(ctx, tx, `INSERT INTO balance AS b (account, amount) VALUES ($1, $2)
//			ON CONFLICT (account) DO UPDATE SET amount = b.amount + EXCLUDED.amount`, e.AggregateID(), e.Amount)
//	}
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
//	a node is stopped in a page, and goes on   the server ends its transaction after Config.HangTimeout
//	a reset, a pause, other handlers           pages that were read before find another checkpoint and are dropped
//	a middleware retries or duplicates         each call is a fresh transaction with the same comparison
//	a middleware acks first, or without a call the outcome of the call counts; without one the page is offered again
//	a middleware lets time run out             a page ends early at half of its time, and becomes smaller if that does not do
//	a handler does not return                  after Config.HangTimeout another node may take over; the router ends all the same
//	the connections lead to a replica now      they are given up, and new ones made
//	the database's clock goes back             a lease that is further away than its length is none
//	the log goes back                          its head is below the position: the projection stops, "ahead of the log"
//
// Leases in the table readview_states keep it to one node at a time, so that nodes
// do not read in vain; nothing else depends on them. When the active node dies,
// another one takes over within the PollInterval of [Config].
//
// The package has more than fifty names, because each call of the [Manager] that operators make has its
// options and its result, and [Consistency] needs the manager's positions and states: a program that only projects needs Projection, On, Exec, NewManager.
//
// # From a command to a row
//
// The files in the order in which an event passes them; nothing goes back.
//
//	eventsourced/repository.go       Update loads, acts, and appends what was recorded
//	eventsourced/pgstore/coalesce.go appends that meet go together, in one transaction
//	eventsourced/pgstore/append.go   the events get their positions under the log's lock, and are committed
//	eventsourced/pgstore/listen.go   a wake-up is sent, after the commit: a hint
//	tail.go                          hears it, or polls, for all projections at the end of the log, and reads what has come
//	log.go                           follow has it decoded; it has the lease, which keeper.go renews
//	read.go                          reads the page after the position instead, of one that is behind, and decodes it
//	router.go                        emits one message with the page; the application's middlewares; handle
//	page.go                          attempt: in a goroutine of its own, which a handler may end or hang up
//	apply.go                         apply, transact: begin
//	target.go                        what is written: the live tables, or those of a rebuild
//	position.go                      checkpoint: lock the position, compare it with the page's
//	park.go                          behind: is an earlier event of the aggregate parked?
//	call.go                          the handlers, event by event
//	exec.go                          Exec, or tx itself: the statements
//	internal/pipeline/doc.go         how they get to the server; and begin and commit
//	position.go                      set: the position, in the same transaction
//	apply.go                         commit
//	settle.go                        succeed: those who wait are told; or settle: another try, or the end
//	router.go                        the outcome counts, and the message is acked; log.go goes on
//	waitfor.go                       WaitFor returns; consistency_wait.go: Consistency.Wait; watcher.go: what both have heard or seen
//
// A message of another context comes in by another door, and goes the same way from apply.go on:
//
//	feed.go                          AddRemote: which topic, and where to ask for history
//	messages.go                      handle: the message's events are a page; process
//	messages.go                      proof: has the other log gone back?
//	publication.go                   stale, takePublished: does the relay still publish what this program was told?
//	messages.go                      take: is it the page's turn? It is known already, or it fits, or some are missing
//	ask.go                           miss: this one is kept until those before it have come, and that is asked for
//	early.go                         keep; next: it is its turn
//	asker.go                         ahead: the end of a window asks for the next one, while it is applied
//	page.go, apply.go, position.go, call.go, settle.go
//	ask.go                           done: an answer's end; attend: what else there is to ask and to complain about
//
// Both doors are a source (source.go) of what applier.go applies, which knows of neither.
//
// # The pipeline
//
// Handlers are written one statement at a time and executed many at a time. In a
// page, ExecContext only sends its statement on its way, with its arguments as they
// are then; the server works while the handlers go on. Outcomes are read with the answer to a
// query, which travels behind what is queued and sees it, when RowsAffected is asked for, and at
// the end of the page: each is one round trip. A statement from PrepareContext is prepared once
// a connection, and queued like any other.
// BEGIN travels with the first query and COMMIT with the last statements, so that a
// page whose handlers ask nothing is two round trips.
//
// Inserts of one row, upserts included, and updates and deletes of the row of a key are executed as one statement for many
// rows, also where a handler writes several tables in turn, or one by several statements:
//
//	INSERT INTO balance (account, amount) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE ...
//	INSERT INTO balance (account, amount) SELECT * FROM unnest($1, $2) ON CONFLICT (account) DO UPDATE ...
//	UPDATE balance SET amount = amount + $2 WHERE account = $1
//	UPDATE balance SET amount = amount + readview_2 FROM unnest($1, $2) AS readview_given (...) WHERE account = ANY (ARRAY[readview_1])
//
// That is for statements that are no more than this, with whole numbers, true, false or NULL beside their arguments, which an
// INSERT has in order, and without RETURNING, functions or subqueries, and for tables where nobody can tell:
// without triggers, rules or row security, and whose defaults, checks, domains, generated
// columns and indexes call nothing that may look at other rows. The key is a primary key or another unique index,
// not deferrable, of columns that are NOT NULL, of type SMALLINT, INT, BIGINT, TEXT, VARCHAR without a length, UUID or DATE, each of which is equal to an
// argument; an update sets no column of any unique index. Each page looks at the
// catalogue anew, see internal/pipeline/plain.sql. All others are executed as they are.
// A row goes to the first statement that it can be of, behind all those that have its key already, for an upsert and an update
// its own, too. Where the key is not all that is unique in the table, or an upsert sets it, rows of several statements for the table keep
// their order, and so do rows of tables that draw from a sequence. A statement takes 256 rows or 64 KiB of arguments. Anything else
// that a handler executes or asks is behind all of them, but a query of columns of the one row of a key only behind what may have
// changed that. The first row of a statement in a page goes by itself.
//
// A count of rows that is asked for at once, as by sqlc's :execrows for database/sql, is one round
// trip, in which all that was queued before is executed as well; such a statement goes with no
// others from then on. [ExecOne] checks a count without waiting: prefer it. [OnPgx] leaves the pipeline, as
// pgx has no result that comes later.
//
// Of all this a handler notices nothing but that an error may come to light after it
// has returned. When one does, the page is taken back, the events before are
// committed, and the event is applied alone with nothing queued, so that its handler
// sees its own error. The outcome is the same for pages of any size. A handler that sets
// a savepoint has its outcomes at once from there on, and so has a
// statement under a context of the handler's own. On a virtual
// machine of 2 cores with PostgreSQL 15 on loopback a catch-up with one upsert an
// event runs at about a hundred times the speed of a transaction per event, and at 1.1 to 1.7 of that
// of a loop written by hand with pgx.Batch ("make bench").
//
// # What a handler may do to its transaction
//
// What it sets is gone with its event: a role, a search path, timeouts, cursors,
// temporary tables, prepared statements, locks of the session. An event whose handler
// does that is applied in a transaction of its own, in which the position is moved
// first, and if anything may be left in the session, the connection is given up. That
// is found out by the text of the statement, and of the functions that it or a trigger of
// its table calls; what those call in turn is not seen. It costs speed, and nothing else.
//
// What it must not do is refused and on record at its event: COMMIT, ROLLBACK, BEGIN, a
// statement while the rows of a query are open, rows that are left open. Whoever uses tx
// after the handler has returned gets [sql.ErrTxDone].
//
// # States
//
//	           ┌───────────── Resume, restart ─────────────┐
//	           ▼                                           │
//	standby ─▶ catching up ⇄ live ── an event fails ─▶ failed
//	           ▲    │  ▲     ▲  │                      (position kept just before the event)
//	     retrying ◀─┼──┼─────┼──┤ an error
//	      stalled ◀─┼──┼─────┼──┘ a second without getting on
//	          Pause ▼  │ Resume     └── the log's head is below the position ─▶ ahead of the log ── reset, Resume
//	               paused
//
// Live means that an event would be applied now. Whatever keeps one from being applied
// is in [consumer.Status].Failure within two seconds, with the event if it is about one, the error,
// the tries and since when; the state is retrying as long as it goes on. That holds for
// an error, for a handler that has not returned, for a lock (then it says whose), for a
// log that can't be read and for a middleware that refuses pages. Such a projection is stalled, with the
// sessions that hold its lock; one whose tries have failed is retrying.
//
// An event that can't be applied, by an error, a panic, or because it does not
// decode, stops its projection and no other, or is parked, see below. The page's earlier events are
// committed, the event is tried [Config.Attempts] times, and for [Config.RetryFor] when its error
// may pass (a statement timeout, a connection that was lost while its handler ran);
// then it is on record with its error. What is not the event's (a server that is
// starting or short of something, a deadlock, a lock) is retried for ever.
//
// # An event that can't be applied
//
// [Manager.Show] has what is known of it, [Manager.DryRun] what its handler would do. The way past it is [Manager.Skip],
// or [Manager.Park], which puts it aside; with [ParkFailures] the projection parks by itself:
//
//	an event of a stream fails ──▶ parked, position moves past it; others flow
//	a later one of the stream  ──▶ parked behind it, not tried
//	Retry, of each stream      ──▶ the first one is applied and taken off the list, in one transaction; then the next
//	nothing of it is parked    ──▶ its events are applied as they come
//
// Who parks and who retries holds the projection's lock, as who applies a page does: so nothing comes out of order, whoever
// does what at the same time. How many events are parked or skipped is in [consumer.Status]: that the tables lack
// them is a debt which only Retry, a reset and a rebuild pay.
//
// # Several programs
//
// In a rolling deployment two programs run a projection, and perhaps the newer one
// handles more events than the older. Then the older one stands by, as it would pass
// over events, also when it restarts; its status has [ErrOlderProgram]. A program that
// handles an event of which some were passed over is refused with [ErrNewEvents], unless
// it accepts that. Both are cured by a reset with the program that is to run.
//
// What else has changed a program says by [Projection.Version]: the identity of what is in the
// tables is the name, the version, the handled names and the tables' definition, stored beside the
// position. Of two versions the higher one runs, and the lower one stands by, until somebody
// resets or rebuilds with the lower one: then it is the other way round, and the higher one does not
// come back by itself. What the higher one finds of the lower one [Projection.WhenChanged] says:
//
//	RefuseWhenChanged   it is refused with [ErrChanged]; what runs the lower one goes on
//	ResetWhenChanged    one process resets it: under the projection's lock it looks whether another one has
//	RebuildWhenChanged  one process rebuilds it, see rebuild.go; what runs the lower one goes on until then
//
// [Manager.Ready] tells which of these it would be, before a deployment.
//
// # Events of another context
//
// [Manager.AddRemote] runs a projection whose events come as messages of another
// context's relay. The table of failures above holds there too, and besides:
//
//	failure                                what happens
//	a message comes twice, or late         its position is not above the stored one: it is passed over
//	one comes too early                    it is kept for a moment, until the one before it has come
//	one is missing                         the next one names a position that is not known: history is asked for
//	the last one is missing                nothing tells, so history is asked for now and then when it is quiet
//	the request or its answer is lost      it is asked again
//	nobody answers                         it is retrying, with how often and since when it was asked in vain
//	the other context can't send an event  what comes before it is applied, and it is retrying, with that event
//	it is paused or failed                 the message is held, and the broker keeps those after it
//	the broker is down, the queue refused  it is retrying, with the subscriber's word for why
//	the origin's log went back             the relay's head, or a message, proves it: it is ahead of the log
//
// # Reading one's own writes
//
// A projection is a little later than the log. [Consistency] carries the position of a write to
// the reads that must see it:
//
//	write: position ──▶ token {log, position, HMAC} ──▶ the client
//	read:  token ──▶ verify ──▶ wait until the database that answers has position ──▶ answer
//
//	the projection is                       the read
//	at the position                         is answered
//	live, or another node takes over        waits, up to the limit, then is answered stale and told so, or refused
//	failed, paused, ahead of the log        does not wait
//	being rebuilt: reset, not back yet      does not wait
//	late or retrying for longer than that   does not wait
//
//	the token is
//	changed, or of another key              refused
//	of another log                          refused
//	above the head of a log that went back  refused
//
// All who wait share one goroutine and one query for each look, at the database that answers: this
// process's pages wake it, others' are found at intervals. While nobody waits there is neither.
//
// # Tables and positions
//
// [Projection.Tables] is what a projection writes. No two projections of a manager have one in common, a
// projection waits as long as one is missing, and a reset has to empty these and no other projection's:
// found out beforehand with [Truncate], and with any other handler when it has run, before the commit.
//
// Positions are in the table readviews, or in what [Config.Positions] says; see [PositionStore]. It has the
// position only. Pauses, failures and leases are the manager's own business, in a table of its own: a store that
// an application writes need not know of them.
//
// # Reset
//
// [Manager.ResetProjection] empties the tables, sets the position to 0 and raises
// the generation, in one transaction under the same lock. There are never empty
// tables with an old position, nor full ones with position 0.
//
// Handlers have no effects but those on their transaction; with side effects they
// would have them again after each reset.
//
// # Rebuild, rollback, verify
//
// [Manager.Rebuild] replays a projection into shadow tables, in a schema <schema>_rebuild_<name> that is before the live
// one in the search path, by the same appliers and handlers as ever. Then the live tables get the content, at one position, in one transaction:
//
//	checked ─▶ building ─▶ replaying ─▶ indexing ─▶ catching up ─▶ applying ────────────▶ done, kept ─▶ cleaned up
//	  │            │           │            │            │     └─▶ waiting ─▶ swapping ──▶   │
//	refused        └───────────┴────────────┴────────────┴───── failed, cancelled: the        └─ Rollback: the same way
//	(ErrImpossible)                                             shadow schema is dropped         with what is kept
//
//	what dies, and when                          what is there afterwards
//	in building                                  nothing: it is one transaction
//	in replaying, indexing, catching up          the live tables as they were; the shadows and their position, which were committed together, are
//	                                             gone on with by the next call, if program and tables are the same, or made anew
//	in applying, swapping                        one transaction: before or after, never between
//	after that, before cleaning up               it is done; the next call, or Cleanup, drops the shadows
//	in a rollback                                likewise; what was kept is kept on, as far as it has been brought
//	the server                                   likewise. The call itself goes on when the server is back
//
// Invariants:
//
//   - The row of readview_rebuilds has the shadows' position, and is written in every page's transaction. A run has an id of its own: whoever
//     takes over changes it, and pages of another run find no row. An advisory lock of the session keeps it to one at a time in the cluster.
//   - Before the live tables change, their position is locked, the shadows are brought to it, and the definitions of both are compared: the projection
//     stands still from then to the commit, and its readers do not.
//   - At the end of every page the locks of its transaction are looked at: whoever has touched a live table, or written what is not
//     a shadow, has the page taken back, and is told by name ([ErrEscaped]).
//   - Applying writes the rows that differ, and compares them again before the commit. Every snapshot sees the old rows or the new ones.
//   - Swapping waits for all transactions of the database that have a snapshot from before: DDL is not MVCC, and they would find empty tables. Its locks
//     are asked for in short tries, so that a long reader never makes everybody wait.
//
// What is skipped or parked is tried again by a rebuild, and stays on record if it fails again. [Manager.Verify] compares a replay up to
// the projection's position, with what is skipped and parked left out, in one snapshot of both.
//
// # Operator log
//
// What somebody does to a projection (a reset, a pause, ...) is in the table readview_operations, written
// in the transaction that does it, with who did it: [Manager.Operations]. The actor is that of the context,
// see [eventsourced.WithActor].
package readview
