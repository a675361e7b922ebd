// Package domain is DanceFinder's write side: the catalogue of bands, dance halls
// and dance events, and what each user wants to see of it.
//
// Four aggregates ([Band], [DanceHall], [Event], [UserPreferences]) take commands,
// keep their invariants and record domain events. [Service] is the way in: it
// takes a command, finds the aggregate it is meant for and stores what happened.
//
// The word event has two meanings here. A dance event, the aggregate [Event], is
// an evening on which a band plays at a hall. A domain event is something that
// happened to an aggregate, such as [BandCreated].
//
// A command that breaks a rule is refused with an [*Error], which is data for the
// person who asked. Any other error comes from the store.
//
// The package has more than fifty names because each command and each event is a type with its own.
//
// README.md describes the architecture and the naming conventions.
package domain
