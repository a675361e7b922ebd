package graph

import (
	"context"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/model"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// choice is a command to the preferences of the subject.
type choice func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error)

// prefer carries a command to the caller's own preferences out; there is no way to those
// of others.
func (r *resolver) prefer(ctx context.Context, commandID *string, do choice) (*model.PreferencesPayload, error) {
	outcome, _, at, err := carry(ctx, r, command[domain.UserPreferencesID]{
		id: commandID,
		do: func(ctx context.Context, who identity.User) (domain.UserPreferencesID, eventsourced.Position, error) {
			return do(ctx, who.Subject)
		},
	})
	if err != nil {
		return nil, err
	}
	me := func(ctx context.Context, s *model.Source) (*model.Me, error) { return s.Me(ctx) }
	return &model.PreferencesPayload{Outcome: outcome, ReadMe: after(r, at, me, "userpreferences")}, nil
}

// AddOrigin implements [exec.MutationResolver], as all methods here do.
func (r mutations) AddOrigin(ctx context.Context, name string, coordinate *domain.Coordinate, commandID *string) (*model.PreferencesPayload, error) {
	if coordinate == nil {
		if place, ok := gazetteer.Resolve(name); ok {
			coordinate = &domain.Coordinate{Latitude: place.Latitude, Longitude: place.Longitude}
		}
	}
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.AddOrigin(ctx, domain.AddOrigin{Subject: subject, Origin: name, Coordinate: coordinate})
	})
}

func (r mutations) RemoveOrigin(ctx context.Context, name string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.RemoveOrigin(ctx, domain.RemoveOrigin{Subject: subject, Origin: name})
	})
}

func (r mutations) IgnoreBand(ctx context.Context, id string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.IgnoreBand(ctx, domain.IgnoreBand{Subject: subject, BandID: domain.BandID(id)})
	})
}

func (r mutations) UnignoreBand(ctx context.Context, id string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.UnignoreBand(ctx, domain.UnignoreBand{Subject: subject, BandID: domain.BandID(id)})
	})
}

func (r mutations) IgnoreDanceHall(ctx context.Context, id string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.IgnoreDanceHall(ctx, domain.IgnoreDanceHall{Subject: subject, DanceHallID: domain.DanceHallID(id)})
	})
}

func (r mutations) UnignoreDanceHall(ctx context.Context, id string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.UnignoreDanceHall(ctx, domain.UnignoreDanceHall{Subject: subject, DanceHallID: domain.DanceHallID(id)})
	})
}

func (r mutations) IgnoreCity(ctx context.Context, city string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.IgnoreCity(ctx, domain.IgnoreCity{Subject: subject, City: city})
	})
}

func (r mutations) UnignoreCity(ctx context.Context, city string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.UnignoreCity(ctx, domain.UnignoreCity{Subject: subject, City: city})
	})
}

func (r mutations) IgnoreMunicipality(ctx context.Context, municipality string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.IgnoreMunicipality(ctx, domain.IgnoreMunicipality{Subject: subject, Municipality: municipality})
	})
}

func (r mutations) UnignoreMunicipality(ctx context.Context, municipality string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.UnignoreMunicipality(ctx, domain.UnignoreMunicipality{Subject: subject, Municipality: municipality})
	})
}

func (r mutations) IgnoreState(ctx context.Context, state string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.IgnoreState(ctx, domain.IgnoreState{Subject: subject, State: state})
	})
}

func (r mutations) UnignoreState(ctx context.Context, state string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(ctx context.Context, subject string) (domain.UserPreferencesID, eventsourced.Position, error) {
		return r.config.Service.UnignoreState(ctx, domain.UnignoreState{Subject: subject, State: state})
	})
}
