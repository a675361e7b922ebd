// Package pipeline is the transaction of a page: handlers of events write it one
// statement at a time, and the server gets many at a time. What a handler can notice of
// that is in readview's documentation; here is how it is done.
//
// The door:
//
//	db := pipeline.Open(pool)
//	tx, err := db.Begin(ctx, pipeline.Options{How: pipeline.Together})
//	defer tx.Close()
//	turn := tx.Turn(ctx, 0)                  the transaction for the handler of event 0
//	_, err = turn.ExecContext(ctx, ...)      and QueryContext, QueryRowContext, PrepareContext, Exec, ExecOne
//	tx.Foresee(1, query, args)               what the handler of event 1 will look up, said before
//	err = turn.End(false)
//	err = tx.Commit(0)
//	event, err := tx.Failure()               whose statement was the first to fail
//
// # Where a statement is
//
//	ExecContext ──▶ gathered ────────▶ in the buffer ─────▶ sent ─────────▶ executed ──────▶ outcome read
//	                rows.go            queue.go             the server works while           flush
//	                with rows of       in its order         the handlers go on
//	                other events
//	                     │                   │                     │                               │
//	goes on when         │                   │                     │                               │
//	                256 rows, 64 KiB,   256 statements,      by itself                       a query, a count of rows,
//	                too many sets,      64 KiB                                               a savepoint, 2048 statements,
//	                or flush            or flush                                             the commit
//
// A statement that can't be gathered begins in the buffer. So does a query, which is sent at once
// with all that is before it, and whose rows are read behind the outcomes of that: one round trip
// (answer.go). Statements that a handler has prepared are queued like others of their text
// (handed.go). What can't be queued (several statements in a text, COPY, a context of its own,
// arguments that pgx does not take) is executed directly: flush, then a round trip of its own, in
// which the caller waits.
//
// Rows and prepared statements are types of database/sql, which calls back as its driver, under
// its lock of the connection: that one is taken before the transaction's, never after.
//
// Gathered are rows of the same INSERT, and of the same UPDATE or DELETE of the row of a key (bulk.go, what it takes of a
// statement form.go, of a table facts.go and plain.sql), when the table is such that nobody can tell; those of
// several statements at once, of a table too, in the order of what is done to each key. A SELECT of one key sends only what may
// be its row. Of upserts that replace a row the last one is sent (replace.go). Look-ups that were
// declared are fetched for many events at once, and answered from that as long as the page can't have changed it (ahead.go).
// The server looks into the index for each row, whatever it believes of the table (pin.go).
// How far that is allowed is the transaction's [How]: Together, OneByOne (nothing is
// gathered), Alone (nothing is queued).
//
// # Where a transaction is
//
//	          the first statement: BEGIN,         Commit
//	          the search path, then the rest
//	fresh ───────────────────────────────▶ begun ────────▶ ended
//	  │                                      │               ▲
//	  │          a statement fails, or a     ▼               │ Close
//	  │          handler does what it must not ──▶ broken ───┘
//	  │
//	  └─▶ from any of them: Abandon ──▶ cut (the connection is closed from here)
//	                        Drop ─────▶ dropped (and given back without database/sql)
//
// In a catch-up the next transaction is begun on another connection while this one commits, and waits there for the lock of the
// position, which is the first thing that it asks for (openNext in package readview). Its handlers and their context come later: Continue.
//
// Nothing runs before BEGIN, whoever asks first: every way to the server goes through
// [Turn.QueryRows], which sends BEGIN along, or through ready, which sends it ahead.
//
// Once a transaction is broken nothing is sent but ROLLBACK. The failure names the event whose
// statement it was, by its index; its handler has returned long ago. So the page is taken back, the
// events before are applied again, and that one by itself, Alone: then its handler sees its
// error. When a statement for several events fails the error is [ErrTogether], and the page is
// applied again OneByOne to see whose it is.
//
// # Where a turn is
//
//	queues ──▶ waits ──▶ guarded ──▶ over
//	           Alone, pgx                the handler has returned: what it kept is useless
//	                     a savepoint of the handler's: ours is before it, and ends with the turn
//
// # What a connection keeps
//
// Statements are prepared once a connection and search path (statements.go): the same text may be
// about other tables in another path. The path is asked for with BEGIN, as a pool may set it each
// time that it gives a connection. What is known of the tables themselves holds for a transaction, whose
// locks keep them as they are; the next one looks again, at those that this one has used, in the round
// trip of its BEGIN.
//
// What a statement does besides reading and writing rows is told by its text (kind.go), and the
// text of the functions that it calls (called.go).
package pipeline
