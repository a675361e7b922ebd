package generator

import (
	"math/rand/v2"
	"strings"
)

// band is a dance band. Some play almost every other night, most far less.
type band struct {
	name  string
	quota int // gigs a year

	// Where the tour is.
	remaining int // gigs of this year's quota
	night     int // of the last gig, counted from 1; 0 before the first
	at        point
}

// newBands makes up bands, the most popular first. Popularity follows a
// flattened Zipf law, quota = flat / (rank + shift), such that the first band
// has 170 gigs a year, the last about 30, and all together a few more than are
// needed.
func newBands(rng *rand.Rand) []band {
	const flat, shift = 12_240, 71
	names := bandNames(rng)
	bands := make([]band, Bands)
	for i := range bands {
		bands[i] = band{name: names[i], quota: flat / (i + 1 + shift)}
	}
	return bands
}

// bandNames returns made-up names that differ in more than case.
func bandNames(rng *rand.Rand) []string {
	pick := func(words []string) string { return words[rng.IntN(len(words))] }
	everybody := append(append([]string(nil), hisNames...), herNames...)
	patterns := []func() string{
		func() string { return pick(everybody) + "z" },
		func() string { return genitive(pick(everybody)) + " orkester" },
		func() string { return pick(hisNames) + " & " + pick(herNames) },
		func() string { return pick(trees) + pick(lands) + "ers" },
	}
	names, taken := make([]string, 0, Bands), map[string]bool{}
	for len(names) < Bands {
		name := patterns[len(names)%len(patterns)]()
		if key := strings.ToLower(name); !taken[key] {
			taken[key] = true
			names = append(names, name)
		}
	}
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names
}

// genitive adds an s, as Swedish does.
func genitive(name string) string {
	if strings.ContainsAny(name[len(name)-1:], "sxz") {
		return name
	}
	return name + "s"
}

// Old-fashioned first names, and parts of surnames.
var (
	hisNames = []string{
		"Algot", "Alrik", "Amandus", "Anshelm", "Assar", "Balder", "Birger", "Botvid", "Brage",
		"Dagobert", "Ebbe", "Edvin", "Egil", "Eilert", "Einar", "Elof", "Enok", "Evald", "Folke",
		"Fridolf", "Frode", "Gideon", "Gotthard", "Halvar", "Hemming", "Hilding", "Hjalmar",
		"Holger", "Idor", "Ingemund", "Ivar", "Jerker", "Joar", "Josua", "Kettil", "Konrad",
		"Lambert", "Leander", "Ludvig", "Malte", "Manfred", "Melker", "Natanael", "Nore", "Odert",
		"Orvar", "Osvald", "Otto", "Ragnvald", "Rurik", "Sigfrid", "Sixten", "Sture", "Teodor",
		"Tolle", "Torkel", "Tryggve", "Ture", "Ulrik", "Valdemar", "Verner", "Vidar", "Vilgot", "Yngve",
	}
	herNames = []string{
		"Alfhild", "Berta", "Bodil", "Botilda", "Dagny", "Disa", "Ebba", "Edit", "Elvira", "Embla",
		"Engla", "Estrid", "Fredrika", "Gerda", "Gudrun", "Gunhild", "Hedda", "Hillevi", "Hulda",
		"Idun", "Ingegärd", "Jorunn", "Judit", "Kajsa", "Linnea", "Lovisa", "Magnhild", "Märta",
		"Nanna", "Olga", "Ottilia", "Petronella", "Ragnhild", "Rakel", "Rut", "Signe", "Sigrid",
		"Sissela", "Solveig", "Svea", "Tekla", "Tora", "Tyra", "Valborg", "Vendela", "Viola", "Ylva",
		"Ågot", "Åse",
	}
	trees = []string{
		"Al", "Asp", "Björk", "Bok", "Ek", "En", "Gran", "Hägg", "Hassel", "Lind", "Ljung", "Lönn",
		"Ros", "Rönn", "Sälg", "Tall", "Vide",
	}
	lands = []string{
		"back", "dal", "fält", "fors", "hag", "hed", "holm", "mark", "mo", "myr", "sand", "skog",
		"strand", "vall", "vik", "äng",
	}
)
