package model

import "context"

// Outcome is what every mutation answers.
type Outcome struct {
	ConsistencyToken *string
	Errors           []*UserError
}

// IsPayload marks the interface's implementations.
func (Outcome) IsPayload() {}

// Reading reads what a mutation has left behind; nil when it was refused.
type Reading[T any] func(context.Context) (*T, error)

func (r Reading[T]) read(ctx context.Context) (*T, error) {
	if r == nil {
		return nil, nil
	}
	return r(ctx)
}

// PreferencesPayload answers a mutation of the user's preferences.
type PreferencesPayload struct {
	Outcome
	ReadMe Reading[Me]
}

// Me reads who asks.
func (p *PreferencesPayload) Me(ctx context.Context) (*Me, error) { return p.ReadMe.read(ctx) }

// BandPayload answers a mutation of a band.
type BandPayload struct {
	Outcome
	BandID   *string
	ReadBand Reading[Band]
}

// Band reads the band.
func (p *BandPayload) Band(ctx context.Context) (*Band, error) { return p.ReadBand.read(ctx) }

// DanceHallPayload answers a mutation of a dance hall.
type DanceHallPayload struct {
	Outcome
	DanceHallID   *string
	ReadDanceHall Reading[DanceHall]
}

// DanceHall reads the hall.
func (p *DanceHallPayload) DanceHall(ctx context.Context) (*DanceHall, error) {
	return p.ReadDanceHall.read(ctx)
}

// EventPayload answers a mutation of a dance.
type EventPayload struct {
	Outcome
	EventID   *string
	ReadEvent Reading[Event]
}

// Event reads the dance.
func (p *EventPayload) Event(ctx context.Context) (*Event, error) { return p.ReadEvent.read(ctx) }
