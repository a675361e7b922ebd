package geocoding_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		place string
		want  domain.Precision
	}{
		"a house":                {`"category":"building","place_rank":30`, domain.PrecisionVenue},
		"a park that is large":   {`"category":"leisure","place_rank":24`, domain.PrecisionVenue},
		"a street":               {`"category":"highway","place_rank":26`, domain.PrecisionCity},
		"a village":              {`"category":"place","place_rank":19,"addresstype":"village"`, domain.PrecisionCity},
		"a city":                 {`"category":"boundary","place_rank":16,"addresstype":"city"`, domain.PrecisionCity},
		"a municipality":         {`"category":"boundary","place_rank":14,"addresstype":"municipality"`, domain.PrecisionMunicipality},
		"a Finnish municipality": {`"category":"boundary","place_rank":16,"addresstype":"municipality"`, domain.PrecisionMunicipality},
		"a county":               {`"category":"boundary","place_rank":8,"addresstype":"state"`, domain.PrecisionCounty},
	} {
		for _, coordinate := range []string{`"lat":"60.5","lon":"13.5"`, `"lat":60.5,"lon":13.5`} {
			got, err := geocoding.Decode([]byte(`[{` + coordinate + `,` + c.place + `},{}]`))
			require.NoError(t, err, name)
			require.Equal(t, c.want, got.Precision, name)
			require.Equal(t, domain.Coordinate{Latitude: 60.5, Longitude: 13.5}, got.Coordinate)
		}
	}
	for _, body := range []string{
		"", "null", "{}", "[", "[null]", "[{}]", `[] []`, `"x"`,
		`[{"lat":"60","lon":"13"}]`,
		`[{"lat":"60","lon":"13","place_rank":31}]`,
		`[{"lat":"60","lon":"13","place_rank":-1}]`,
		`[{"lat":"NaN","lon":"13","place_rank":30}]`,
		`[{"lat":"","lon":"13","place_rank":30}]`,
		`[{"lat":"1e999","lon":"13","place_rank":30}]`,
		`[{"lat":"0","lon":"0","place_rank":30}]`,
		`[{"lat":"60","lon":"181","place_rank":30}]`,
		`[{"lat":true,"lon":"13","place_rank":30}]`,
	} {
		_, err := geocoding.Decode([]byte(body))
		require.ErrorIs(t, err, geocoding.ErrBadResponse, body)
	}
	_, err := geocoding.Decode([]byte(" [ ]\n"))
	require.ErrorIs(t, err, geocoding.ErrNotFound)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 7, 4, 20, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0": time.Second, "1": time.Second, " 120 ": 2 * time.Minute,
		"86401": geocoding.MaxPause, "99999999999999999999999": geocoding.MaxPause,
		"Sat, 04 Jul 2026 20:01:00 GMT": time.Minute,
		"Sat, 04 Jul 2026 19:00:00 GMT": time.Second,
		"Sat, 04 Jul 9999 19:00:00 GMT": geocoding.MaxPause,
	} {
		got, ok := geocoding.RetryAfter(http.Header{"Retry-After": {value}}, now)
		require.True(t, ok, value)
		require.Equal(t, want, got, value)
	}
	for _, value := range []string{"", "-1", "1.5", "soon"} {
		_, ok := geocoding.RetryAfter(http.Header{"Retry-After": {value}}, now)
		require.False(t, ok, value)
	}
	require.Equal(t, "rate limited, try again after 1m0s", (&geocoding.RateLimitedError{RetryAfter: time.Minute}).Error())
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(parkJSON))
	f.Add([]byte(townJSON))
	f.Add([]byte(`[{"lat":"-0","lon":1e-9,"place_rank":30,"display_name":"\u0000\ud800"}]`))
	f.Add([]byte(`[null,{}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := geocoding.Decode(body)
		if err != nil {
			if !strings.Contains(err.Error(), geocoding.ErrNotFound.Error()) {
				require.ErrorIs(t, err, geocoding.ErrBadResponse)
			}
			require.Equal(t, geocoding.Result{}, got)
			return
		}
		at, err := domain.NewCoordinate(got.Coordinate.Latitude, got.Coordinate.Longitude)
		require.NoError(t, err)
		require.Equal(t, at, got.Coordinate)
		require.False(t, math.Signbit(got.Coordinate.Latitude) && got.Coordinate.Latitude == 0)
		require.Contains(t, []domain.Precision{domain.PrecisionVenue, domain.PrecisionCity, domain.PrecisionMunicipality, domain.PrecisionCounty}, got.Precision)
		requireClean(t, got.Matched)
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("Sat, 04 Jul 2026 20:01:00 GMT", "Sat, 04 Jul 2026 20:00:00 GMT")
	f.Fuzz(func(t *testing.T, value, date string) {
		got, ok := geocoding.RetryAfter(http.Header{"Retry-After": {value}, "Date": {date}}, time.Now())
		require.Equal(t, ok, time.Second <= got && got <= geocoding.MaxPause, "%s", got)
	})
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00b \xff\u2028")
	f.Add(strings.Repeat("å ", 600))
	f.Fuzz(func(t *testing.T, text string) {
		got := geocoding.Clean(text)
		requireClean(t, got)
		require.Equal(t, got, geocoding.Clean(got))
	})
}

// requireClean checks what PostgreSQL and the domain ask of a text.
func requireClean(t *testing.T, text string) {
	t.Helper()
	require.True(t, utf8.ValidString(text))
	require.False(t, strings.ContainsFunc(text, unicode.IsControl))
	require.LessOrEqual(t, utf8.RuneCountInString(text), 500)
}
