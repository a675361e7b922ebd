package domain

import "strings"

// maxPlace is the limit of each part of a place, in characters.
const maxPlace = 100

// Place says where a dance hall lies. City may be empty, the others not. State is
// one of Sweden's 21 counties, as [ParseState] writes them, or what stands in
// for one: a country ("Norge"), [Ferry] for a ship. [NewPlace] makes it.
type Place struct {
	City, Municipality, State string
}

// Ferry is the State of a hall on a ship, and its Municipality where no port is known.
const Ferry = "(Båt)"

// IsFerry tells whether a part of a place says that the hall is on a ship.
func IsFerry(part string) bool { return strings.Trim(Key(part), "()") == "båt" }

// OnFerry tells whether the hall is on a ship, and so has no fixed place.
func (p Place) OnFerry() bool { return IsFerry(p.City) || IsFerry(p.Municipality) || IsFerry(p.State) }

// NewPlace returns the place with its parts tidied, at most 100 characters each.
func NewPlace(city, municipality, state string) (Place, error) {
	var p Place
	var err error
	if p.City, err = parseText("city", city, maxPlace); err != nil {
		return Place{}, err
	}
	if p.Municipality, err = parseRequired("municipality", municipality, maxPlace); err != nil {
		return Place{}, err
	}
	if p.State, err = ParseState(state); err != nil {
		return Place{}, err
	}
	return p, nil
}

var counties = []string{
	"Blekinge", "Dalarna", "Gotland", "Gävleborg", "Halland", "Jämtland", "Jönköping",
	"Kalmar", "Kronoberg", "Norrbotten", "Skåne", "Stockholm", "Södermanland", "Uppsala",
	"Värmland", "Västerbotten", "Västernorrland", "Västmanland", "Västra Götaland",
	"Örebro", "Östergötland",
}

// abroad has the countries that stand in for a state, and their codes.
var abroad = map[string]string{"Norge": "no", "Finland": "fi", "Åland": "ax", "Danmark": "dk"}

// Sweden is the [CountryOf] its counties.
const Sweden = "se"

// stateOf gives the county or country for the key of each way to write it.
var stateOf = func() map[string]string {
	byKey := make(map[string]string, 3*len(counties)+len(abroad))
	for _, county := range counties {
		byKey[Key(county)] = county
		byKey[Key(county+" län")] = county
		byKey[Key(county+"s län")] = county
	}
	for country := range abroad {
		byKey[Key(country)] = country
	}
	return byKey
}()

// Counties returns Sweden's 21 counties in alphabetical order, in the nominative
// and without "län".
func Counties() []string { return append([]string(nil), counties...) }

// CountryOf returns the ISO 3166-1 alpha-2 code, in lower case, of the country that a
// state is or lies in: that of Norge, Finland, Åland or Danmark, [Sweden] for a county, in
// any spelling that [ParseState] takes. It is empty for a ferry, and when it is not known.
func CountryOf(state string) string {
	known, ok := stateOf[Key(state)]
	if code := abroad[known]; code != "" || !ok {
		return code
	}
	return Sweden
}

// ParseState returns the state of a [Place]. A Swedish county is recognised with
// or without "län", in any case, and returned as [Counties] has it ("Örebro",
// "Dalarna"), and so is a country ("Norge"). Another text is taken as it is, unless it
// claims to be a county: there is no "Sveriges län".
func ParseState(s string) (string, error) {
	state, err := parseRequired("state", s, maxPlace)
	if err != nil {
		return "", err
	}
	key := Key(state)
	if known, ok := stateOf[key]; ok {
		return known, nil
	}
	if strings.HasSuffix(key, " län") {
		return "", invalid("state", "%q is not a Swedish county", state)
	}
	return state, nil
}
