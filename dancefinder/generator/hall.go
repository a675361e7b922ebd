package generator

import (
	"math"
	"math/rand/v2"
	"sort"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
)

// hall is a place to dance at.
type hall struct {
	name, city, municipality, state string

	at      point
	outdoor bool // has more dances in summer
	weight  int  // how often it has dances, compared with others
	night   int  // of its last dance, counted from 1; 0 before the first
}

// newHalls makes up halls: one in the seat of each municipality, the ferries,
// and the rest where people live, in proportion to the square root of their
// number.
func newHalls(rng *rand.Rand) []hall {
	places := gazetteer.Places()
	halls := make([]hall, 0, Halls)
	for _, f := range ferries {
		halls = append(halls, hall{name: f.name, municipality: domain.Ferry, state: domain.Ferry})
	}
	taken := map[string]bool{}
	build := func(p gazetteer.Place) {
		k := hallKinds[rng.IntN(len(hallKinds))]
		h := hall{
			name: genitive(p.Name) + " " + k.name, city: p.Name, municipality: p.Municipality, state: p.State,
			at: pointOf(p), outdoor: k.outdoor,
		}
		if key := h.name + "/" + h.municipality; !taken[key] {
			taken[key] = true
			halls = append(halls, h)
		}
	}

	people := make(weights, len(places))
	for i, p := range places {
		people.set(i, int(math.Sqrt(float64(p.Population))))
		if !p.Seat {
			continue
		}
		build(p)
		for j, f := range ferries {
			if f.port == p.Municipality {
				halls[j].at = pointOf(p)
			}
		}
	}
	for len(halls) < Halls {
		build(places[people.pick(rng)])
	}

	for i := range halls {
		halls[i].weight = 60 + rng.IntN(121)
		if rng.IntN(20) == 0 { // a palace
			halls[i].weight *= 3
		}
	}
	return halls
}

var hallKinds = []struct {
	name    string
	outdoor bool
}{
	{"Folkets Park", true}, {"Folkets Hus", false}, {"Bygdegård", false}, {"Loge", true},
	{"Medborgarhus", false}, {"Park", true}, {"Dansrotunda", true}, {"Hembygdsgård", true},
	{"Värdshus", false}, {"Camping", true}, {"Dansbana", true}, {"Festplats", true},
	{"Gästgivargård", false}, {"Stadshotell", false}, {"Danspalats", false}, {"Kulturhus", false},
	{"Idrottshall", false}, {"Ordenshus", false},
}

// ferries sail from the seats of municipalities, which listings don't tell.
var ferries = [Ferries]struct{ name, port string }{
	{"M/S Aftonvals", "Stockholm"}, {"M/S Bälgaspel", "Stockholm"}, {"M/S Dansglädje", "Stockholm"},
	{"M/S Durklang", "Norrtälje"}, {"M/S Fyrsken", "Nynäshamn"}, {"M/S Havsfox", "Göteborg"},
	{"M/S Kvällsbris", "Göteborg"}, {"M/S Månljus", "Trelleborg"}, {"M/S Schottis", "Ystad"},
	{"M/S Skärgårdsvals", "Gotland"}, {"M/S Sommarhambo", "Karlskrona"}, {"M/S Stjärnbugg", "Oskarshamn"},
	{"M/S Takt och Ton", "Umeå"}, {"M/S Tångo", "Helsingborg"}, {"M/S Vågdans", "Strömstad"},
}

// point is a place on the globe in whole kilometres from its centre. Distances
// are along the straight line, at 300 km 30 m shorter than along the ground.
// Whole numbers are the same on every machine, and fast.
type point struct{ x, y, z int }

func pointOf(p gazetteer.Place) point {
	const radius, degree = 6371, math.Pi / 180
	lat, long := p.Latitude*degree, p.Longitude*degree
	return point{
		x: int(math.Round(radius * math.Cos(lat) * math.Cos(long))),
		y: int(math.Round(radius * math.Cos(lat) * math.Sin(long))),
		z: int(math.Round(radius * math.Sin(lat))),
	}
}

// squaredKm returns the square of the distance between two points.
func (p point) squaredKm(q point) int {
	x, y, z := p.x-q.x, p.y-q.y, p.z-q.z
	return x*x + y*y + z*z
}

// weights are running totals, to pick an index in proportion to its weight.
// They are set in order.
type weights []int

func (w weights) set(i, weight int) {
	if i > 0 {
		weight += w[i-1]
	}
	w[i] = weight
}

func (w weights) total() int { return w[len(w)-1] }

func (w weights) pick(rng *rand.Rand) int { return sort.SearchInts(w, rng.IntN(w.total())+1) }
