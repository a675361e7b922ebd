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
//	              projections, subscribers, relays ◀──────────────┘
//
// An aggregate embeds [Root], decides in its own methods, and calls [Record] for what
// has happened; its state changes in the events' ApplyTo alone, or in its own Apply, see
// [Aggregate]. [Repository.Update] does the round: load, act, append; on a lost race
// again. [Repository.Create] and [Repository.Change] refuse an aggregate that is there
// already, or is not.
//
// Events are structs that embed [BaseEvent]. Their names are given to a
// [Registry], which also holds the upcasters for payloads of older schema
// versions; they run wherever an event leaves the log. NewRegistry looks at the types
// and refuses those of which a part would not come back.
//
// The log gives every event a [Position]: one total order, equal to the order of
// commits, so that whoever has read up to a position has missed nothing.
//
// Decisions:
//
//   - An aggregate's type parameter is its struct, [NewRepository][Account], and there is no
//     factory: a zero Account is one without events, so nothing can be forgotten in it.
//   - ApplyTo beside Apply: with a method for each event the compiler keeps an event and its
//     effect together, and an event without one is an error; a type switch in Apply is for
//     aggregates that ignore most of theirs. Both in one aggregate might disagree, so that
//     is refused.
//   - An [Expected] can't be looked into, and events have room for Tags: deciding by a query
//     instead of a stream can come without a new signature.
//   - A [LogQuery] is one struct for reading and counting. Its Since and Until are about when events
//     happened, as positions are the time of the append already. A store may lack what has no
//     index, and then says [ErrUnsupported]; passing over a field would be a wrong answer.
//   - A [Backlog] ends at [MaxBacklog]: a status costs the same however much waits.
//   - An upcaster may rename and split an event, and says into which names ([Replace],
//     [Formerly], [Retired]), so that readers who select by today's names find the old ones,
//     see [Registry.StoredNames]. The parts share their event's position: a consumer that
//     keeps a position takes all of them or none.
//   - Payloads are JSON in every store, and a [Codec] works within that: logs stay readable
//     by SQL, and messages by others.
//   - [Repository.UpdateTx] does not try again: what won is not visible before the
//     transaction ends.
//   - Who waits for the turn to change an aggregate gets its events from the one before, not the aggregate: a command may
//     do anything to the one that it has. That decides nothing, the append's check does; what is refused on them is decided
//     again on what is stored. Who takes turns quickly would leave no time to those who have to read, in other
//     processes, so after a hundred it leaves the stream alone for a moment, for which they wait after a lost race.
//   - A [Registry] is given with the store, as a program has one, and panics are for what is
//     wrong in the program itself: [MustRegistry], [NewRepository].
//   - The package has more than fifty names, because domains, stores and consumers talk about one
//     thing in one vocabulary: most are types in the contract's signatures, and its errors. A
//     domain needs BaseEvent, Root, Record, Type, NewRegistry and NewRepository.
//
// Package memstore implements the contract in memory, package pgstore on
// PostgreSQL. Package eventsourcedtest has given/when/then for aggregates, storetest the
// suite for whoever writes a store.
package eventsourced
