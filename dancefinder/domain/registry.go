package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// The names under which the aggregates are stored. They never change.
const (
	AggregateBand            = "domain.Band"
	AggregateDanceHall       = "domain.DanceHall"
	AggregateEvent           = "domain.Event"
	AggregateUserPreferences = "domain.UserPreferences"
)

// EventTypes returns all event types of this package under the names they are
// stored with, and the upcasters of those that have had another form:
//
//	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
func EventTypes() []eventsourced.RegistryOption {
	return []eventsourced.RegistryOption{
		eventsourced.Type[BandCreated]("BandCreated"),
		eventsourced.Type[BandRenamed]("BandRenamed"),
		eventsourced.Type[BandDeleted]("BandDeleted"),
		eventsourced.Type[BandNameTaken]("BandNameTaken"),

		eventsourced.Type[DanceHallCreated]("DanceHallCreated"),
		eventsourced.Type[DanceHallUpdated]("DanceHallUpdated"),
		eventsourced.Type[DanceHallDeleted]("DanceHallDeleted"),
		eventsourced.Type[DanceHallNameTaken]("DanceHallNameTaken"),
		eventsourced.Type[DanceHallGeocoded]("DanceHallGeocoded"),

		eventsourced.Type[EventCreated]("EventCreated"),
		eventsourced.Type[EventUpdated]("EventUpdated"),
		eventsourced.Type[EventDeleted]("EventDeleted"),

		eventsourced.Type[OriginAdded]("OriginAdded"),
		eventsourced.Type[OriginRemoved]("OriginRemoved"),
		eventsourced.Type[BandIgnored]("BandIgnored", eventsourced.Upcast(1, addBandID)),
		eventsourced.Type[BandUnignored]("BandUnignored", eventsourced.Upcast(1, addBandID)),
		eventsourced.Type[DanceHallIgnored]("DanceHallIgnored"),
		eventsourced.Type[DanceHallUnignored]("DanceHallUnignored"),
		eventsourced.Type[CityIgnored]("CityIgnored"),
		eventsourced.Type[CityUnignored]("CityUnignored"),
		eventsourced.Type[MunicipalityIgnored]("MunicipalityIgnored"),
		eventsourced.Type[MunicipalityUnignored]("MunicipalityUnignored"),
		eventsourced.Type[StateIgnored]("StateIgnored"),
		eventsourced.Type[StateUnignored]("StateUnignored"),
		eventsourced.Type[CalendarLinkReplaced]("CalendarLinkReplaced"),
	}
}
