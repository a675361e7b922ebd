package web

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
	"github.com/dancefinder/eventsourcing/dancefinder/web/outline"
)

// mapView is a map and what is said beside it.
type mapView struct {
	Drawings          []drawing // one for wide, one for narrow screens; the small map has one
	Near              bool      // not all of Sweden
	CanNear           bool
	NearURL, WholeURL string
	Help              string
	Chosen            *group // the dances of the chosen place
	AllURL            string // without a chosen place
	Others            string // the heading of Places
	Count             string
	Places            []placeLink
	Missing           string // how many dances are not on the map
}

type placeLink struct{ Name, State, URL, Count string }

// drawing is one SVG. All numbers are pixels, ready to be written.
type drawing struct {
	Class, Width, Height, Transform string
	Rings, Homes                    []point
	Counties                        []label
	Circles                         []circle
	Labels                          []label
}

type point struct{ X, Y, R string }

type circle struct {
	X, Y, R, URL, Title, Count string
	Chosen                     bool
}

type label struct {
	X, Y, Text, Anchor string
	Chosen             bool
}

// How large the maps are, in pixels, and their circles.
const (
	wideWidth, wideHeight     = 780, 750
	narrowWidth, narrowHeight = 360, 390
	smallWidth, smallHeight   = 250, 532
)

var (
	largeCircles = sizes{least: 9.5, most: 34, each: 7}
	smallCircles = sizes{least: 4.5, most: 15, each: 3.2}
)

func (h *handler) mapPage(w http.ResponseWriter, r *http.Request, p *page) error {
	h.await(r, p)
	d, err := h.load(r.Context(), p, true)
	if err != nil {
		return err
	}
	h.finish(w, r, p, d)
	p.Map = mapOf(p, d)
	if !p.Map.Near {
		p.List.Heading = p.N("title.sweden", d.everywhere.Total)
		p.Title = p.List.Heading
	} else if d.empty != nil {
		p.nothing(d)
	}
	return nil
}

// near tells whether the map shows the surroundings of the homes.
func near(p *page) bool { return len(p.Homes.At) > 0 && !p.Search.Whole }

func shownHalls(p *page, d data) []query.HallCount {
	if near(p) {
		return d.summary.Halls
	}
	return d.everywhere.Halls
}

func largeFrame(p *page, width, height, margin float64) frame {
	if near(p) {
		return nearFrame(width, height, margin, p.Homes.At, p.Search.Km)
	}
	return swedenFrame(width, height, margin)
}

// cluster returns the halls of the circle with a place, on the wide map: the one that
// was pressed on a narrow one is the same.
func cluster(p *page, d data, area query.Area) (halls []string, name string) {
	for _, m := range largeMarks(p, d) {
		if m.has(area) {
			return m.halls(), markName(p, m)
		}
	}
	for _, place := range placesOf(shownHalls(p, d)) {
		if place.area == area {
			return place.halls[:min(len(place.halls), query.MaxValues)], place.name()
		}
	}
	return nil, areaName(area)
}

func largeMarks(p *page, d data) []mark {
	return marksOf(placesOf(shownHalls(p, d)), largeFrame(p, wideWidth, wideHeight, 40), largeCircles)
}

func markName(p *page, m mark) string {
	if len(m.others) > 0 {
		return p.T("around", m.name())
	}
	return m.name()
}

func mapOf(p *page, d data) *mapView {
	v := &mapView{
		Near: near(p), CanNear: len(p.Homes.At) > 0, NearURL: p.Search.withWhole(false).on("/karta"), WholeURL: p.Search.withWhole(true).on("/karta"),
		Help: p.T("map help"), Others: p.T("places"),
	}
	if v.Near {
		v.Help = p.T("map help near", p.Number(p.Search.Km), p.language.List(p.Homes.Names))
	}
	marks := largeMarks(p, d)
	wide := largeFrame(p, wideWidth, wideHeight, 40)
	narrow := largeFrame(p, narrowWidth, narrowHeight, 12)
	v.Drawings = []drawing{draw(p, "wide", wide, marks, true), draw(p, "narrow", narrow, moved(marks, wide, narrow), true)}
	places := placesOf(shownHalls(p, d))
	total, missing := 0, 0
	for _, place := range places {
		if !place.located() {
			missing += place.count
		}
		total += place.count
	}
	var chosenHalls []string
	if p.Search.Place != nil {
		halls, name := cluster(p, d, *p.Search.Place)
		chosenHalls = halls
		rows := rowsOf(p, d, true)
		v.Chosen = &group{ID: "plats", Heading: name, Rows: rows}
		count := 0
		for _, place := range places {
			if contains(chosenHalls, place.halls) {
				count += place.count
			}
		}
		v.Chosen.Count = p.Dances(count)
		total -= count
		v.Others, v.AllURL = p.T("other places"), p.Search.withPlace(nil).on("/karta")
	}
	for _, place := range places {
		if !contains(chosenHalls, place.halls) {
			v.Places = append(v.Places, placeLink{place.name(), placeState(p, place), p.Search.withPlace(&place.area).on("/karta"), strconv.Itoa(place.count)})
		}
	}
	v.Count = p.Dances(total)
	if missing > 0 {
		v.Missing = p.N("not on map", missing)
	}
	return v
}

func placeState(p *page, place place) string {
	if domain.IsFerry(place.area.State) {
		return p.T("ferry")
	}
	return place.area.State
}

// contains tells whether all of some is in all.
func contains(all, some []string) bool {
	in := map[string]bool{}
	for _, id := range all {
		in[id] = true
	}
	for _, id := range some {
		if !in[id] {
			return false
		}
	}
	return len(some) > 0
}

// moved returns the circles of one frame in another.
func moved(marks []mark, from, to frame) (all []mark) {
	for _, m := range marks {
		m.cx, m.cy = to.at(m.cx/from.scale+from.left, m.cy/from.scale+from.top)
		all = append(all, m)
	}
	return all
}

// smallMap is all of Sweden, beside the list.
func smallMap(p *page, d data) *mapView {
	whole := *p
	whole.Search = p.Search.withWhole(true)
	f := swedenFrame(smallWidth, smallHeight, 22)
	marks := marksOf(placesOf(d.everywhere.Halls), f, smallCircles)
	drawn := draw(&whole, "small", f, marks, false)
	if len(p.Homes.At) > 0 {
		drawn.Rings = rings(p, f)
	}
	return &mapView{Drawings: []drawing{drawn}, Help: p.T("map small")}
}

func rings(p *page, f frame) (all []point) {
	for _, home := range p.Homes.At {
		x, y := f.at(outline.Project(home.At.Latitude, home.At.Longitude))
		all = append(all, point{number(x), number(y), number(float64(p.Search.Km) * outline.PerKm * f.scale)})
	}
	return all
}

func draw(p *page, class string, f frame, marks []mark, names bool) drawing {
	g := drawing{Class: class, Width: number(f.width), Height: number(f.height)}
	g.Transform = "scale(" + strconv.FormatFloat(f.scale, 'f', 4, 64) + ") translate(" + number(-f.left) + " " + number(-f.top) + ")"
	taken := taken{width: f.width, height: f.height}
	for _, m := range marks {
		taken.add(m.cx-m.r, m.cy-m.r, m.cx+m.r, m.cy+m.r)
		chosen := p.Search.Place != nil && m.has(*p.Search.Place)
		c := circle{
			X: number(m.cx), Y: number(m.cy), R: number(m.r), URL: p.Search.withPlace(&m.area).on("/karta"),
			Title: markName(p, m) + ", " + p.Dances(m.total()), Chosen: chosen,
		}
		if m.r >= 9 {
			c.Count = strconv.Itoa(m.total())
		}
		g.Circles = append(g.Circles, c)
	}
	if !names {
		return g
	}
	if near(p) {
		g.Rings = rings(p, f)
	}
	g.Homes = badges(p, f, marks, &taken)
	for _, first := range []bool{true, false} { // the chosen one's name before all others
		for i, m := range marks {
			if c := g.Circles[i]; c.Chosen == first {
				g.name(m, c, &taken)
			}
		}
	}
	if near(p) {
		g.counties(f, &taken)
	}
	return g
}

// badges returns where the houses of the homes are: beside a circle that is there.
func badges(p *page, f frame, marks []mark, taken *taken) (all []point) {
	const r = 11.0
	for _, home := range p.Homes.At {
		x, y := f.at(outline.Project(home.At.Latitude, home.At.Longitude))
		for _, m := range marks {
			if math.Hypot(m.cx-x, m.cy-y) < m.r+r-1 {
				side := m.r + r - 2
				if !taken.free(m.cx-side-r, m.cy-r, m.cx-side+r-3, m.cy+r) && taken.free(m.cx+side-r+3, m.cy-r, m.cx+side+r, m.cy+r) {
					side = -side
				}
				x, y = m.cx-side, m.cy
				break
			}
		}
		if x < -r || y < -r || x > f.width+r || y > f.height+r {
			continue
		}
		taken.add(x-r, y-r, x+r, y+r)
		all = append(all, point{number(x), number(y), number(r)})
	}
	return all
}

// name writes the name of a circle's place beside it, where there is room.
func (g *drawing) name(m mark, c circle, taken *taken) {
	const height = 15.0
	text := m.name()
	wide := 7.6 * float64(utf8.RuneCountInString(text))
	for _, at := range []struct {
		x, y   float64
		anchor string
	}{
		{m.cx + m.r + 5, m.cy + 5, "start"}, {m.cx - m.r - 5, m.cy + 5, "end"}, {m.cx, m.cy - m.r - 6, "middle"}, {m.cx, m.cy + m.r + 15, "middle"},
	} {
		left := at.x
		switch at.anchor {
		case "end":
			left -= wide
		case "middle":
			left -= wide / 2
		}
		if taken.free(left, at.y-height+3, left+wide, at.y+3) {
			taken.add(left, at.y-height+3, left+wide, at.y+3)
			g.Labels = append(g.Labels, label{number(at.x), number(at.y), text, at.anchor, c.Chosen})
			return
		}
	}
}

// counties writes the names of the counties where there is room.
func (g *drawing) counties(f frame, taken *taken) {
	for _, county := range domain.Counties() {
		latitude, longitude, ok := gazetteer.Centre(county)
		if !ok {
			continue
		}
		x, y := f.at(outline.Project(latitude, longitude))
		text := strings.ToUpper(county)
		half := 5.2 * float64(utf8.RuneCountInString(text))
		for _, dy := range []float64{0, -28, 28, -56, 56} {
			if taken.free(x-half, y+dy-12, x+half, y+dy+3) {
				taken.add(x-half, y+dy-12, x+half, y+dy+3)
				g.Counties = append(g.Counties, label{X: number(x), Y: number(y + dy), Text: text, Anchor: "middle"})
				break
			}
		}
	}
}

// taken are the parts of a map that have something on them.
type taken struct {
	width, height float64
	boxes         [][4]float64
}

func (t *taken) add(x0, y0, x1, y1 float64) { t.boxes = append(t.boxes, [4]float64{x0, y0, x1, y1}) }

func (t *taken) free(x0, y0, x1, y1 float64) bool {
	if x0 < 2 || y0 < 2 || x1 > t.width-2 || y1 > t.height-2 {
		return false
	}
	for _, b := range t.boxes {
		if x0 < b[2] && x1 > b[0] && y0 < b[3] && y1 > b[1] {
			return false
		}
	}
	return true
}
