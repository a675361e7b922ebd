package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// Band plays at dances. It may be renamed, deleted, and created again.
//
// The stream whose id is derived from a name is where it is decided whose name that
// is. Usually it is the band's own stream; for a band that was renamed, or came with
// an id from elsewhere, it holds no band but says which one has the name.
type Band struct {
	eventsourced.Root
	name    string
	deleted bool
	owner   BandID // which band has the name that this stream's id is derived from; empty when it is this one, or none
}

// Name returns the band's name, empty when there is no such band.
func (b *Band) Name() string {
	if b.deleted {
		return ""
	}
	return b.name
}

// Apply implements [eventsourced.Aggregate].
func (b *Band) Apply(event eventsourced.Event) {
	switch e := event.(type) {
	case *BandCreated:
		b.name, b.deleted = e.Name, false
	case *BandRenamed:
		b.name = e.Name
	case *BandDeleted:
		b.deleted = true
	case *BandNameTaken:
		b.owner = BandID(e.BandID)
	}
}
