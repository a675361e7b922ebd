package graph

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/model"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// maxPlaces is how many suggestions are made at most.
const maxPlaces = 50

// Events implements [exec.QueryResolver], as all methods here do.
func (r queries) Events(ctx context.Context, filter model.EventFilter, sort model.EventSort, first int, after *string) (*model.EventConnection, error) {
	f, err := filterOf(ctx, filter)
	if err != nil {
		return nil, err
	}
	return r.source(ctx).EventPage(ctx, f, query.Sort(sort), first, value(after))
}

func (r queries) Event(ctx context.Context, id string) (*model.Event, error) {
	return r.source(ctx).Event(ctx, id)
}

func (r queries) Band(ctx context.Context, id string) (*model.Band, error) {
	return r.source(ctx).Band(ctx, id)
}

func (r queries) Bands(ctx context.Context, search string, first int, after *string) (*model.BandConnection, error) {
	return r.source(ctx).BandPage(ctx, search, first, value(after))
}

func (r queries) DanceHall(ctx context.Context, id string) (*model.DanceHall, error) {
	return r.source(ctx).DanceHall(ctx, id)
}

func (r queries) DanceHalls(ctx context.Context, search string, first int, after *string) (*model.DanceHallConnection, error) {
	return r.source(ctx).DanceHallPage(ctx, search, first, value(after))
}

func (r queries) Places(_ context.Context, search string, first int) ([]*model.Place, error) {
	switch {
	case first < 1 || first > maxPlaces:
		return nil, &model.InputError{Field: "first", Message: fmt.Sprintf("first: %d is not between 1 and %d", first, maxPlaces)}
	case utf8.RuneCountInString(search) > query.MaxSearch:
		return nil, &model.InputError{Field: "search", Message: fmt.Sprintf("search: has more than %d characters", query.MaxSearch)}
	}
	found := []*model.Place{}
	for _, p := range gazetteer.Search(search, first) {
		found = append(found, &model.Place{
			Label: p.Label(), Name: p.Name, Municipality: p.Municipality, State: p.State,
			Coordinate: &domain.Coordinate{Latitude: p.Latitude, Longitude: p.Longitude},
		})
	}
	return found, nil
}

func (r queries) Me(ctx context.Context) (*model.Me, error) { return r.source(ctx).Me(ctx) }

// filterOf returns the filter for who asks.
func filterOf(ctx context.Context, in model.EventFilter) (query.Filter, error) {
	f := query.Filter{
		From: domain.Date(in.From), To: domain.Date(in.To),
		Origins: in.MyOrigins, OriginNames: in.Origins, Unlocated: in.IncludeUnlocated, Ignored: in.IncludeIgnored,
		BandIDs: in.BandIds, DanceHallIDs: in.DanceHallIds, States: in.States, Search: value(in.Search),
	}
	if who := user(ctx); who != nil {
		f.Subject = who.Subject
	} else if in.MyOrigins {
		return f, refusal(CodeUnauthenticated, "Nobody is logged in whose origins could be meant.")
	}
	if in.MaxKm != nil {
		if f.MaxKm = *in.MaxKm; f.MaxKm == 0 {
			return f, &model.InputError{Field: "maxKm", Message: "maxKm: has to be more than 0; leave it out for no limit"}
		}
	}
	for _, p := range in.Near {
		f.Near = append(f.Near, query.Point{Name: p.Name, At: *p.At})
	}
	for _, m := range in.Municipalities {
		f.Municipalities = append(f.Municipalities, query.Area{State: value(m.State), Municipality: m.Name})
	}
	for _, c := range in.Cities {
		f.Cities = append(f.Cities, query.Area{State: value(c.State), Municipality: value(c.Municipality), City: c.Name})
	}
	return f, nil
}
