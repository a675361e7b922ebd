package web

import (
	"cmp"
	"math"
	"slices"

	"github.com/dancefinder/eventsourcing/dancefinder/query"
	"github.com/dancefinder/eventsourcing/dancefinder/web/outline"
)

// place is somewhere with dances: a town, or the municipality where a hall has no town.
type place struct {
	area  query.Area
	x, y  float64 // on the map, see outline; NaN when nobody knows
	count int
	halls []string
}

func (p place) name() string { return areaName(p.area) }

func (p place) located() bool { return !math.IsNaN(p.x) }

// placesOf puts halls together by where they are, most dances first.
func placesOf(halls []query.HallCount) (places []place) {
	type sums struct{ latitude, longitude, n float64 }
	at := map[query.Area]int{}
	var middle []sums
	for _, hall := range halls {
		if hall.Count == 0 || hall.Place.State == "" {
			continue
		}
		area := query.Area{State: hall.Place.State, Municipality: hall.Place.Municipality, City: hall.Place.City}
		i, known := at[area]
		if !known {
			i = len(places)
			at[area], places, middle = i, append(places, place{area: area}), append(middle, sums{})
		}
		places[i].count += hall.Count
		places[i].halls = append(places[i].halls, hall.ID)
		if c := hall.Coordinate; c != nil {
			middle[i].latitude, middle[i].longitude, middle[i].n = middle[i].latitude+c.Latitude, middle[i].longitude+c.Longitude, middle[i].n+1
		}
	}
	for i, m := range middle {
		places[i].x, places[i].y = math.NaN(), math.NaN()
		if m.n > 0 {
			places[i].x, places[i].y = outline.Project(m.latitude/m.n, m.longitude/m.n)
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.name(), b.name())) })
	return places
}

// frame is the part of the map that is shown, width by height pixels large.
type frame struct {
	width, height float64
	scale         float64 // pixels a unit
	left, top     float64 // in units
}

// frameOf shows the box from x0, y0 to x1, y1, with a margin.
func frameOf(width, height, margin, x0, y0, x1, y1 float64) frame {
	f := frame{width: width, height: height, scale: min((width-2*margin)/(x1-x0), (height-2*margin)/(y1-y0))}
	f.left, f.top = (x0+x1)/2-width/2/f.scale, (y0+y1)/2-height/2/f.scale
	return f
}

func (f frame) at(x, y float64) (float64, float64) {
	return (x - f.left) * f.scale, (y - f.top) * f.scale
}

// swedenFrame shows all of the country.
func swedenFrame(width, height, margin float64) frame {
	x0, _ := outline.Project(58.9, 10.95)
	x1, _ := outline.Project(65.8, 24.2)
	_, y0 := outline.Project(69.06, 20.5)
	_, y1 := outline.Project(55.33, 13.4)
	return frameOf(width, height, margin, x0, y0, x1, y1)
}

// nearFrame shows what is within km of the homes.
func nearFrame(width, height, margin float64, homes []query.Point, km int) frame {
	x0, y0, x1, y1 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	reach := float64(max(km, 15) * outline.PerKm)
	for _, home := range homes {
		x, y := outline.Project(home.At.Latitude, home.At.Longitude)
		x0, y0, x1, y1 = min(x0, x-reach), min(y0, y-reach), max(x1, x+reach), max(y1, y+reach)
	}
	return frameOf(width, height, margin, x0, y0, x1, y1)
}

// mark is a circle of the map: a place, with others that are too close to it.
type mark struct {
	place
	cx, cy, r float64
	others    []place
}

// sizes says how large circles are: the area is the number of dances, as long as that
// leaves them neither too small to press nor so large that they hide the map.
type sizes struct{ least, most, each float64 }

func (s sizes) radius(count, largest int) float64 {
	each := min(s.each, s.most/math.Sqrt(float64(max(largest, 1))))
	return max(s.least, each*math.Sqrt(float64(count)))
}

// marksOf returns the circles of places in a frame, the largest first. A place whose
// circle would lie mostly under a larger one is counted there.
func marksOf(places []place, f frame, s sizes) (marks []mark) {
	largest := 0
	if len(places) > 0 {
		largest = places[0].count
	}
next:
	for _, p := range places {
		if !p.located() {
			continue
		}
		cx, cy := f.at(p.x, p.y)
		r := s.radius(p.count, largest)
		if cx < -r || cy < -r || cx > f.width+r || cy > f.height+r {
			continue
		}
		for i := range marks {
			if m := &marks[i]; math.Hypot(m.cx-cx, m.cy-cy) < 0.72*(s.radius(m.place.count, largest)+r) {
				m.others = append(m.others, p)
				continue next
			}
		}
		marks = append(marks, mark{place: p, cx: cx, cy: cy})
	}
	for _, m := range marks {
		largest = max(largest, m.total())
	}
	for i := range marks {
		marks[i].r = s.radius(marks[i].total(), largest)
	}
	return marks
}

// total is how many dances there are.
func (m mark) total() int {
	n := m.count
	for _, p := range m.others {
		n += p.count
	}
	return n
}

// has tells whether a place is in the circle.
func (m mark) has(area query.Area) bool {
	return m.area == area || slices.ContainsFunc(m.others, func(p place) bool { return p.area == area })
}

// halls returns the halls of a place and of those that share its circle.
func (m mark) halls() (ids []string) {
	ids = append(ids, m.place.halls...)
	for _, p := range m.others {
		ids = append(ids, p.halls...)
	}
	return ids[:min(len(ids), query.MaxValues)]
}
