package gazetteer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
)

func TestPlaces(t *testing.T) {
	t.Parallel()

	t.Run("the 21 states are in the nominative", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{
			"Blekinge", "Dalarna", "Gotland", "Gävleborg", "Halland", "Jämtland", "Jönköping",
			"Kalmar", "Kronoberg", "Norrbotten", "Skåne", "Stockholm", "Södermanland", "Uppsala",
			"Värmland", "Västerbotten", "Västernorrland", "Västmanland", "Västra Götaland",
			"Örebro", "Östergötland",
		}, distinct(func(p gazetteer.Place) string { return p.State }))
	})

	t.Run("each of the 290 municipalities has one seat, one state and one code", func(t *testing.T) {
		t.Parallel()
		seats := map[string]int{}
		for _, p := range gazetteer.Places() {
			if p.Seat {
				seats[p.Municipality]++
			}
		}
		require.Len(t, seats, 290)
		for municipality, n := range seats {
			require.Equal(t, 1, n, municipality)
		}
		require.Len(t, distinct(func(p gazetteer.Place) string { return p.Municipality }), 290)
		require.Len(t, distinct(func(p gazetteer.Place) string { return p.Code }), 290)
		require.Len(t, distinct(func(p gazetteer.Place) string {
			return p.State + "/" + p.Municipality + "/" + p.Code
		}), 290)
	})

	t.Run("municipalities have their everyday names", func(t *testing.T) {
		t.Parallel()
		names := distinct(func(p gazetteer.Place) string { return p.Municipality })
		for _, name := range []string{"Arjeplog", "Borås", "Dals-Ed", "Falun", "Göteborg", "Höganäs", "Höör", "Sotenäs"} {
			require.Contains(t, names, name)
		}
		for _, name := range names {
			require.NotContains(t, strings.ToLower(name), "kommun")
			require.False(t, strings.HasSuffix(name, " stad"), name)
		}
	})

	t.Run("every place lies in Sweden", func(t *testing.T) {
		t.Parallel()
		for _, p := range gazetteer.Places() {
			require.True(t, 55.3 < p.Latitude && p.Latitude < 69.1, "%+v", p)
			require.True(t, 10.9 < p.Longitude && p.Longitude < 24.2, "%+v", p)
			require.NotEmpty(t, p.Name)
			require.GreaterOrEqual(t, p.Population, 0)
		}
	})

	t.Run("no municipality has two places of one name, and the order is fixed", func(t *testing.T) {
		t.Parallel()
		all := gazetteer.Places()
		seen := map[[2]string]bool{}
		for i, p := range all {
			key := [2]string{p.Municipality, p.Name}
			require.False(t, seen[key], "%+v", p)
			seen[key] = true
			if i > 0 {
				q := all[i-1]
				require.Negative(t, slices.Compare(
					[]string{q.State, q.Municipality, q.Name},
					[]string{p.State, p.Municipality, p.Name}))
			}
		}
		require.Len(t, all, 1305)
	})

	t.Run("a known place is where it should be", func(t *testing.T) {
		t.Parallel()
		i := slices.IndexFunc(gazetteer.Places(), func(p gazetteer.Place) bool { return p.Name == "Malung" })
		require.Equal(t, gazetteer.Place{
			Name: "Malung", Municipality: "Malung-Sälen", State: "Dalarna", Code: "2023",
			Latitude: 60.68329, Longitude: 13.71542, Population: 4927, Seat: true,
		}, gazetteer.Places()[i])
	})
}

// distinct returns the sorted values that f gives for the places.
func distinct(f func(gazetteer.Place) string) []string {
	var values []string
	for _, p := range gazetteer.Places() {
		values = append(values, f(p))
	}
	slices.Sort(values)
	return slices.Compact(values)
}
