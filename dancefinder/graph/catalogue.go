package graph

import (
	"context"

	"github.com/google/uuid"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/model"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// edit carries a command to the catalogue out.
func edit[ID ~string](ctx context.Context, r *resolver, commandID *string, do func(ctx context.Context) (ID, eventsourced.Position, error)) (model.Outcome, *string, eventsourced.Position, error) {
	return carry(ctx, r, command[ID]{
		role: identity.RoleCatalogue, id: commandID,
		do: func(ctx context.Context, _ identity.User) (ID, eventsourced.Position, error) { return do(ctx) },
	})
}

func (r *resolver) editBand(ctx context.Context, commandID *string, do func(ctx context.Context) (domain.BandID, eventsourced.Position, error)) (*model.BandPayload, error) {
	outcome, id, at, err := edit(ctx, r, commandID, do)
	if err != nil || id == nil {
		return &model.BandPayload{Outcome: outcome}, err
	}
	read := func(ctx context.Context, s *model.Source) (*model.Band, error) { return s.Band(ctx, *id) }
	return &model.BandPayload{Outcome: outcome, BandID: id, ReadBand: after(r, at, read, "band")}, nil
}

func (r *resolver) editDanceHall(ctx context.Context, commandID *string, do func(ctx context.Context) (domain.DanceHallID, eventsourced.Position, error)) (*model.DanceHallPayload, error) {
	outcome, id, at, err := edit(ctx, r, commandID, do)
	if err != nil || id == nil {
		return &model.DanceHallPayload{Outcome: outcome}, err
	}
	read := func(ctx context.Context, s *model.Source) (*model.DanceHall, error) { return s.DanceHall(ctx, *id) }
	return &model.DanceHallPayload{Outcome: outcome, DanceHallID: id, ReadDanceHall: after(r, at, read, "dancehall")}, nil
}

func (r *resolver) editEvent(ctx context.Context, commandID *string, do func(ctx context.Context) (domain.EventID, eventsourced.Position, error)) (*model.EventPayload, error) {
	outcome, id, at, err := edit(ctx, r, commandID, do)
	if err != nil || id == nil {
		return &model.EventPayload{Outcome: outcome}, err
	}
	read := func(ctx context.Context, s *model.Source) (*model.Event, error) { return s.Event(ctx, *id) }
	return &model.EventPayload{Outcome: outcome, EventID: id, ReadEvent: after(r, at, read, "event", "band", "dancehall")}, nil
}

// CreateBand implements [exec.MutationResolver], as all methods here do.
func (r mutations) CreateBand(ctx context.Context, name string, commandID *string) (*model.BandPayload, error) {
	return r.editBand(ctx, commandID, func(ctx context.Context) (domain.BandID, eventsourced.Position, error) {
		return r.config.Service.CreateBand(ctx, domain.CreateBand{Name: name})
	})
}

func (r mutations) RenameBand(ctx context.Context, id, name string, commandID *string) (*model.BandPayload, error) {
	return r.editBand(ctx, commandID, func(ctx context.Context) (domain.BandID, eventsourced.Position, error) {
		return r.config.Service.RenameBand(ctx, domain.RenameBand{BandID: domain.BandID(id), Name: name})
	})
}

func (r mutations) DeleteBand(ctx context.Context, id, reason string, commandID *string) (*model.BandPayload, error) {
	return r.editBand(ctx, commandID, func(ctx context.Context) (domain.BandID, eventsourced.Position, error) {
		return r.config.Service.DeleteBand(ctx, domain.DeleteBand{BandID: domain.BandID(id), Reason: reason})
	})
}

func (r mutations) CreateDanceHall(ctx context.Context, in model.DanceHallInput, commandID *string) (*model.DanceHallPayload, error) {
	return r.editDanceHall(ctx, commandID, func(ctx context.Context) (domain.DanceHallID, eventsourced.Position, error) {
		return r.config.Service.CreateDanceHall(ctx, domain.CreateDanceHall{Name: in.Name, City: in.City, Municipality: in.Municipality, State: in.State})
	})
}

func (r mutations) UpdateDanceHall(ctx context.Context, id string, in model.DanceHallInput, commandID *string) (*model.DanceHallPayload, error) {
	return r.editDanceHall(ctx, commandID, func(ctx context.Context) (domain.DanceHallID, eventsourced.Position, error) {
		return r.config.Service.UpdateDanceHall(ctx, domain.UpdateDanceHall{
			DanceHallID: domain.DanceHallID(id), Name: in.Name, City: in.City, Municipality: in.Municipality, State: in.State,
		})
	})
}

func (r mutations) DeleteDanceHall(ctx context.Context, id, reason string, commandID *string) (*model.DanceHallPayload, error) {
	return r.editDanceHall(ctx, commandID, func(ctx context.Context) (domain.DanceHallID, eventsourced.Position, error) {
		return r.config.Service.DeleteDanceHall(ctx, domain.DeleteDanceHall{DanceHallID: domain.DanceHallID(id), Reason: reason})
	})
}

func (r mutations) SetDanceHallCoordinate(ctx context.Context, id string, coordinate domain.Coordinate, commandID *string) (*model.DanceHallPayload, error) {
	return r.editDanceHall(ctx, commandID, func(ctx context.Context) (domain.DanceHallID, eventsourced.Position, error) {
		return r.config.Service.GeocodeDanceHall(ctx, domain.GeocodeDanceHall{
			DanceHallID: domain.DanceHallID(id), Coordinate: coordinate, Source: domain.SourceManual, Precision: domain.PrecisionVenue,
		})
	})
}

func (r mutations) CreateEvent(ctx context.Context, in model.EventInput, commandID *string) (*model.EventPayload, error) {
	id := domain.NewEventID()
	if who := user(ctx); who != nil && commandID != nil {
		once, err := commandOf(ctx, *who, *commandID) // so that a repetition means the same dance
		if err != nil {
			return nil, err
		}
		id = domain.EventID(uuid.UUID(once).String())
	}
	return r.editEvent(ctx, commandID, func(ctx context.Context) (domain.EventID, eventsourced.Position, error) {
		return r.config.Service.CreateEvent(ctx, domain.CreateEvent{EventID: id, EventDetails: details(in)})
	})
}

func (r mutations) UpdateEvent(ctx context.Context, id string, in model.EventInput, commandID *string) (*model.EventPayload, error) {
	return r.editEvent(ctx, commandID, func(ctx context.Context) (domain.EventID, eventsourced.Position, error) {
		return r.config.Service.UpdateEvent(ctx, domain.UpdateEvent{EventID: domain.EventID(id), EventDetails: details(in)})
	})
}

func (r mutations) DeleteEvent(ctx context.Context, id, reason string, commandID *string) (*model.EventPayload, error) {
	return r.editEvent(ctx, commandID, func(ctx context.Context) (domain.EventID, eventsourced.Position, error) {
		return r.config.Service.DeleteEvent(ctx, domain.DeleteEvent{EventID: domain.EventID(id), Reason: reason})
	})
}

func details(in model.EventInput) domain.EventDetails {
	return domain.EventDetails{
		Date: string(in.Date), StartTime: string(value(in.StartTime)), EndTime: string(value(in.EndTime)),
		BandID: domain.BandID(in.BandID), DanceHallID: domain.DanceHallID(in.DanceHallID),
		ExtraInfo: in.ExtraInfo, SourceURL: in.SourceURL,
	}
}
