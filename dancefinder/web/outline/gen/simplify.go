package main

import (
	"math"
	"slices"

	"github.com/dancefinder/eventsourcing/dancefinder/web/outline"
)

// simplify takes points out of the rings. What two areas share is simplified once
// for both, so that no gap opens between them: rings are cut where other areas begin
// or end to share them, and each piece is simplified in one direction.
func simplify(areas []area) []area {
	users := map[point][]int{} // which areas have the point
	for i, a := range areas {
		for _, ring := range a.rings {
			for _, p := range ring {
				if !slices.Contains(users[p], i) {
					users[p] = append(users[p], i)
				}
			}
		}
	}
	for i, a := range areas {
		tolerance := toleranceAbroad
		if a.home {
			tolerance = toleranceHome
		}
		var rings [][]point
		for _, ring := range a.rings {
			if ring = simplifyRing(ring, users, areas, tolerance*outline.PerKm); len(ring) > 2 {
				rings = append(rings, ring)
			}
		}
		areas[i].rings = rings
	}
	return areas
}

func simplifyRing(ring []point, users map[point][]int, areas []area, tolerance float64) []point {
	var cuts []int
	for i, p := range ring {
		before, after := ring[(i+len(ring)-1)%len(ring)], ring[(i+1)%len(ring)]
		if len(users[p]) > 2 || !slices.Equal(users[p], users[before]) && len(users[p]) > len(users[before]) ||
			!slices.Equal(users[p], users[after]) && len(users[p]) > len(users[after]) {
			cuts = append(cuts, i)
		}
	}
	if len(cuts) == 0 { // an island: cut at its ends, so that it stays one
		first := slices.Index(ring, slices.MinFunc(ring, comparePoints))
		cuts = []int{first, (first + len(ring)/2) % len(ring)}
		slices.Sort(cuts)
	}
	var result []point
	for i, from := range cuts {
		to := cuts[(i+1)%len(cuts)]
		if to <= from {
			to += len(ring)
		}
		var piece []point
		shared := false // with Sweden, whose lines are finer
		for j := from; j <= to; j++ {
			p := ring[j%len(ring)]
			piece = append(piece, p)
			if j > from && j < to || to == from+1 {
				for _, u := range users[p] {
					shared = shared || areas[u].home
				}
			}
		}
		finer := tolerance
		if shared {
			finer = toleranceHome * outline.PerKm
		}
		backwards := comparePoints(piece[0], piece[len(piece)-1]) > 0
		if backwards {
			slices.Reverse(piece)
		}
		piece = douglasPeucker(piece, finer)
		if backwards {
			slices.Reverse(piece)
		}
		result = append(result, piece[:len(piece)-1]...)
	}
	return slices.Compact(result)
}

func comparePoints(a, b point) int {
	if a.x != b.x {
		return a.x - b.x
	}
	return a.y - b.y
}

// douglasPeucker keeps the ends, and between them what lies further than tolerance
// from the line.
func douglasPeucker(line []point, tolerance float64) []point {
	if len(line) < 3 {
		return line
	}
	a, b := line[0], line[len(line)-1]
	furthest, at := 0.0, 0
	for i, p := range line[1 : len(line)-1] {
		if d := distance(p, a, b); d > furthest {
			furthest, at = d, i+1
		}
	}
	if furthest <= tolerance {
		return []point{a, b}
	}
	return append(douglasPeucker(line[:at+1:at+1], tolerance), douglasPeucker(line[at:], tolerance)[1:]...)
}

// distance returns how far p is from the line between a and b.
func distance(p, a, b point) float64 {
	dx, dy := float64(b.x-a.x), float64(b.y-a.y)
	px, py := float64(p.x-a.x), float64(p.y-a.y)
	if length := dx*dx + dy*dy; length > 0 {
		t := min(1, max(0, (px*dx+py*dy)/length))
		px, py = px-t*dx, py-t*dy
	}
	return math.Hypot(px, py)
}
