package geocoding_test

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
)

func TestNewQuery(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		city, municipality, state string
		country, text             string
		searches                  []string
	}{
		{"Malung", "Malung-Sälen", "Dalarna", "se", "Parken, Malung, Malung-Sälen, Dalarna",
			[]string{"Parken, Malung, Malung-Sälen", "Malung, Malung-Sälen", "Malung-Sälen"}},
		{"Örebro", "Örebro", "Örebro län", "se", "Parken, Örebro, Örebro län",
			[]string{"Parken, Örebro", "Örebro"}},
		{"", "Mora", "Dalarna", "se", "Parken, Mora, Dalarna", []string{"Parken, Mora", "Mora"}},
		{"Oslo", "Norge", "Norge", "no", "Parken, Oslo, Norge", []string{"Parken, Oslo, Norge", "Oslo, Norge"}},
		{"", "Åland", "Åland", "ax", "Parken, Åland", []string{"Parken, Åland"}},
		{"Berg", "Berg", "Tyskland", "", "Parken, Berg, Tyskland", []string{"Parken, Berg, Tyskland", "Berg, Tyskland"}},
		{"", "(Båt)", "(Båt)", "", "Parken, (Båt)", nil},
		{"Kapellskär", "Norrtälje", "(Båt)", "", "Parken, Kapellskär, Norrtälje, (Båt)", nil},
		{"", "Båt", "Stockholm", "", "Parken, Båt, Stockholm", nil},
	} {
		q := geocoding.NewQuery("Parken", domain.Place{City: c.city, Municipality: c.municipality, State: c.state})
		require.Equal(t, c.country, q.Country, c.text)
		require.Equal(t, c.text, q.String())
		if c.searches != nil {
			require.Equal(t, c.searches, q.Searches())
		}
	}
	long := strings.Repeat("å", 200)
	q := geocoding.NewQuery(long, domain.Place{City: long + "b", Municipality: long + "c", State: "Dalarna"})
	require.Equal(t, 500, utf8.RuneCountInString(q.String()), "the domain takes no more")
}

func TestGazetteer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		city, municipality, state string
		precision                 domain.Precision
		matched                   string
	}{
		{"Malung", "Malung-Sälen", "Dalarna", domain.PrecisionCity, "Malung, Malung-Sälen, Dalarna"},
		{" MALUNG", "malung-sälen", "Dalarnas län", domain.PrecisionCity, "Malung, Malung-Sälen, Dalarna"},
		{"Överum", "Västervik", "Kalmar", domain.PrecisionCity, "Överum, Västervik, Kalmar"},
		{"Malung", "Mora", "Dalarna", domain.PrecisionCity, "Malung, Malung-Sälen, Dalarna"}, // the only one there
		{"Ersboda", "Umeå", "Västerbotten", domain.PrecisionMunicipality, "Umeå, Västerbotten"},
		{"", "Mora", "Dalarna", domain.PrecisionMunicipality, "Mora, Dalarna"},
		{"Nysäter", "Heby", "Västmanland", domain.PrecisionMunicipality, "Heby, Uppsala"}, // its county until 2007
		{"Ingenstans", "Ingenstans", "Gotland", domain.PrecisionCounty, "Gotland"},
	} {
		q := geocoding.NewQuery("Parken", domain.Place{City: c.city, Municipality: c.municipality, State: c.state})
		got, err := geocoding.Gazetteer{}.Geocode(t.Context(), q)
		require.NoError(t, err, "%+v", c)
		require.Equal(t, c.precision, got.Precision, "%+v", c)
		require.Equal(t, c.matched, got.Matched)
		require.Equal(t, domain.SourceGazetteer, got.Source)
		at, err := domain.NewCoordinate(got.Coordinate.Latitude, got.Coordinate.Longitude)
		require.NoError(t, err)
		require.Equal(t, at, got.Coordinate)
	}

	t.Run("a name that a county has twice is not guessed", func(t *testing.T) {
		t.Parallel()
		tried := 0
		for _, p := range gazetteer.Places() {
			if _, only := gazetteer.FindInState(p.Name, p.State); only {
				continue
			}
			tried++
			q := geocoding.NewQuery("Parken", domain.Place{City: p.Name, Municipality: "Ingenstans", State: p.State})
			got, err := geocoding.Gazetteer{}.Geocode(t.Context(), q)
			require.NoError(t, err)
			require.Equal(t, domain.PrecisionCounty, got.Precision, "%+v", p)
		}
		require.Positive(t, tried)
	})
	t.Run("ships and what lies abroad are not found", func(t *testing.T) {
		t.Parallel()
		for _, p := range []domain.Place{
			{Municipality: "(Båt)", State: "(Båt)"},
			{City: "Kapellskär", Municipality: "Norrtälje", State: "(Båt)"},
			{Municipality: "Båt", State: "Stockholm"},
			{City: "Oslo", Municipality: "Norge", State: "Norge"},
			{City: "Berg", Municipality: "Berg", State: "Tyskland"}, // there is one in Jämtland
			{},
		} {
			_, err := geocoding.Gazetteer{}.Geocode(t.Context(), geocoding.NewQuery("Parken", p))
			require.ErrorIs(t, err, geocoding.ErrNotFound, "%+v", p)
		}
	})
	t.Run("it ends with its context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := geocoding.Gazetteer{}.Geocode(ctx, geocoding.NewQuery("Parken", domain.Place{Municipality: "Mora", State: "Dalarna"}))
		require.ErrorIs(t, err, context.Canceled)
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	config := geocoding.WorkerConfig{MinBackoff: time.Second, MaxBackoff: 10 * time.Second}
	for attempt, most := range map[int]time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second, 5: 10 * time.Second, 1000: 10 * time.Second,
	} {
		for range 100 {
			delay := time.Duration(geocoding.Backoff(config, attempt))
			require.True(t, most/2 <= delay && delay <= most, "%s after attempt %d", delay, attempt)
		}
	}
	require.LessOrEqual(t, time.Duration(geocoding.Backoff(geocoding.WorkerConfig{MinBackoff: -1, MaxBackoff: -1}, 1)), geocoding.DefaultMinBackoff)
}
