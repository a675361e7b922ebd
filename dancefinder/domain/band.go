package domain

import "github.com/dancefinder/eventsourcing/eventsourced"

// Band plays at dances. It is created once and never deleted.
type Band struct {
	eventsourced.Root
	name string
}

// Name returns the band's name, empty before it is created.
func (b *Band) Name() string { return b.name }

// Apply implements [eventsourced.Aggregate].
func (b *Band) Apply(event eventsourced.Event) {
	if e, ok := event.(*BandCreated); ok {
		b.name = e.Name
	}
}
