package web_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/web"
)

func TestWords(t *testing.T) {
	t.Parallel()
	swedish, english := web.Words()
	require.ElementsMatch(t, slices.Collect(maps.Keys(swedish)), slices.Collect(maps.Keys(english)), "both languages have the same texts")
	for key, text := range swedish {
		require.NotEmpty(t, strings.TrimSpace(text), key)
		require.NotEmpty(t, strings.TrimSpace(english[key]), key)
		require.Equal(t, strings.Count(text, "%s"), strings.Count(english[key], "%s"), "%s has as many places for values", key)
		require.NotContains(t, english[key]+text, "--", key)
	}
}

const today = domain.Date("2026-11-26") // a Thursday

func TestSearch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		query, want   string
		from, to, day domain.Date
	}{
		"nothing is 7 days":               {"", "", "2026-11-26", "2026-12-02", ""},
		"the weekend is Friday to Sunday": {"period=helg", "period=helg", "2026-11-27", "2026-11-29", ""},
		"today":                           {"period=idag", "period=idag", "2026-11-26", "2026-11-26", ""},
		"a month":                         {"period=manad", "period=manad", "2026-11-26", "2026-12-26", ""},
		"a day of the period":             {"dag=2026-11-28", "dag=2026-11-28", "2026-11-26", "2026-12-02", "2026-11-28"},
		"a day elsewhere takes the period with it": {"dag=2026-07-04", "fran=2026-07-04&period=egna&till=2026-07-10", "2026-07-04", "2026-07-10", ""},
		"own dates":                           {"period=egna&fran=2026-12-24&till=2026-12-26", "fran=2026-12-24&period=egna&till=2026-12-26", "2026-12-24", "2026-12-26", ""},
		"dates alone are own dates":           {"fran=2026-12-24&till=2026-12-26", "fran=2026-12-24&period=egna&till=2026-12-26", "2026-12-24", "2026-12-26", ""},
		"a first date alone is a week of own": {"fran=2026-12-24", "fran=2026-12-24&period=egna&till=2026-12-30", "2026-12-24", "2026-12-30", ""},
		"a period that is named wins":         {"period=idag&fran=2026-12-24", "period=idag", "2026-11-26", "2026-11-26", ""},
		"an empty home means nothing":         {"hem=&hem=Mora", "hem=Mora", "2026-11-26", "2026-12-02", ""},
		"empty dates mean nothing":            {"fran=&till=", "", "2026-11-26", "2026-12-02", ""},
		"English as others tag it":            {"lang=EN-gb", "lang=en", "2026-11-26", "2026-12-02", ""},
		"a language that we don't speak":      {"lang=tlh", "", "2026-11-26", "2026-12-02", ""},
		"homes, in any spelling, once":        {"hem=mora&hem=MORA&hem=Falun", "hem=Mora&hem=Falun", "2026-11-26", "2026-12-02", ""},
		"the slider's step is its kilometres": {"steg=4", "inom=50", "2026-11-26", "2026-12-02", ""},
		"defaults are left out":               {"inom=100&sortera=tid&period=7dagar&lang=sv&dolda=0", "", "2026-11-26", "2026-12-02", ""},
		"a county covers what is in it":       {"lan=Dalarna&kommun=Dalarna|Mora&ort=Dalarna|Mora|Mora", "lan=Dalarna", "2026-11-26", "2026-12-02", ""},
		"areas by their last name":            {"kommun=Mora&ort=Orsa", "kommun=%7CMora&ort=%7C%7COrsa", "2026-11-26", "2026-12-02", ""},
		"what is not known means nothing":     {"utm_source=x&fbclid=%00", "", "2026-11-26", "2026-12-02", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := url.ParseQuery(test.query)
			require.NoError(t, err)
			got, from, to, day, err := web.Canonical(v, today)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
			require.Equal(t, []domain.Date{test.from, test.to, test.day}, []domain.Date{from, to, day})
		})
	}
	t.Run("the weekend that has begun is the rest of it", func(t *testing.T) {
		t.Parallel()
		for day, want := range map[domain.Date]domain.Date{"2026-11-27": "2026-11-27", "2026-11-28": "2026-11-28", "2026-11-29": "2026-11-29", "2026-11-30": "2026-12-04"} {
			_, from, _, _, err := web.Canonical(url.Values{"period": {"helg"}}, day)
			require.NoError(t, err)
			require.Equal(t, want, from)
		}
	})
}

func TestGuess(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"Moora": "Mora", "falunn": "Falun", "Götebrog": "Göteborg"} {
		got, ok := web.Guess(text)
		require.True(t, ok, text)
		require.Equal(t, want, got)
	}
	_, ok := web.Guess("Xyzzyplugh")
	require.False(t, ok)
}

// FuzzSearch requires that whatever is in a URL is refused or is a search whose own URL
// means the same.
func FuzzSearch(f *testing.F) {
	for _, seed := range []string{"", "dag=2026-11-28&hem=Mora&inom=25", "period=egna&fran=2026-01-01&till=2027-01-01", "ort=|||&lan=%ff", "kommun=a|b|c&plats=x&efter=&lang=en&ny=%00", "period=egna&fran=2199-12-31", "dag=2199-12-31"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		once, from, to, _, err := web.Canonical(v, today)
		if err != nil {
			return
		}
		require.LessOrEqual(t, from, to)
		v, err = url.ParseQuery(once)
		require.NoError(t, err)
		twice, _, _, _, err := web.Canonical(v, today)
		require.NoError(t, err)
		require.Equal(t, once, twice)
	})
}
