package graph

import (
	"context"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/model"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// prefer carries a command to the caller's own preferences out; there is no way to those
// of others.
func (r *resolver) prefer(ctx context.Context, commandID *string, choice func(subject string) domain.Preference) (*model.PreferencesPayload, error) {
	outcome, _, at, err := carry(ctx, r, command[domain.UserPreferencesID]{
		id: commandID,
		do: func(ctx context.Context, who identity.User) (domain.UserPreferencesID, eventsourced.Position, error) {
			return r.config.Service.Prefer(ctx, choice(who.Subject))
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
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.AddOrigin{Subject: subject, Origin: name, Coordinate: coordinate}
	})
}

func (r mutations) RemoveOrigin(ctx context.Context, name string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.RemoveOrigin{Subject: subject, Origin: name}
	})
}

func (r mutations) IgnoreBand(ctx context.Context, id string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.IgnoreBand{Subject: subject, BandID: domain.BandID(id)}
	})
}

func (r mutations) UnignoreBand(ctx context.Context, id string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.UnignoreBand{Subject: subject, BandID: domain.BandID(id)}
	})
}

func (r mutations) IgnoreDanceHall(ctx context.Context, id string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.IgnoreDanceHall{Subject: subject, DanceHallID: domain.DanceHallID(id)}
	})
}

func (r mutations) UnignoreDanceHall(ctx context.Context, id string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.UnignoreDanceHall{Subject: subject, DanceHallID: domain.DanceHallID(id)}
	})
}

func (r mutations) IgnoreCity(ctx context.Context, city string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.IgnoreCity{Subject: subject, City: city}
	})
}

func (r mutations) UnignoreCity(ctx context.Context, city string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.UnignoreCity{Subject: subject, City: city}
	})
}

func (r mutations) IgnoreMunicipality(ctx context.Context, municipality string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.IgnoreMunicipality{Subject: subject, Municipality: municipality}
	})
}

func (r mutations) UnignoreMunicipality(ctx context.Context, municipality string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.UnignoreMunicipality{Subject: subject, Municipality: municipality}
	})
}

func (r mutations) IgnoreState(ctx context.Context, state string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.IgnoreState{Subject: subject, State: state}
	})
}

func (r mutations) UnignoreState(ctx context.Context, state string, commandID *string) (*model.PreferencesPayload, error) {
	return r.prefer(ctx, commandID, func(subject string) domain.Preference {
		return domain.UnignoreState{Subject: subject, State: state}
	})
}
