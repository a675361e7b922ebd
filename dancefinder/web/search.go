package web

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// search is what somebody looks for: all that the URL says. What is at its default is
// left out of URLs.
//
//	period=idag|helg|7dagar|manad|egna, with fran= and till= for egna, which they mean
//	                     also without period=
//	dag=2026-11-28       the list starts at that day
//	hem=Mora             a home place, many; without any, those of the user
//	inom=100             km from the nearest home
//	sortera=avstand
//	lan=Dalarna  kommun=Dalarna|Mora  ort=Dalarna|Mora|Orsa   areas, many
//	dolda=1              what the user hides is shown, too
//	efter=...            the list goes on after what that cursor stands for
//	karta=sverige        the map shows all of Sweden
//	plats=Dalarna|Mora|Orsa   the place that is chosen on the map
//	lang=en              also en-GB and the like; whatever is not English is Swedish
//	ny=Moora             a home place that was not found, to be asked about
type search struct {
	Lang     *language
	Period   string
	From, To domain.Date
	Day      domain.Date // "" is the first
	Homes    []gazetteer.Place
	Km       int
	Distance bool
	Areas    []query.Area // a county has neither municipality nor city
	Hidden   bool
	After    string
	Whole    bool
	Place    *query.Area
	New      string
}

const (
	defaultKm = 100
	maxKm     = 2000
	maxAreas  = 50
)

// kms are the distances of the slider, in its steps.
var kms = []int{10, 15, 25, 35, 50, 60, 75, 85, 100, 125, 150, 175, 200, 250, 300, 350, 400}

// badSearch is a parameter that can't be meant.
type badSearch struct {
	Field string // the parameter
	Key   string // of the words
	Args  []any
}

func (b *badSearch) Error() string { return b.Field + ": " + b.Key }

func (b *badSearch) in(l *language) string { return l.T("bad value", b.Field, l.T(b.Key, b.Args...)) }

func bad(field, key string, args ...any) *badSearch {
	for i, arg := range args {
		if text, ok := arg.(string); ok && len(text) > 60 {
			args[i] = strings.ToValidUTF8(text[:60], "") + "…"
		}
	}
	return &badSearch{field, key, args}
}

// parseSearch reads the parameters; unknown ones mean nothing. With an error it
// returns a search in the right language.
func parseSearch(v url.Values, today domain.Date) (search, error) {
	s := search{Lang: languageFor(v.Get("lang")), Period: cmp.Or(v.Get("period"), periodWeek), Km: defaultKm}
	if v.Get("period") == "" && (v.Get("fran") != "" || v.Get("till") != "") {
		s.Period = periodOwn // whoever names dates means them
	}
	for field, values := range v {
		for _, value := range values {
			if !readable(value) && known[field] {
				return s, bad(field, "bad text")
			}
		}
	}
	if err := s.parseDays(v, today); err != nil {
		return s, err
	}
	if err := s.parseChoices(v); err != nil {
		return s, err
	}
	return s, s.parsePlaces(v)
}

// known are the parameters that mean something.
var known = map[string]bool{
	"period": true, "fran": true, "till": true, "dag": true, "hem": true, "inom": true, "steg": true, "sortera": true, "lan": true, "kommun": true,
	"ort": true, "dolda": true, "efter": true, "karta": true, "plats": true, "lang": true, "ny": true,
}

func readable(s string) bool {
	return strings.ToValidUTF8(s, "") == s && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func (s *search) parseChoices(v url.Values) error {
	if text := v.Get("inom"); text != "" {
		km, err := strconv.Atoi(text)
		if err != nil || km < 1 || km > maxKm {
			return bad("inom", "bad km", text)
		}
		s.Km = km
	}
	if text := v.Get("steg"); text != "" { // of the slider, without script
		step, err := strconv.Atoi(text)
		if err != nil || step < 0 || step >= len(kms) {
			return bad("steg", "bad km", text)
		}
		s.Km = kms[step]
	}
	switch order := v.Get("sortera"); order {
	case "", "tid":
	case "avstand":
		s.Distance = true
	default:
		return bad("sortera", "bad sort", order)
	}
	for field, to := range map[string]*bool{"dolda": &s.Hidden} {
		switch text := v.Get(field); text {
		case "", "0":
		case "1":
			*to = true
		default:
			return bad(field, "bad switch", text)
		}
	}
	s.Whole = v.Get("karta") == "sverige"
	s.After = v.Get("efter")
	s.New = v.Get("ny")
	return nil
}

func (s *search) parsePlaces(v url.Values) error {
	if len(v["hem"]) > domain.MaxOrigins {
		return bad("hem", "too many values", strconv.Itoa(domain.MaxOrigins))
	}
	for _, name := range v["hem"] {
		if strings.TrimSpace(name) == "" {
			continue // a form's field that was left empty
		}
		place, found := gazetteer.Resolve(name)
		if !found {
			return bad("hem", "bad home", name)
		}
		if !slices.Contains(s.Homes, place) {
			s.Homes = append(s.Homes, place)
		}
	}
	for _, field := range []string{"lan", "kommun", "ort"} {
		if len(v[field]) > maxAreas {
			return bad(field, "too many values", strconv.Itoa(maxAreas))
		}
		for _, value := range v[field] {
			if area, ok := parseArea(field, value); ok && !s.covered(area) {
				s.Areas = append(s.Areas, area)
			}
		}
	}
	if text := v.Get("plats"); text != "" {
		if area, ok := parseArea("ort", text); ok {
			s.Place = &area
		}
	}
	return nil
}

// parseArea reads "Dalarna|Mora|Orsa"; what is in front may be left out.
func parseArea(field, value string) (a query.Area, ok bool) {
	parts := strings.Split(value, "|")
	last := len(parts) - 1
	at := func(i int) string {
		if i < 0 || i > last {
			return ""
		}
		return strings.TrimSpace(parts[i])
	}
	switch field {
	case "lan":
		a.State = at(last)
		return a, a.State != ""
	case "kommun":
		a.State, a.Municipality = at(last-1), at(last)
		return a, a.Municipality != ""
	}
	a.State, a.Municipality, a.City = at(last-2), at(last-1), at(last)
	return a, a.City != "" || a.Municipality != "" && last == 2
}

func areaField(a query.Area) (field, value string) {
	switch {
	case a.City != "":
		return "ort", a.State + "|" + a.Municipality + "|" + a.City
	case a.Municipality != "":
		return "kommun", a.State + "|" + a.Municipality
	}
	return "lan", a.State
}

// covered tells whether an area is in one that is chosen, or is one.
func (s *search) covered(a query.Area) bool {
	return slices.ContainsFunc(s.Areas, func(b query.Area) bool {
		return b == a || b == query.Area{State: a.State} || b == query.Area{State: a.State, Municipality: a.Municipality}
	})
}
