// Package eventsourced is the write side of event sourcing: events, the
// aggregates that record them, and the contract of the log that keeps them. It
// uses the standard library only, so that a domain package on top of it compiles
// and is tested without a database.
//
//	          act                    Append (expected version)
//	command ───────▶ aggregate ───▶ Repository ───────────────▶ Store
//	                    ▲               │                         │
//	                    └─ ApplyTo ◀────┴──── ReadStream ◀────────┤
//	                                                              │ ReadLog, Listen
//	    projections, subscribers, relays, reactors ◀──────────────┘
//
// An aggregate embeds [Root], decides in its own methods, and calls [Record] for what
// has happened. Only events change its state: in their ApplyTo, or in the aggregate's Apply, see
// [Aggregate]. [Repository.Update] loads the aggregate, lets it act and appends what it has recorded;
// when somebody else was faster it does all of that again. [Repository.Create] refuses an aggregate that
// is there already, [Repository.Change] one that is not.
//
// Events are structs that embed [BaseEvent]. Their names are given to a
// [Registry], which also holds the upcasters: they bring payloads of older schema versions to
// today's form wherever an event leaves the log. [NewRegistry] refuses types of which a part would
// be lost in the log.
//
// The log gives every event a [Position]: one total order, equal to the order of
// commits, so that whoever has read up to a position has missed nothing.
//
// A domain needs BaseEvent, Root, Record, Type, NewRegistry and NewRepository. The package has more than
// fifty names because domains, stores and consumers share one vocabulary: most of the others are
// types in the contract of a store, and errors.
//
// Package memstore implements the contract in memory, package pgstore on
// PostgreSQL. Package eventsourcedtest has given/when/then for aggregates, storetest the
// suite for whoever writes a store.
//
// # Decisions
//
//   - The type parameter of a repository is the aggregate's struct, [NewRepository][Account], and there is no
//     factory: the zero Account is an account without events, and a factory could only forget something.
//   - State changes in an ApplyTo of each event, or in one Apply of the aggregate. With ApplyTo the
//     compiler keeps an event and its effect together, and an event without one is an error. Apply, with a
//     type switch, is for aggregates that ignore most of their events. An aggregate that has both is refused,
//     as they might disagree.
//   - The fields of [Expected] are not exported, and events have room for Tags: so a decision on a query, instead
//     of on one stream, can come later without new signatures.
//   - A [LogQuery] is the same struct for reading and for counting. Since and Until are about when events
//     happened; when they were appended is their position. A store that can't select by a field returns
//     [ErrUnsupported], as ignoring the field would be a wrong answer.
//   - A [Backlog] is counted up to [MaxBacklog] only: so a status costs the same however many events wait.
//   - An upcaster may rename an event or split it, and says which names come of it ([Replace],
//     [Formerly], [Retired]): so readers who select by today's names find the old events,
//     see [Registry.StoredNames]. The parts of a split event share its position: a consumer that
//     keeps a position takes all of them or none.
//   - Payloads are JSON in every store, and a [Codec] works within JSON: so logs stay readable
//     by SQL, and messages by programs in other languages.
//   - [Repository.UpdateTx] does not try again after a conflict: in the caller's transaction the events that won the
//     race may not be visible.
//   - Changes of one aggregate on one [Repository] take turns. The next one in turn gets the events
//     that the one before has loaded and committed, which saves reading them, but never the aggregate itself, as
//     act may have done anything to that. These events decide nothing: the append still checks the version, and when
//     that fails, or act refuses or records nothing, act is called again on what is stored. A process that
//     has changed a stream 64 times in a row leaves it alone for a moment, so that other
//     processes, which have to read the stream first, get a chance.
//   - A [Registry] belongs to a store, as a program has one of each. Panics are for mistakes in
//     the program itself: [MustRegistry], [NewRepository].
package eventsourced
