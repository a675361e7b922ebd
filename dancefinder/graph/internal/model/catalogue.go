package model

import (
	"context"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// Band is a band.
type Band struct {
	query.Band
	bands *relatives
}

// DanceHall is a dance hall.
type DanceHall struct {
	query.DanceHall
	halls *relatives
}

// relatives are what the bands, or the halls, of an answer have in common: their dances
// are asked for together.
type relatives struct {
	source  *Source
	ids     []string
	askFunc func(ctx context.Context, ids []string, from, to domain.Date, first int, after string) (map[string]query.Page[query.Event], error)
	asked   memo[period, map[string]*RelatedEventConnection]
}

// period is which dances are asked for.
type period struct {
	from, to domain.Date
	first    int
	after    string
}

// Bands makes bands that ask for their dances together.
func (s *Source) bands(found []query.Band) []*Band {
	shared := &relatives{source: s, askFunc: s.Reader.EventsOfBands}
	all := make([]*Band, len(found))
	for i, b := range found {
		all[i] = &Band{Band: b, bands: shared}
		shared.ids = append(shared.ids, b.ID)
	}
	return all
}

func (s *Source) danceHalls(found []query.DanceHall) []*DanceHall {
	shared := &relatives{source: s, askFunc: s.Reader.EventsOfDanceHalls}
	all := make([]*DanceHall, len(found))
	for i, h := range found {
		all[i] = &DanceHall{DanceHall: h, halls: shared}
		shared.ids = append(shared.ids, h.ID)
	}
	return all
}

// Band returns the band, nil when there is none.
func (s *Source) Band(ctx context.Context, id string) (*Band, error) {
	found, err := s.Reader.BandsByID(ctx, id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return s.bands(values(found))[0], nil
}

// DanceHall returns the hall, nil when there is none.
func (s *Source) DanceHall(ctx context.Context, id string) (*DanceHall, error) {
	found, err := s.Reader.DanceHallsByID(ctx, id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return s.danceHalls(values(found))[0], nil
}

// Event returns the dance, nil when there is none.
func (s *Source) Event(ctx context.Context, id string) (*Event, error) {
	found, err := s.Reader.EventsByID(ctx, id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return s.Events(values(found)...)[0], nil
}

// BandPage asks for a page of bands.
func (s *Source) BandPage(ctx context.Context, search string, first int, after string) (*BandConnection, error) {
	page, err := s.Reader.Bands(ctx, search, first, after)
	if err != nil {
		return nil, err
	}
	c := &BandConnection{Nodes: s.bands(page.Items), PageInfo: pageInfo(page, after != ""), Edges: []*BandEdge{}}
	for i, node := range c.Nodes {
		c.Edges = append(c.Edges, &BandEdge{Node: node, Cursor: page.Cursors[i]})
	}
	return c, nil
}

// DanceHallPage asks for a page of halls.
func (s *Source) DanceHallPage(ctx context.Context, search string, first int, after string) (*DanceHallConnection, error) {
	page, err := s.Reader.DanceHalls(ctx, search, first, after)
	if err != nil {
		return nil, err
	}
	c := &DanceHallConnection{Nodes: s.danceHalls(page.Items), PageInfo: pageInfo(page, after != ""), Edges: []*DanceHallEdge{}}
	for i, node := range c.Nodes {
		c.Edges = append(c.Edges, &DanceHallEdge{Node: node, Cursor: page.Cursors[i]})
	}
	return c, nil
}

// Ignored tells whether the user ignores the band.
func (b *Band) Ignored(ctx context.Context) (bool, error) {
	return b.bands.source.ignores(ctx, func(p query.Preferences) []query.Named { return p.Bands }, b.ID)
}

// Events asks for the band's dances, and those of the other bands of the answer.
func (b *Band) Events(ctx context.Context, from, to *Date, first int, after *string) (*RelatedEventConnection, error) {
	return b.bands.events(ctx, b.ID, from, to, first, after)
}

// City may be empty.
func (h *DanceHall) City() string { return h.Place.City }

// Municipality is the field of that name.
func (h *DanceHall) Municipality() string { return h.Place.Municipality }

// State is the field of that name.
func (h *DanceHall) State() string { return h.Place.State }

// Ignored tells whether the user ignores the hall itself.
func (h *DanceHall) Ignored(ctx context.Context) (bool, error) {
	return h.halls.source.ignores(ctx, func(p query.Preferences) []query.Named { return p.DanceHalls }, h.ID)
}

// Events asks for the dances at the hall, and at the other halls of the answer.
func (h *DanceHall) Events(ctx context.Context, from, to *Date, first int, after *string) (*RelatedEventConnection, error) {
	return h.halls.events(ctx, h.ID, from, to, first, after)
}

func (r *relatives) events(ctx context.Context, id string, from, to *Date, first int, after *string) (*RelatedEventConnection, error) {
	p := period{first: first, after: text(after)}
	if p.from = domain.DateOf(time.Now().In(stockholm)); from != nil {
		p.from = domain.Date(*from)
	}
	if p.to = domain.DateOf(p.from.Time().AddDate(0, 0, query.MaxDays-1)); to != nil {
		p.to = domain.Date(*to)
	}
	all, err := r.asked.get(p, func() (map[string]*RelatedEventConnection, error) { return r.ask(ctx, p) })
	if err != nil {
		return nil, err
	}
	if page := all[id]; page != nil {
		return page, nil
	}
	return &RelatedEventConnection{Edges: []*EventEdge{}, Nodes: []*Event{}, PageInfo: &PageInfo{HasPreviousPage: p.after != ""}}, nil
}

func (r *relatives) ask(ctx context.Context, p period) (map[string]*RelatedEventConnection, error) {
	pages, err := r.askFunc(ctx, r.ids, p.from, p.to, p.first, p.after)
	if err != nil {
		return nil, err
	}
	var found []query.Event
	for _, page := range pages {
		found = append(found, page.Items...)
	}
	// Of all, so that they share what they ask for.
	nodes := related(r.source.Events(found...), func(e *Event) string { return e.ID })
	all := map[string]*RelatedEventConnection{}
	for id, page := range pages {
		c := &RelatedEventConnection{PageInfo: pageInfo(page, p.after != "")}
		for _, e := range page.Items {
			c.Nodes = append(c.Nodes, nodes[e.ID])
		}
		c.Edges = edges(c.Nodes, page.Cursors)
		all[id] = c
	}
	return all, nil
}

var stockholm = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Stockholm")
	if err != nil {
		panic("graph: " + err.Error()) // the program has time/tzdata in it
	}
	return zone
}()
