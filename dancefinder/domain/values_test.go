package domain_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

func TestKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, want string }{
		{"lower case", "ÅÄÖ Band", "åäö band"},
		{"white space is trimmed and collapsed", "\t Bo \u00a0 Granz\n", "bo granz"},
		{"combining characters are composed", "Sa\u0308len", "sälen"},
		{"invisible characters do not count", "Bo\u00ad Granz\u200b", "bo granz"},
		{"nothing is nothing", " \u200b ", ""},
		{"punctuation counts", "Bo-Granz", "bo-granz"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, domain.Key(test.in))
		})
	}
}

func TestParseBandName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, want string }{
		{"the shown form keeps its case", " Bo  GRANZ ", "Bo GRANZ"},
		{"it is composed", "A\u030angbandet", "Ångbandet"},
		{"200 characters are a name", strings.Repeat("å", 200), strings.Repeat("å", 200)},
		{"what is only part of a name may be the undecided one", "Ej fastställt än", "Ej fastställt än"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			name, err := domain.ParseBandName(test.in)
			require.NoError(t, err)
			require.Equal(t, domain.BandName(test.want), name)
			hall, err := domain.ParseHallName(test.in)
			require.NoError(t, err)
			require.Equal(t, domain.HallName(test.want), hall)
		})
	}
	for name, in := range map[string]string{
		"empty is refused":                             "",
		"white space is refused":                       "\u00a0\t",
		"invisible text is refused":                    "\u200b",
		"201 characters are refused":                   strings.Repeat("x", 201),
		"a zero byte is refused":                       "Bo\x00Granz",
		"the separator of keys is refused":             "Bo\x1fGranz",
		"what is not UTF-8 is refused":                 "Bo \xff",
		"the undecided band is refused":                "ej  Fastställt",
		"the undecided band is refused in other bytes": "Ej faststa\u0308llt",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := domain.ParseBandName(in)
			require.ErrorIs(t, err, domain.ErrInvalid)
			requireField(t, err, "name")
			_, err = domain.ParseHallName(in)
			require.ErrorIs(t, err, domain.ErrInvalid)
		})
	}
}

func TestParseSubject(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"a", " kept as it is ", strings.Repeat("x", 255)} {
		got, err := domain.ParseSubject(in)
		require.NoError(t, err)
		require.Equal(t, domain.Subject(in), got)
	}
	for _, in := range []string{"", "  ", strings.Repeat("x", 256), "a\x00", "\xff"} {
		_, err := domain.ParseSubject(in)
		require.ErrorIs(t, err, domain.ErrInvalid, "%q", in)
	}
}

func TestParseState(t *testing.T) {
	t.Parallel()
	t.Run("all 21 counties are known, with and without län", func(t *testing.T) {
		t.Parallel()
		require.Len(t, domain.Counties(), 21)
		for _, county := range domain.Counties() {
			for _, in := range []string{county, strings.ToUpper(county), county + " län", county + "s län"} {
				got, err := domain.ParseState(in)
				require.NoError(t, err)
				require.Equal(t, county, got)
			}
		}
	})
	t.Run("what stands in for a county is taken as it is", func(t *testing.T) {
		t.Parallel()
		for _, in := range []string{"Norge", "Finland", "(Båt)", "Åland"} {
			got, err := domain.ParseState(in)
			require.NoError(t, err)
			require.Equal(t, in, got)
		}
	})
	t.Run("what is no state is refused", func(t *testing.T) {
		t.Parallel()
		for _, in := range []string{"", " ", "Sveriges län", strings.Repeat("x", 101)} {
			_, err := domain.ParseState(in)
			require.ErrorIs(t, err, domain.ErrInvalid, "%q", in)
			requireField(t, err, "state")
		}
	})
}

func TestNewCoordinate(t *testing.T) {
	t.Parallel()
	t.Run("coordinates are rounded to five decimals", func(t *testing.T) {
		t.Parallel()
		got, err := domain.NewCoordinate(59.2741249, -15.206605)
		require.NoError(t, err)
		require.Equal(t, domain.Coordinate{Latitude: 59.27412, Longitude: -15.20661}, got)
	})
	t.Run("the poles and the date line are on the Earth", func(t *testing.T) {
		t.Parallel()
		for _, c := range []domain.Coordinate{{90, 180}, {-90, -180}, {0, 0.00001}} {
			got, err := domain.NewCoordinate(c.Latitude, c.Longitude)
			require.NoError(t, err)
			require.Equal(t, c, got)
		}
	})
	t.Run("zero has no sign", func(t *testing.T) {
		t.Parallel()
		got, err := domain.NewCoordinate(-0.000001, 15)
		require.NoError(t, err)
		require.False(t, math.Signbit(got.Latitude))
	})
	t.Run("what is not on the Earth is refused", func(t *testing.T) {
		t.Parallel()
		for _, c := range []domain.Coordinate{
			{90.00001, 0}, {-91, 0}, {0, 180.00001}, {1, -181},
			{math.NaN(), 1}, {1, math.NaN()}, {math.Inf(1), 1}, {1, math.Inf(-1)},
			{0, 0}, {0.000001, -0.000001},
		} {
			_, err := domain.NewCoordinate(c.Latitude, c.Longitude)
			require.ErrorIs(t, err, domain.ErrInvalid, "%v", c)
		}
	})
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	date, err := domain.ParseDate("2028-02-29")
	require.NoError(t, err)
	require.Equal(t, domain.Date("2028-02-29"), date)
	require.Equal(t, time.Tuesday, date.Time().Weekday())
	require.Equal(t, domain.Date("2028-03-01"), domain.DateOf(date.Time().AddDate(0, 0, 1)))
	for _, in := range []string{"", "2026-02-29", "2026-7-4", "26-07-04", "2026-07-04T00:00", "0000-01-01", "1899-12-31", "2200-01-01"} {
		_, err := domain.ParseDate(in)
		require.ErrorIs(t, err, domain.ErrInvalid, "%q", in)
	}
}

func FuzzKey(f *testing.F) {
	for _, seed := range []string{"Bo Granz", "SÄLEN", "I\u0307\u0130", "ΑΣ", "a \u0308", "\xff\u200b", "\u1e9e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key := domain.Key(s)
		require.Equal(t, key, domain.Key(key), "the key of a key is that key")
		require.Equal(t, key, domain.Key(" "+s+"\t"), "white space around does not count")
		require.True(t, utf8.ValidString(key))
		name, err := domain.ParseBandName(s)
		if err != nil {
			require.ErrorIs(t, err, domain.ErrInvalid)
			return
		}
		again, err := domain.ParseBandName(string(name))
		require.NoError(t, err)
		require.Equal(t, name, again)
		require.Equal(t, key, domain.Key(string(name)), "the shown form has the same key")
	})
}

func FuzzParsers(f *testing.F) {
	f.Add("2026-03-29", "02:30", "03:15", "Örebro län")
	f.Add("2026-07-04", "21:00", "", "(Båt)")
	f.Add("", "24:00", "x", "läns län")
	f.Fuzz(func(t *testing.T, day, start, end, state string) {
		date, err := domain.ParseDate(day)
		if err == nil {
			require.Equal(t, day, string(date))
			times, err := domain.ParseTimeRange(start, end)
			if err == nil {
				again, err := domain.ParseTimeRange(string(times.Start), string(times.End))
				require.NoError(t, err)
				require.Equal(t, times, again)
				from, to := times.On(date)
				require.True(t, to.IsZero() || to.After(from))
			}
		}
		if got, err := domain.ParseState(state); err == nil {
			again, err := domain.ParseState(got)
			require.NoError(t, err)
			require.Equal(t, got, again)
		}
		if _, err := domain.ParseClock(start); err == nil {
			_, err = domain.ParseTimeRange(start, "")
			require.NoError(t, err)
		}
		if _, err := domain.ParseSubject(state); err != nil {
			require.ErrorIs(t, err, domain.ErrInvalid)
		}
	})
}
