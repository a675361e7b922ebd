package web

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// filter is the form beside the list.
type filter struct {
	Step, Steps int // of the slider
	Km          string
	Ticks       []int
	Distance    bool
	Areas       []areaView
	ClearURL    string
	Hidden      bool
	HiddenCount int
	CanHide     bool
	Submit      string      // "Visa 18 danser"
	Keep        [][2]string // what of the URL the form leaves alone
	Rest        [][2]string // and what it is about
}

// areaView is an area with its number of dances, and what is in it.
type areaView struct {
	ID, Field, Value, Name, Show string
	Count                        int
	Chosen, Partly, Open         bool
	Within                       []areaView
}

func filterView(p *page, d data) *filter {
	f := &filter{
		Steps: len(kms) - 1, Km: p.Number(p.Search.Km), Ticks: []int{10, 50, 100, 200, 400}, Distance: p.Search.Distance,
		Areas: areaTree(p, d.summary), Hidden: p.Search.Hidden, HiddenCount: hiddenCount(d.summary), CanHide: p.LoggedIn,
		Submit: p.T("show dances", p.Dances(d.summary.Total)),
	}
	f.Step = slices.IndexFunc(kms, func(km int) bool { return km >= p.Search.Km })
	if f.Step < 0 {
		f.Step = len(kms) - 1
	}
	if len(p.Search.Areas) > 0 {
		f.ClearURL = p.Search.withoutAreas().on(p.Path)
	}
	for field, values := range p.Search.values() {
		if slices.Contains([]string{"period", "fran", "till", "dag", "hem", "lang", "karta", "plats"}, field) {
			for _, value := range values {
				f.Keep = append(f.Keep, [2]string{field, value})
			}
		} else if field != "efter" {
			for _, value := range values {
				f.Rest = append(f.Rest, [2]string{field, value})
			}
		}
	}
	byField := func(a, b [2]string) int { return cmp.Compare(a[0], b[0]) } // homes stay in their order
	slices.SortStableFunc(f.Keep, byField)
	slices.SortStableFunc(f.Rest, byField)
	return f
}

// areaTree counts the dances of each area as if none were chosen.
func areaTree(p *page, s query.Summary) []areaView {
	count := map[query.Area]int{}
	for _, hall := range s.Halls {
		if hall.Place.State == "" { // a hall that is not known
			continue
		}
		state, municipality, city := query.Area{State: hall.Place.State}, query.Area{State: hall.Place.State, Municipality: hall.Place.Municipality}, query.Area(
			query.Area{State: hall.Place.State, Municipality: hall.Place.Municipality, City: hall.Place.City})
		count[state] += hall.AnyArea
		if hall.Place.OnFerry() {
			continue
		}
		count[municipality] += hall.AnyArea
		if hall.Place.City != "" {
			count[city] += hall.AnyArea
		}
	}
	for _, area := range p.Search.Areas { // also those without a dance
		if area.State != "" {
			count[area] += 0
			count[query.Area{State: area.State}] += 0
			if area.City != "" {
				count[query.Area{State: area.State, Municipality: area.Municipality}] += 0
			}
		}
	}
	within := map[query.Area][]query.Area{}
	for area := range count {
		switch {
		case area.City != "":
			parent := query.Area{State: area.State, Municipality: area.Municipality}
			within[parent] = append(within[parent], area)
		case area.Municipality != "":
			within[query.Area{State: area.State}] = append(within[query.Area{State: area.State}], area)
		default:
			within[query.Area{}] = append(within[query.Area{}], area)
		}
	}
	t := tree{p: p, count: count, within: within}
	views := t.of(query.Area{})
	for i := range views {
		views[i].Open = views[i].Open || len(views) <= 2
	}
	return views
}

type tree struct {
	p      *page
	count  map[query.Area]int
	within map[query.Area][]query.Area
}

// areaID returns the same id for an area on every page, wherever its number puts it: what
// is open, and what has the focus, is found again by it.
func areaID(value string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(value))
	return "omr-" + strconv.FormatUint(uint64(hash.Sum32()), 36)
}

// of returns what is in an area, most dances first.
func (t *tree) of(parent query.Area) (views []areaView) {
	children := t.within[parent]
	slices.SortFunc(children, func(a, b query.Area) int {
		return cmp.Or(cmp.Compare(t.count[b], t.count[a]), cmp.Compare(areaName(a), areaName(b)))
	})
	for _, area := range children {
		v := areaView{Name: areaName(area), Count: t.count[area], Chosen: slices.Contains(t.p.Search.Areas, area)}
		v.Field, v.Value = areaField(area)
		v.ID = areaID(v.Field + v.Value)
		v.Show = t.p.T("show in", v.Name)
		inside := t.within[area]
		if len(inside) > 1 || len(inside) == 1 && domain.Key(areaName(inside[0])) != domain.Key(v.Name) || slices.ContainsFunc(inside, t.chosen) {
			v.Within = t.of(area)
		}
		v.Partly = !v.Chosen && slices.ContainsFunc(v.Within, func(c areaView) bool { return c.Chosen || c.Partly })
		v.Open = v.Partly
		views = append(views, v)
	}
	return views
}

func (t *tree) chosen(area query.Area) bool { return slices.Contains(t.p.Search.Areas, area) }

func areaName(a query.Area) string {
	switch {
	case a.City != "":
		return a.City
	case a.Municipality != "":
		return a.Municipality
	}
	return a.State
}

func areaNames(areas []query.Area) (names []string) {
	for _, a := range areas {
		names = append(names, areaName(a))
	}
	return names
}
