package main

import "strings"

// municipalityName turns what GeoNames calls a municipality ("Arjeplogs
// Kommun", "Göteborgs stad", "Malmö") into its everyday name. A final s is a
// genitive where the name without it is a place in that municipality; the
// names that this rule gets wrong, or cannot know, stand in nominatives.
func municipalityName(code, genitive string, known map[[2]string]bool) string {
	if name, ok := nominatives[code]; ok {
		return name
	}
	name := genitive
	for _, word := range []string{" Kommun", " kommun", " stad"} {
		name = strings.TrimSuffix(name, word)
	}
	if short, ok := strings.CutSuffix(name, "s"); ok && known[[2]string{code, short}] {
		return short
	}
	return name
}

// nominatives are the municipalities whose name is not that of a place in them.
var nominatives = map[string]string{
	"0117": "Österåker",
	"0120": "Värmdö",
	"0123": "Järfälla",
	"0127": "Botkyrka",
	"0128": "Salem",
	"0138": "Tyresö",
	"0139": "Upplands-Bro",
	"0162": "Danderyd",
	"0305": "Håbo",
	"0512": "Ydre",
	"0513": "Kinda",
	"0760": "Uppvidinge",
	"0980": "Gotland",
	"1231": "Burlöv",
	"1256": "Östra Göinge",
	"1315": "Hylte",
	"1419": "Tjörn",
	"1421": "Orust",
	"1427": "Sotenäs",
	"1435": "Tanum",
	"1438": "Dals-Ed",
	"1440": "Ale",
	"1445": "Essunga",
	"1463": "Mark",
	"1730": "Eda",
	"1761": "Hammarö",
	"1814": "Lekeberg",
	"1864": "Ljusnarsberg",
	"2023": "Malung-Sälen",
	"2080": "Falun",
	"2121": "Ovanåker",
	"2132": "Nordanstig",
	"2303": "Ragunda",
	"2326": "Berg",
	"2361": "Härjedalen",
}
