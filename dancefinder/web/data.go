package web

import (
	"context"
	"slices"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// data is what the read views say to a search, all of it at one moment.
type data struct {
	preferences query.Preferences
	filter      query.Filter
	summary     query.Summary
	events      query.Page[query.Event]
	bands       map[string]query.Band
	halls       map[string]query.DanceHall
	everywhere  query.Summary // the same period in all of Sweden, for the map
	empty       *findings     // when there is no dance
}

// pageSize is how many dances a page of the list has: a phone on a weak connection has
// to get it, and nobody reads more before choosing a day or a place.
const pageSize = 50

// load asks the read views. With more it also asks for what the map of Sweden shows.
func (h *handler) load(ctx context.Context, p *page, everywhere bool) (d data, err error) {
	err = query.Snapshot(ctx, h.config.Pool, func(r *query.Reader) error {
		if p.LoggedIn {
			if d.preferences, err = r.Preferences(ctx, p.User.Subject); err != nil {
				return err
			}
		}
		p.Homes = homesOf(p, d.preferences)
		d.filter = filterOf(p.Search, p.User.Subject)
		if d.summary, err = r.Summary(ctx, d.filter); err != nil {
			return err
		}
		if everywhere {
			wide := d.filter
			wide.MaxKm, wide.States, wide.Municipalities, wide.Cities = 0, nil, nil, nil
			if d.everywhere, err = r.Summary(ctx, wide); err != nil {
				return err
			}
		}
		if err = d.loadEvents(ctx, r, p); err != nil || d.summary.Total > 0 {
			return err
		}
		d.empty, err = find(ctx, r, p, d)
		return err
	})
	return d, err
}

func (d *data) loadEvents(ctx context.Context, r *query.Reader, p *page) (err error) {
	f := d.filter
	f.Ignored = p.Search.Hidden
	if p.Search.Day != "" {
		f.From = p.Search.Day
	}
	if p.Path == "/karta" {
		if p.Search.Place == nil {
			return nil // the map shows no dances, but places
		}
		f.States, f.Municipalities, f.Cities, f.MaxKm, f.From = nil, nil, nil, 0, d.filter.From
		if f.DanceHallIDs, _ = cluster(p, *d, *p.Search.Place); len(f.DanceHallIDs) == 0 {
			return nil
		}
	}
	order := query.ByDate
	if p.Search.Distance && len(p.Homes.At) > 0 {
		order = query.ByDistance
	}
	if d.events, err = r.Events(ctx, f, order, pageSize, p.Search.After); err != nil {
		return err
	}
	d.bands, d.halls, err = names(ctx, r, d.events.Items)
	return err
}

// names returns the bands and halls of dances.
func names(ctx context.Context, r *query.Reader, events []query.Event) (bands map[string]query.Band, halls map[string]query.DanceHall, err error) {
	var bandIDs, hallIDs []string
	for _, e := range events {
		bandIDs, hallIDs = append(bandIDs, e.BandID), append(hallIDs, e.DanceHallID)
	}
	if bands, err = r.BandsByID(ctx, bandIDs...); err != nil {
		return nil, nil, err
	}
	halls, err = r.DanceHallsByID(ctx, hallIDs...)
	return bands, halls, err
}

// filterOf returns the search as the read views are asked.
func filterOf(s search, subject string) query.Filter {
	f := query.Filter{From: s.From, To: s.To, MaxKm: float64(s.Km), Subject: subject, Origins: len(s.Homes) == 0}
	for _, home := range s.Homes {
		f.Near = append(f.Near, query.Point{Name: home.Label(), At: domain.Coordinate{Latitude: home.Latitude, Longitude: home.Longitude}})
	}
	areasOf(&f, s.Areas)
	return f
}

func areasOf(f *query.Filter, areas []query.Area) {
	for _, a := range areas {
		switch {
		case a.City != "":
			f.Cities = append(f.Cities, a)
		case a.Municipality != "":
			f.Municipalities = append(f.Municipalities, a)
		default:
			f.States = append(f.States, a.State)
		}
	}
}

// homes are the places that distances are measured from.
type homes struct {
	Chips []chip
	Names []string // of those whose place is known
	At    []query.Point
	InURL bool // not the user's own
	Guess *homeGuess
}

// chip is one home. It is taken away by a link, or by a form with Name.
type chip struct{ Name, RemoveURL string }

func homesOf(p *page, preferences query.Preferences) homes {
	var all homes
	for _, home := range p.Search.Homes {
		all.InURL = true
		name := home.Label()
		all.Chips = append(all.Chips, chip{name, p.Search.withoutHome(home).on(p.Path)})
		all.Names = append(all.Names, name)
		all.At = append(all.At, query.Point{Name: name, At: domain.Coordinate{Latitude: home.Latitude, Longitude: home.Longitude}})
	}
	if !all.InURL {
		for _, origin := range preferences.Origins {
			all.Chips = append(all.Chips, chip{Name: origin.Name})
			if origin.At != nil {
				all.Names = append(all.Names, origin.Name)
				all.At = append(all.At, query.Point{Name: origin.Name, At: *origin.At})
			}
		}
	}
	all.Guess = guessHome(p, len(all.Chips))
	return all
}

// homeGuess answers a home that was not found.
type homeGuess struct {
	Text    string
	Names   []string // what may be meant; each is a button
	TooMany bool
}

func guessHome(p *page, has int) *homeGuess {
	text := p.Search.New
	if text == "" {
		return nil
	}
	if has >= domain.MaxOrigins {
		return &homeGuess{Text: text, TooMany: true}
	}
	g := &homeGuess{Text: text}
	if name, ok := guess(text); ok {
		g.Names = append(g.Names, name)
	}
	for _, name := range suggest(text) {
		if len(g.Names) < 3 && !slices.Contains(g.Names, name) {
			g.Names = append(g.Names, name)
		}
	}
	return g
}
