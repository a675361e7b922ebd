// Package gazetteer knows the places of Sweden and where they are, without a
// network: cities, towns and villages of about 500 inhabitants and more, in
// all 290 municipalities and 21 states.
//
// The data is places.tsv, made by the command in gen from GeoNames
// (geonames.org, CC BY 4.0), filtered to Sweden and with names normalised.
// Whoever shows it must name that source; see NOTICE at the repository's root.
package gazetteer

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Place is a city, town or village. Names are in the form that listings use:
// a Municipality is "Arjeplog", not "Arjeplogs kommun", and a State is
// "Dalarna" or "Stockholm", without "län".
//
// Name and Municipality together are unique. A Name alone is not, nor is a
// Name with its State.
type Place struct {
	Name         string
	Municipality string
	State        string
	Code         string // the municipality's official number, "1280"
	Latitude     float64
	Longitude    float64
	Population   int  // of the place itself; 0 means not known
	Seat         bool // whether the municipality is governed from here; each has exactly one
}

//go:embed places.tsv
var tsv string

// Places returns all places, ordered by State, Municipality and Name, each
// compared byte by byte. The slice is parsed at the first call and shared by
// all callers, who must not change it. It is safe for concurrent use.
func Places() []Place { return places() }

var places = sync.OnceValue(func() []Place {
	lines := strings.Split(strings.TrimSuffix(tsv, "\n"), "\n")[1:] // the first names the columns
	all := make([]Place, len(lines))
	for i, line := range lines {
		p, err := parse(line)
		if err != nil {
			panic(fmt.Sprintf("gazetteer: places.tsv:%d: %v", i+2, err)) // the file is part of the program
		}
		all[i] = p
	}
	return all
})

func parse(line string) (Place, error) {
	field := strings.Split(line, "\t")
	if len(field) != 8 {
		return Place{}, fmt.Errorf("%d columns, expected 8", len(field))
	}
	latitude, err := strconv.ParseFloat(field[4], 64)
	if err != nil {
		return Place{}, err
	}
	longitude, err := strconv.ParseFloat(field[5], 64)
	if err != nil {
		return Place{}, err
	}
	population, err := strconv.Atoi(field[6])
	if err != nil {
		return Place{}, err
	}
	return Place{
		Name: field[0], Municipality: field[1], State: field[2], Code: field[3],
		Latitude: latitude, Longitude: longitude,
		Population: population, Seat: field[7] == "1",
	}, nil
}
