package web

import (
	"cmp"
	"context"

	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// empty says that nothing was found, and what to do.
type empty struct {
	Heading string
	Text    string
	Ways    []way // the likeliest first
}

// way is a search that finds something.
type way struct{ Name, URL, Count string }

// findings are what other searches would find.
type findings struct {
	nearest *query.Event // by distance, whatever the area
	hall    query.DanceHall
	ways    []found
}

type found struct {
	key   string // of the words
	args  []any
	to    search
	count int
}

const maxWays = 4

// find looks for what a search that has found nothing could have been: without its
// areas, further away, in a longer period, with what is hidden.
func find(ctx context.Context, r *query.Reader, p *page, d data) (*findings, error) {
	f, s := &findings{}, p.Search
	try := func(key string, to search, args ...any) (bool, error) {
		summary, err := r.Summary(ctx, filterOf(to, p.User.Subject))
		if err == nil && summary.Total > 0 {
			f.ways = append(f.ways, found{key, args, to, summary.Total})
			return true, nil
		}
		return false, err
	}
	if len(s.Areas) == 1 {
		if _, err := try("remove area", s.withoutAreas(), areaName(s.Areas[0])); err != nil {
			return nil, err
		}
	} else if len(s.Areas) > 1 {
		if _, err := try("remove areas", s.withoutAreas()); err != nil {
			return nil, err
		}
	}
	if len(p.Homes.At) > 0 {
		for _, km := range []int{50, 100, 200, 400} {
			if km <= s.Km {
				continue
			}
			if hit, err := try("search within", s.withKm(km), p.Number(km)); err != nil {
				return nil, err
			} else if hit {
				break
			}
		}
		if err := f.findNearest(ctx, r, d.filter); err != nil {
			return nil, err
		}
	}
	for _, longer := range []struct{ period, key string }{{periodWeekend, "show weekend"}, {periodWeek, "show week"}, {periodMonth, "show month"}} {
		to, err := parseSearch(s.withPeriod(longer.period).values(), p.Today)
		if err != nil || to.To <= s.To && to.From >= s.From {
			continue
		}
		if hit, err := try(longer.key, to); err != nil {
			return nil, err
		} else if hit {
			break
		}
	}
	if n := hiddenCount(d.summary); n > 0 && !s.Hidden {
		f.ways = append(f.ways, found{"show hidden", nil, s.withHidden(), n})
	}
	f.ways = f.ways[:min(len(f.ways), maxWays)]
	return f, nil
}

func (f *findings) findNearest(ctx context.Context, r *query.Reader, filter query.Filter) error {
	filter.MaxKm, filter.States, filter.Municipalities, filter.Cities = 0, nil, nil, nil
	nearest, err := r.Events(ctx, filter, query.ByDistance, 1, "")
	if err != nil || len(nearest.Items) == 0 || nearest.Items[0].Km == nil {
		return err
	}
	halls, err := r.DanceHallsByID(ctx, nearest.Items[0].DanceHallID)
	if hall, ok := halls[nearest.Items[0].DanceHallID]; ok {
		f.nearest, f.hall = &nearest.Items[0], hall
	}
	return err
}

// nothing puts on the page that there is no dance, or, while dances are late, that nobody
// knows yet.
func (p *page) nothing(d data) {
	p.Empty = emptyOf(p, d)
	if p.Unsure {
		p.Title, p.List.Heading = p.T("not read"), p.T("not read")
		p.Empty.Heading, p.Empty.Text = p.T("not read"), p.T("not read help")
	}
}

func emptyOf(p *page, d data) *empty {
	s := p.Search
	when := p.T("when " + map[string]string{periodToday: "today", periodWeekend: "weekend", periodWeek: "week", periodMonth: "month", periodOwn: "own"}[s.Period])
	if s.Period == periodOwn {
		when = p.Days(s.From, s.To)
	}
	e := &empty{}
	hidden := hiddenCount(d.summary)
	switch {
	case hidden == 1:
		e.Heading = p.T("one hidden")
	case hidden > 1:
		e.Heading = p.T("all hidden", p.Number(hidden))
	case len(p.Homes.At) > 0:
		e.Heading = p.T("empty within", when, p.Number(s.Km), p.language.List(p.Homes.Names))
	case len(s.Areas) > 0:
		e.Heading = p.T("empty area", when, p.language.List(areaNames(s.Areas)))
	default:
		e.Heading = p.T("empty sweden", when)
	}
	if near := d.empty.nearest; near != nil {
		place := cmp.Or(d.empty.hall.Place.City, d.empty.hall.Place.Municipality)
		e.Text = p.T("nearest", place, km(*near.Km))
		if len(s.Areas) > 0 && *near.Km <= float64(s.Km) {
			e.Text += " " + p.T("nearest outside", p.language.List(areaNames(s.Areas)))
		}
	} else if len(d.empty.ways) == 0 {
		e.Text = p.T("no dance at all")
	}
	for _, f := range d.empty.ways {
		e.Ways = append(e.Ways, way{p.T(f.key, f.args...), f.to.on(p.Path), p.Dances(f.count)})
	}
	return e
}
