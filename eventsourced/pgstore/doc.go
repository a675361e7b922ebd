// Package pgstore keeps the event log on PostgreSQL. It needs no extension, no
// superuser and no setting of the server.
//
// A program needs [New] and [Config]. The package has more than fifty names because what looks at the tables in other ways
// is here as well, next to their SQL: the [Inspector] for people, figures for metrics, and the archive.
//
// # The order of the log
//
// A reader asks for what is above a position, and that is all it ever asks. So
// nothing may be committed below a position that somebody has read. This is how
// that is ensured:
//
//	append A   lock ── position 7 ── insert ── commit, unlock
//	append B            lock . . . . . . . . . . . granted ── position 8 ── insert ── commit
//	reader                        sees up to 6         sees 7                          sees 8
//
// In words:
//
//   - An append takes the log's lock, an advisory lock of its transaction, and keeps
//     it to the commit. The server releases it after the commit is visible.
//   - Under the lock, in a later statement, it takes its position: the clock in
//     microseconds, or the last position plus one if the clock is not past it. At
//     READ COMMITTED that statement sees everything that was committed before the
//     lock was granted. At other levels it would not, and the append is refused:
//     [ErrIsolation].
//   - So positions ascend in the order of commits, without a sequence that is read
//     ahead of its commits, without transaction ids and snapshots, and whatever
//     the clock does. A transaction that is open elsewhere, in this database or
//     another, delays nobody. A rollback leaves nothing behind, not even a gap that
//     a reader would have to wait for. A dump restored elsewhere goes on.
//
// The lock and the insert are two statements in one message to the server, which
// is a transaction in itself: an append costs one round trip and one commit.
// What is decided under the lock is exact: whether the stream is as expected, and
// whether the events are in the log already.
//
// # Who holds the lock
//
// While one transaction holds the lock, all other appends to the log wait, those of all
// processes. So nobody may hold it by falling silent:
//
//	client   data ────────────── bound ── "take the lock, insert, commit" ──┐
//	server   reads, has nothing locked     lock ── insert ── commit, unlock ─┘
//
// And else:
//
//   - The data of an append goes first and the lock last, as some sixty bytes after it. A client that
//     is stopped, or cut off, in the middle of 8 MB has locked nothing. What is left are
//     those bytes: only a network that is cut between two of their segments leaves the
//     lock behind, until TCP's keepalive or transaction_timeout (PostgreSQL 17) ends it.
//   - A [Store.AppendTx] holds the lock to the end of the caller's transaction: append last,
//     commit at once, do nothing else in between. One that stands idle is ended by the server
//     after [Config.IdleTimeout], half a minute; it can't be prepared for a two-phase
//     commit. Such commits go one after the other: about 800 appends a second for all
//     processes together, where a commit takes a millisecond and a bit.
//   - Who has waited for a second puts it into the log, once for each holder: its process id,
//     state and query. Who gives up gets a [LockError] that says the same. A lock_timeout of the
//     role bounds the wait; it fails all who have waited as long at once.
//
// # Many writers
//
// As only one transaction can hold the lock, appends of a process that are made at
// the same time share one: the first go at once and by themselves, those that
// arrive meanwhile go together. Each has its own outcome; a conflict, a payload
// that is no JSON or a caller that gives up is nothing to its neighbours. Use one
// [Store] for a pool, or there is nothing to share. Against plain INSERTs, each a
// transaction of its own and with no order, that makes 0.91 of their speed with 1
// writer and, over several runs and machines, 1.4 to 2.3 times with 16, 2.6 to 5.9 with
// 64 and 4.7 to 16 with 256 ("make bench", virtual machines of 2 cores with PostgreSQL 15 on
// loopback).
//
//	failure                                  what happens
//	the process dies before the commit       nothing was appended; the server frees the lock
//	the connection is lost at the commit     the append is sent again and recognizes its events by their ids
//	two writers expect the same version      the second one to get the lock gets [eventsourced.ErrConflict]; the server's log
//	                                         may have an error of it (events_stream_key), never the event
//	the client falls silent in an append     it has locked nothing, see above
//	an AppendTx is not committed             the server ends it after [Config.IdleTimeout]; who waits is told for whom
//	the clock goes back, or stands still     positions go on from the last one
//	the server fails over to a replica       commit order is replay order; positions go on. Connections to what is read-only
//	                                         since then are given up, and appends are sent again on new ones
//	prepared statements were deallocated     the connection is given up, and the append sent again
//
// Events are never changed, and never deleted but by [Store.Archive], when they are in a file: that the last position is in
// the table is what the next one relies on, and so are the first and the last version of each stream.
//
// # Reading
//
// A page costs a page, whatever else lies in the log: by position there is the primary key, by name
// events_name_idx, by stream events_stream_key. By AggregateName the planner chooses, for each value:
// a rare kind is gathered by events_stream_key and sorted, a frequent one is picked out of the log in its
// order. Since, Until and Correlation are looked at in whatever the other fields select, by no index: each
// more would cost every append, for a question that people ask now and then. So bound such
// queries by After or a Limit; with neither they read the whole log.
//
// Tags are a column that is NULL for an event without them, which costs an append nothing that can be
// measured (the same 23 µs for one row, 1.1 ms for a hundred); they have no index until something reads by them.
//
// # The archive
//
// [Store.Archive] moves the old end of the log to files, in segments by position, see package logarchive. Readers with
// [Config.Archive] pass through them unseen; those without get [ErrArchived], never fewer events.
//
//	table log_archive      segment 1 ── segment 2 ── segment 3 ┐ end
//	files                  all events of it                     │
//	table events           first and last of each stream  ·  ·  │ everything above the end
//
// How that is safe:
//
//   - A segment is written to a file, brought to the disk, read back through Config.Archive and compared with the table, event by
//     event. Then one transaction registers it in log_archive and deletes its events, and checks that those that went and
//     those that stayed are as many as the file has. Whatever is killed, whenever: before its commit the table has all of them, and
//     after it the file has. The next run uses a file that was written and not registered. Two at the same time are refused
//     by an advisory lock ([ErrArchiving]).
//   - An append is not touched by it. It finds in the table what it asks for: whether the stream has a first event, and which
//     is its last version. So these two events stay, of each stream, and with the very last one the log's head. What
//     stays is in the file too; readers of the log's order ignore it in the table, and read the table above the end only.
//   - Readers need not be told. A statement that reads the log above a position has a condition that nothing is archived above
//     it, in the statement's own snapshot. Where it fails the store asks for what is archived and reads on there: a reader
//     above the end pays a look at a small table, and no statement. A stream's versions tell by themselves what is
//     missing in between.
//   - Why not partitions of PostgreSQL: a unique key of a partitioned table has to have the column that it is partitioned by, so
//     neither the id nor the version in a stream could be unique in the whole log, and each append would look into
//     each partition for them.
//   - What is archived was appended at least [MinArchiveAge] ago, by the database's clock. An append that is repeated so much later is
//     recognised by the last event of a stream only; with an expected version it is a conflict, as for any other. And an event's id
//     could be used once more.
//   - An [Inspector] shows an archived event by its position, and seeks by everything else in the table only: it says so.
//     Programs that read the table events by SQL of their own see what stays.
//   - Deleted rows leave room in the table for new ones, once it is vacuumed; the files of the table do not become smaller
//     by it. A log whose streams have one or two events each
//     gains nothing: [ArchiveOptions] DryRun tells how many would go.
//
// # Several logs in one database
//
// Each schema with the tables is a log: [Config.Schema], or the search path of the pool, says which. The
// lock and the channel of wake-ups have the number of its table events in them, and so are each log's own.
// What is in the tables of one can't be seen, waited for or woken up by another.
//
// # Wake-up
//
// After an append the listeners of the same process are woken at once, and those
// of others by NOTIFY, outside of the append's transaction: at once, a millisecond after the one before at least,
// and while several appends come in each pause, in longer ones, up to 5 ms. So it is sent for each append of a few hundred a second, and
// about two hundred times a second while there are more. It costs a transaction, without a flush to disk, so it is sent only
// while another process listens, which its connection shows by a shared advisory
// lock. What does not work is a warning in the log, once until it works again.
//
// # Behind a pooler
//
// PgBouncer in transaction mode spreads a session's statements over several connections. Prepared
// statements are not where they were left, which the errors say (42P05, 26000): set
// default_query_exec_mode=cache_describe in the pool's URL. A LISTEN there is nobody's, and the lock
// of a listener would stay in the pooler's connection. So the store compares the session's process id
// with the server's, and where they differ, it polls only and says so once; that is also so for a
// pooler in session mode. Appends and reads are complete without.
//
// # Limits
//
// Names and ids have at most [eventsourced.MaxName] bytes, an append has at most
// [eventsourced.MaxEvents] events, a payload at most [Config.MaxPayload] bytes,
// metadata at most [eventsourced.MaxMetadata], an event has at most [eventsourced.MaxTags] tags, a time lies in the years 0 to 9999. Payloads are JSON, kept to the byte.
// 4096 appends of a process wait for their turn; more wait for a place, as long as
// their contexts let them. The pool's query mode must be one that knows types, see
// [ErrProtocol].
package pgstore
