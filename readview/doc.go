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
// To begin with, this and [Projection], [On], [Exec], [NewManager] and [Manager.WaitFor] are all that is
// needed. What follows is for one question each:
//
//	How a projection advances              why an event counts once, and what happens when something fails
//	From a command to a row                the walk through the code, file by file
//	The pipeline                           what makes handlers fast, and what makes them slow
//	What a handler may do                  savepoints, settings, temporary tables
//	States                                 what a status says
//	An event that can't be applied         skip, park, retry
//	Several programs                       rolling deployments, versions
//	Events of another context              messages instead of the log
//	Reading one's own writes               tokens
//	Tables and positions, Reset            what a reset empties, positions of one's own
//	Rebuild, rollback, verify              a replay beside the live tables
//	Operator log                           who has done what
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
// In a catch-up the next page is read by the time of the commit. Then its transaction begins at the same time, on another connection that is
// idle, and waits for the lock. So a catch-up costs a page one round trip to the server and not two; nothing else is different: whoever waits
// for the lock already has it first, a commit that fails leaves the old position to be found, and a lock that is not taken up, as a middleware
// holds the page, is given back in a twentieth of a second.
//
// The position is locked, compared and set in the transaction of the handlers'
// writes. That alone makes every event count exactly once:
//
//	failure                                    what happens
//	a node dies at any point                   the server rolls back, or had committed the position too
//	the commit's outcome is unknown            the page is offered again; what is applied already is passed over
//	two nodes apply the same page              one waits for the lock, then finds it done
//	a node is stopped in a page, and goes on   the server ends its transaction after Config.HangTimeout
//	a reset, a pause, other handlers           pages that were read before find another checkpoint and are dropped
//	a middleware retries or duplicates         each call is a new transaction with the same comparison
//	a middleware acks early, or never calls    only what the handler's call returned counts; without a call the page is offered again
//	a middleware's time is nearly over         the page ends after half of the time, and later pages are smaller if that is not enough
//	handlers are slow                          after 2 s of them the transaction ends with an event, and the page goes on in the next one
//	a connection is lost in a page             the page is begun anew, and the second time the status says so
//	a handler does not return                  after Config.HangTimeout another node may take over; the router can end all the same
//	the connections lead to a replica now      they are given up, and new ones made
//	the database's clock goes back             a lease that ends later than leases are long does not count
//	the log goes back                          its head is below the position: the projection stops, "ahead of the log"
//
// Leases in the table readview_states keep a projection to one node at a time, so that the others
// do not read the log in vain; nothing else depends on them. When the active node dies,
// another one takes over within the PollInterval of [Config].
//
// The package has more than fifty names, because each call of the [Manager] that operators make has its
// options and its result, and [Consistency] needs the manager's positions and states.
//
// # From a command to a row
//
// The files in the order in which an event passes them. The transaction of a page is the part from apply.go to apply.go;
// the message that carries the page, the part from router.go to router.go.
//
//	eventsourced/repository.go        Update: load the aggregate, let it act, append what it has recorded
//	eventsourced/repository_turn.go   ... one change of it after the other, each on the events of the one before
//	eventsourced/pgstore/append.go    Append: makes a request of the events
//	eventsourced/pgstore/coalesce.go  requests that meet share a transaction; one that meets none goes alone, by append.go's sendOwn
//	eventsourced/pgstore/exchange.go  sends it: data, the log's lock, positions, insert, commit, in one round trip
//	eventsourced/pgstore/append.sql   with this SQL; of one event by itself eventsourced/pgstore/append_one.sql
//	eventsourced/pgstore/listen.go    wake: tells listeners that there is something new; only a hint
//	tail.go                           hears the hint, or polls, and reads what is new for all projections at the end of the log
//	log.go                            follow: makes a page of it, while this node has the lease, which keeper.go renews
//	read.go                           for a projection that is behind instead: reads the next page while the one before is applied
//	router.go                         emit: one message with the page, through the application's middlewares, to handle
//	page.go                           attempt: in a goroutine of its own, as a handler may end it, or never return
//	apply.go                          apply, transact
//	edge.go                           begin: the transaction, or the one that was begun while the page before committed
//	target.go                         which tables: the live ones, or shadows of them in a rebuild
//	position.go                       checkpoint: lock the position; transact compares it with the page's start
//	park.go                           behind: which streams have parked events, which later ones have to follow?
//	call.go                           foresee: what they will look up; then the handlers, event by event
//	exec.go                           what a handler calls: Exec, or the methods of its Tx
//	internal/pipeline/doc.go          how statements get to the server, and BEGIN and COMMIT with them
//	position.go                       set: the new position, in the same transaction
//	apply.go                          commit; edge.go meanwhile begins the next page's transaction, if that page is read
//	router.go                         handle returns, and the message is acked; emit has the outcome, and follow goes on in log.go:
//	settle.go                         succeed: tells those who wait; after an error settle: another try, or the projection stops
//	waitfor.go                        WaitFor returns, and so does Consistency.Wait in consistency_wait.go; both wait in watcher.go
//
// A message of another context comes in by another door, and joins the way above at page.go:
//
//	feed.go          AddRemote: which topic, and where to ask for history
//	receive.go       receive: subscribes, and hands messages to the router
//	messages.go      handle: a message's events are a page (eventsourced/relay/page.go); process
//	messages.go      proof: does it prove that the other context's log went back? Then the projection stops
//	publication.go   stale: has the projection failed at this event? Then it asks for it anew: its form may be another one now
//	publication.go   takePublished: does the other context publish more than when this projection began? Then it stops
//	messages.go      take: is it the page's turn? One that is applied already is passed over
//	    its turn:    asker.go ahead: at the end of a window of history, asks for the next one
//	                 gather.go gather: those that wait behind it, if the subscriber hands out several at once, are of the same page
//	                 page.go and so on, as above
//	    too early:   ask.go miss: keeps it in early.go, and asks for what is missing before it
//	ask.go           done: notes how far the history is
//	early.go         next: one that was kept, and whose turn it is now, goes through process as well
//	ask.go           attend, beside all of this: asks when it is quiet, and puts on record what keeps messages from coming
//
// Both doors are a source (source.go) of what applier.go applies. That asks neither how a page has come; of the log it has the
// page after, for edge.go, and of a feed the topic, for the record.
//
// # The pipeline
//
// Handlers are written one statement at a time and executed many at a time. Within a
// page, ExecContext only sends its statement on its way, with its arguments as they
// are then, and the server works while the handlers go on. These wait for the server, each for one round trip:
//
//   - a query, which travels with all statements before it and sees what they did;
//   - a look at RowsAffected, as sqlc's :execrows for database/sql takes. Use [ExecOne] instead where one row is
//     expected: it does not wait;
//   - the end of the page.
//
// BEGIN travels with the first query and COMMIT with the last statements: a page whose handlers ask
// nothing is two round trips, and one in a catch-up, where the first of them is under way during the commit before. A statement from PrepareContext is prepared once a connection, and queued
// like any other. [OnPgx] leaves the pipeline, as pgx has no result that comes later.
//
// Rows of several events go together. Statements that insert, upsert, update or delete one row by
// its key become one statement for up to 256 rows or 64 KiB of arguments, also where a handler writes
// several tables in turn:
//
//	INSERT INTO balance (account, amount) VALUES ($1, $2) ON CONFLICT (account) DO UPDATE ...
//	INSERT INTO balance (account, amount) SELECT * FROM unnest($1, $2) ON CONFLICT (account) DO UPDATE ...
//	UPDATE balance SET amount = amount + $2 WHERE account = $1
//	UPDATE balance SET amount = amount + readview_2 FROM unnest($1, $2) AS readview_given (...) WHERE account = ANY (ARRAY[readview_1])
//
// All else is executed as it is written, in its order. Rows go together when
//
//   - the statement is no more than the above: its values are arguments, as they are or given a type of PostgreSQL's own ($1::uuid), whole
//     numbers, texts, true, false or NULL, and there is no RETURNING, function or subquery;
//   - its number of rows is not asked for by RowsAffected;
//   - the key is the primary key or another unique index, not deferrable, of columns that are NOT NULL and of the types SMALLINT, INT,
//     BIGINT, TEXT, VARCHAR without a length, UUID or DATE; each of them is compared with an argument by =, and an update sets no
//     column of any unique index;
//   - nobody could tell by the table: it has no trigger, rule or row security, and its defaults, checks, domains,
//     generated columns and indexes call nothing that may look at other rows. Each page looks at the catalogue anew
//     (internal/pipeline/facts.go).
//
// Of several upserts of a row that make it what they would have inserted, as ON CONFLICT (account) DO UPDATE SET amount = EXCLUDED.amount with
// all given columns but the key, only the last one is sent, where nobody can tell: nothing but its only key and NOT NULL can refuse a row
// of the table, and the values are of types and such that the server takes all of (internal/pipeline/replace.go).
//
// Order is kept where it can be seen. A row goes behind all that was done to its key before. Where the table has other unique
// indexes, or draws from a sequence, rows keep the order of their events. A query of one row by its key waits only for
// what may have changed that row, and any other statement for all before it.
//
// A query is a round trip, unless it is declared: the second function of [On] names the rows that a handler will look up by their keys.
// Those of a page are fetched in one round trip, at the first of these look-ups, and each is answered
// from that as long as nothing in the page may have changed its row:
//
//   - a write of one row that could go together with others drops what was fetched of its key, or of its whole table where that has
//     other unique indexes;
//   - any other statement drops all that was fetched. What was dropped is fetched anew if that is worth it, or asked for one by one.
//
// It is done for SELECTs of columns of one table, WHERE its key, under the conditions above, and for four or more of them in a page. A
// look-up always sees what this projection has written. What another session commits to the table while a page is applied, by hand
// perhaps, a declared look-up may see up to a page later than one that is not declared: an update that is computed from its
// answer then overwrites what that session wrote.
//
//	readview.On(onDeposited, func(e *Deposited) []readview.Lookup {
//		return []readview.Lookup{{Query: amountOf, Args: []any{e.AggregateID()}}}
//	})
//
// Of all this a handler notices nothing but that an error may come to light after it
// has returned. When one does, the page is taken back, the events before are
// committed, and the event is applied alone with nothing queued, so that its handler
// sees its own error. The outcome is the same for pages of any size, but for the numbers that are drawn from a
// sequence: a page that is taken back has burnt some. A text that a connection has not had yet costs two trips to the
// server, and it keeps 512: values belong into arguments, not into the text. Behind a savepoint of its own, and for a
// statement under a context of its own, a handler gets each outcome at once.
//
// On a virtual machine of 2 cores with PostgreSQL 15 on loopback a catch-up with one upsert an
// event runs at 75 to 106 times the speed of a transaction per event, and at 1.1 to 1.65 times that
// of a loop written by hand with pgx.Batch ("make bench"; the README has the whole table).
//
// # What a handler may do to its transaction
//
// What a handler sets is gone with its event: a role, a search path, timeouts, cursors,
// temporary tables, prepared statements, locks of the session. An event whose handler
// sets such a thing is applied in a transaction of its own, in which the position is moved
// first, and if anything may be left in the session, the connection is given up. That costs speed, and nothing
// else. It is found out by the text of the statement, and of the functions that it or a trigger of
// its table calls; what those call in turn is not seen.
//
// What a handler must not do is refused, and is the failure of its event: COMMIT, ROLLBACK, BEGIN, a
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
// is in [consumer.Status].Failure within two seconds: the error, the event if it is about one,
// the tries and since when. The state is retrying when tries have failed (also the reading of the log, or a
// middleware refuses pages), and stalled when something has not come back for a second: a handler, or
// a lock, and then the failure names the sessions that hold it ([Manager.EndSession] ends one), or a statement, and then it names its own.
//
// An event that can't be applied, because of an error or a panic of its handler or because it does not
// decode, stops its projection and no other, or is parked, see below. The events before it are
// committed. It is tried [Config.Attempts] times, and for [Config.RetryFor] when its error
// may pass (a statement timeout, a connection that was lost while its handler ran). Then it is on record with its
// error. What is not the event's fault (a server that is starting or short of something, a deadlock, a
// lock) is retried for ever.
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
// In a rolling deployment two programs run a projection for a while, and perhaps the newer one
// handles more events than the older. Then the older one stands by, also after a restart, as it would pass
// over events that the newer one handles; its status has [ErrOlderProgram]. A program that
// handles an event of which some were passed over already is refused with [ErrNewEvents], unless
// [Projection.AcceptNewEvents] is set. A reset with the program that is to run ends both.
//
// That handlers do something else with the same events a program says by a higher [Projection.Version]. Beside the position
// are stored the version, the handled names and the definition of the tables that the rows were made with. Of two
// versions the higher one runs, and the lower one stands by, until somebody resets or rebuilds the projection with the
// lower one: from then on the higher one stands by, until somebody does so with that. What happens when the
// higher version finds rows of a lower one [Projection.WhenChanged] says:
//
//	RefuseWhenChanged   it is refused with [ErrChanged]; programs with the lower version go on
//	ResetWhenChanged    one process resets it, and the others find that done
//	RebuildWhenChanged  one process rebuilds it, see below; programs with the lower version go on until then
//
// [Manager.Ready] tells before a deployment which of these it would be.
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
//	its Feed has another topic             it is refused with [ErrOtherTopic]: its position is of the one before; reset it
//	it is paused or failed                 the message is held, and the broker keeps those after it
//	the broker is down, the queue refused  it is retrying, with the subscriber's word for why; a subscription that fails or ends is made again
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
//	the projection is                             the read
//	at the position                               is answered
//	behind, and this node or another applies it   waits up to the limit; then it is answered stale and says so, or is refused
//	failed, paused, ahead of the log              does not wait: the same at once
//	being filled again after a reset              does not wait
//	behind or retrying for longer than the limit  does not wait
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
// [Projection.Tables] are the tables that a projection writes. Two projections of a manager may not have one in common,
// and a projection waits as long as one is missing. A reset has to empty all of them and no table of another
// projection: of [Truncate] that is known beforehand, any other handler is checked when it has run, before the
// commit.
//
// Positions are in the table readviews, or in what [Config.Positions] says; see [PositionStore]. Pauses, failures and
// leases are in the manager's own tables in any case: a store that an application writes need not know of them.
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
// [Manager.Rebuild] replays a projection into shadow tables with the same handlers. They are in a schema of their own,
// <schema>_rebuild_<name>, which is before the live one in the search path of the replay. Then the live tables get the content of the
// shadows, at one position, in one transaction:
//
//	checked ─▶ building ─▶ replaying ─▶ indexing ─▶ catching up ─▶ applying ────────────▶ done, kept ─▶ cleaned up
//	  │            │           │            │            │     └─▶ waiting ─▶ swapping ──▶   │
//	refused        └───────────┴────────────┴────────────┴───── failed, cancelled: the        └─ Rollback: the same way
//	(ErrImpossible)                                             shadow schema is dropped         with what is kept
//
//	who dies, and when                           what is there afterwards
//	the process, in building                     nothing new: it is one transaction
//	in replaying, indexing, catching up          the live tables as they were. Shadows and their position, which are committed together, are there too:
//	                                             the next call goes on with them, if program and tables are the same, or makes new ones
//	in applying, swapping                        it is one transaction: the tables are as before or as after
//	after that, before cleaning up               it is done; the next call, or Cleanup, drops the shadows
//	in a rollback                                the same; what was kept stays kept, as far as it was brought up to date
//	the server                                   the same. The call itself goes on when the server is back
//
// Invariants:
//
//   - The position of the shadows is in their row of readview_rebuilds, which every page's transaction writes. A run has an id of its
//     own, and whoever takes over changes it: pages of an older run find no row. An advisory lock of the session keeps
//     it to one rebuild of a projection at a time in the cluster.
//   - Before the live tables change, their position is locked, the shadows are brought up to it, and the definitions of both are compared. The
//     projection stands still from then to the commit; readers of its tables do not.
//   - At the end of every page the locks of its transaction show which tables it has used. When a handler has used a live table, or has
//     written a table that is no shadow, the page is taken back, and the error names that table ([ErrEscaped]).
//   - Applying writes the rows that differ, and compares them again before the commit: every reader's snapshot has the old rows or the new ones.
//   - Swapping waits until all transactions of the database have ended whose snapshot is older, as these would find the new tables
//     empty. It asks for its locks in short tries, so that nobody waits behind it for a long reader.
//
// A rebuild tries what is skipped or parked, and what fails again stays so. [Manager.Verify] compares the tables with a replay up to
// the projection's position, both in one snapshot; the replay leaves out what is skipped or parked. With [Config.VerifyEvery] the node
// that applies a projection does that again and again:
//
//	the lease is here, and it is live       otherwise look again after a PollInterval
//	nobody rebuilds or verifies it          likewise
//	it has rested                           VerifyEvery, and VerifyPause times as long as the last one took, whoever did that
//	no other projection of the manager is at it
//	──▶ Verify ──▶ another outcome than the last time? Then the operator log and the log have it
//
// # Operator log
//
// What somebody does to a projection (a reset, a pause, ...) is in the table readview_operations, written
// in the transaction that does it, with who did it: [Manager.Operations]. The actor is that of the context,
// see [eventsourced.WithActor].
//
// # Decisions
//
//   - A [Projection] is a struct, not an interface of one's own types: it is a list of handlers by event type, a reset and a few settings, and what is
//     declared can be checked before anything runs ([Manager.Add]) and told to operators. What somebody may well do in another way are interfaces:
//     [Reset], [PositionStore], and [Tx], which a plain *sql.Tx of a test is, too.
//   - A handler gets a transaction of the kind of database/sql, as most people write it, and is called event by event: what makes pages of it is no
//     concern of its. [OnPgx] is a constructor of its own, as pgx's results can't come later: who uses it leaves the pipeline, and sees that in the name.
//   - A projection's lease is one with its position: a page compares both under one lock, in the transaction of its rows. A relay's or a reactor's is
//     renewed by itself (package consumer), as what these do is in no transaction of ours. So readview has its own lease, and its own table of states beside
//     readviews(name, position), which stays as small as its readers know it. Names, states, failures and status are consumer's, for all.
//   - For the same reason there are two operator logs: each is written in the transaction of what it tells, and read views may be in another database
//     than the log. Operations of both are shown together.
//   - Parked events of a projection are retried ([Manager.Retry]), those of a reactor are resumed: the former are applied once more by whoever asks, in one
//     go and with an outcome, the latter are given back to the reactor that runs.
package readview
