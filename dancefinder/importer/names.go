package importer

import (
	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// names are the bands, or halls, of the log: only to see which ones a person deleted,
// for it is the service that says who has a name.
type names[ID ~string] struct {
	alive  map[ID]bool // false for those that were deleted
	owners map[ID]ID   // who has taken the name that an id is derived from
}

// deleted returns who has the name of an id that is derived from one, if that one was
// deleted.
func (n names[ID]) deleted(id ID) (ID, bool) {
	for range len(n.owners) + 1 {
		owner, taken := n.owners[id]
		if !taken {
			break
		}
		id = owner
	}
	alive, known := n.alive[id]
	return id, known && !alive
}

// applyNames takes what happened to a band or hall, and tells whether it did.
func (k *known) applyNames(event eventsourced.Event) bool {
	id := event.AggregateID()
	switch e := event.(type) {
	case *domain.BandCreated:
		k.bands.alive[domain.BandID(id)] = true
	case *domain.BandDeleted:
		k.bands.alive[domain.BandID(id)] = false
	case *domain.BandNameTaken:
		k.bands.owners[domain.BandID(id)] = domain.BandID(e.BandID)
	case *domain.DanceHallCreated:
		k.halls.alive[domain.DanceHallID(id)] = true
	case *domain.DanceHallDeleted:
		k.halls.alive[domain.DanceHallID(id)] = false
	case *domain.DanceHallNameTaken:
		k.halls.owners[domain.DanceHallID(id)] = domain.DanceHallID(e.DanceHallID)
	default:
		return false
	}
	return true
}
