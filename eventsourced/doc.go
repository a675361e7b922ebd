// Package eventsourced is the write side of event sourcing: events, the
// aggregates that record them, and the contract of the log that keeps them. It
// uses the standard library only, so that a domain package on top of it compiles
// and is tested without a database.
//
//	          act                    Append (expected version)
//	command ───────▶ aggregate ───▶ Repository ───────────────▶ Store
//	                    ▲               │                         │
//	                    └── Apply ◀─────┴──── ReadStream ◀────────┤
//	                                                              │ ReadLog, Listen
//	              projections, subscribers, relays ◀──────────────┘
//
// An aggregate embeds [Root], decides in its own methods, calls [Record] for what
// has happened, and changes its state in Apply alone. [Repository.Update] does
// the round: load, act, append; on a lost race again. [Repository.Create] and
// [Repository.Change] refuse an aggregate that is there already, or is not.
//
// Events are structs that embed [BaseEvent]. Their names are given to a
// [Registry], which also holds the upcasters for payloads of older schema
// versions; they run wherever an event leaves the log. NewRegistry looks at the types
// and refuses those of which a part would not come back.
//
// The log gives every event a [Position]: one total order, equal to the order of
// commits, so that whoever has read up to a position has missed nothing.
//
// Package memstore implements the contract in memory, package pgstore on
// PostgreSQL. Package eventsourcedtest has given/when/then for aggregates and the
// conformance suite for stores.
package eventsourced
