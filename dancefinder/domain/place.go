package domain

import "strings"

// maxPlace is the limit of each part of a place, in characters.
const maxPlace = 100

// Place says where a dance hall lies. City may be empty, the others not. State is
// one of Sweden's 21 counties, as [ParseState] writes them, or what stands in
// for one: a country ("Norge"), "(Båt)" for a ship. [NewPlace] makes it.
type Place struct {
	City, Municipality, State string
}

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

// countyOf gives the county for the key of each way to write it.
var countyOf = func() map[string]string {
	byKey := make(map[string]string, 3*len(counties))
	for _, county := range counties {
		byKey[Key(county)] = county
		byKey[Key(county+" län")] = county
		byKey[Key(county+"s län")] = county
	}
	return byKey
}()

// Counties returns Sweden's 21 counties in alphabetical order, in the nominative
// and without "län".
func Counties() []string { return append([]string(nil), counties...) }

// ParseState returns the state of a [Place]. A Swedish county is recognised with
// or without "län", in any case, and returned as [Counties] has it ("Örebro",
// "Dalarna"). Another text is taken as it is, unless it claims to be a county:
// there is no "Sveriges län".
func ParseState(s string) (string, error) {
	state, err := parseRequired("state", s, maxPlace)
	if err != nil {
		return "", err
	}
	key := Key(state)
	if county, ok := countyOf[key]; ok {
		return county, nil
	}
	if strings.HasSuffix(key, " län") {
		return "", invalid("state", "%q is not a Swedish county", state)
	}
	return state, nil
}
