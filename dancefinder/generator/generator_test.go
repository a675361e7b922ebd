package generator_test

import (
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	for i := range 2 {
		first := hash(t, generator.Editions(generator.Config{Seed: 1})[i].Rows)
		require.Equal(t, first, hash(t, generator.Editions(generator.Config{Seed: 1})[i].Rows))
		require.NotEqual(t, first, hash(t, generator.Editions(generator.Config{Seed: 2})[i].Rows))
	}
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	explicit := generator.Generate(generator.Config{
		Years: 1, Start: time.Date(2026, 1, 1, 23, 59, 0, 0, time.FixedZone("", 3600)),
	})
	next, stop := iter.Pull(explicit)
	defer stop()
	n := 0
	for row := range generator.Generate(generator.Config{}) {
		other, ok := next()
		require.True(t, ok)
		require.Equal(t, other, row)
		if n++; n == 100 {
			break
		}
	}
}

func hash(t *testing.T, rows iter.Seq[listing.Row]) string {
	t.Helper()
	h := sha256.New()
	w := listing.NewWriter(h)
	for row := range rows {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.Flush())
	return hex.EncodeToString(h.Sum(nil))
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	rows := slices.Collect(generator.Generate(generator.Config{Seed: 1}))

	t.Run("rows are in the order of their dates, within the year", func(t *testing.T) {
		t.Parallel()
		require.True(t, slices.IsSortedFunc(rows, func(a, b listing.Row) int { return strings.Compare(a.Date, b.Date) }))
		require.Equal(t, "2026-01", rows[0].Date[:7])
		require.Equal(t, "2026-12", rows[len(rows)-1].Date[:7])
	})

	t.Run("all bands and halls play, a few bands most", func(t *testing.T) {
		t.Parallel()
		bands := count(rows, func(r listing.Row) string { return r.Band })
		require.Len(t, bands, generator.Bands)
		most := slices.Max(bands)
		t.Logf("from %d to %d dances", slices.Min(bands), most)
		require.True(t, 140 < most && most < 190, most)
		require.Greater(t, slices.Min(bands), 15)
		require.Len(t, count(rows, hallOf), generator.Halls)
	})

	t.Run("band names differ in more than case and white space", func(t *testing.T) {
		t.Parallel()
		require.Len(t, count(rows, func(r listing.Row) string {
			return strings.ToLower(strings.Join(strings.Fields(r.Band), " "))
		}), generator.Bands)
	})

	t.Run("halls are on ferries or in places of the gazetteer, in each municipality", func(t *testing.T) {
		t.Parallel()
		known := places()
		ferries, municipalities := map[string]bool{}, map[string]bool{}
		for _, row := range rows {
			if row.State == domain.Ferry {
				require.Empty(t, row.City)
				ferries[row.Hall] = true
				continue
			}
			place, ok := known[row.Municipality+"/"+row.City]
			require.True(t, ok, "%+v", row)
			require.Equal(t, place.State, row.State)
			municipalities[row.Municipality] = true
		}
		require.Len(t, ferries, generator.Ferries)
		require.Len(t, municipalities, 290)
	})

	t.Run("a band plays at one hall a night, and in two sets at most", func(t *testing.T) {
		t.Parallel()
		nights := map[string][]listing.Row{}
		doubles := 0
		for _, row := range rows {
			key := row.Date + row.Band
			for _, other := range nights[key] {
				require.Equal(t, hallOf(other), hallOf(row))
				require.NotEqual(t, other.Start, row.Start)
				doubles++
			}
			nights[key] = append(nights[key], row)
			require.LessOrEqual(t, len(nights[key]), 2)
		}
		require.InDelta(t, 0.03, float64(doubles)/float64(len(nights)), 0.006)
	})

	t.Run("the next gig is mostly within 300 km", func(t *testing.T) {
		t.Parallel()
		known := places()
		last := map[string]gazetteer.Place{}
		far, all := 0, 0
		for _, row := range rows {
			place, ok := known[row.Municipality+"/"+row.City]
			if !ok {
				continue // a ferry
			}
			if from, ok := last[row.Band]; ok {
				all++
				if km(from, place) > 302 {
					far++
				}
			}
			last[row.Band] = place
		}
		t.Logf("%d of %d are farther", far, all)
		require.Less(t, float64(far)/float64(all), 0.02)
	})

	t.Run("weekends and summers are busy", func(t *testing.T) {
		t.Parallel()
		var weekdays [7]int
		outdoor := map[bool]int{} // by whether it is summer
		for _, row := range rows {
			day, err := time.Parse(time.DateOnly, row.Date)
			require.NoError(t, err)
			weekdays[day.Weekday()]++
			if strings.HasSuffix(row.Hall, "Folkets Park") {
				outdoor[day.Month() >= time.May && day.Month() <= time.August]++
			}
		}
		require.Greater(t, weekdays[time.Saturday], weekdays[time.Friday])
		require.Greater(t, weekdays[time.Friday], weekdays[time.Sunday])
		require.Greater(t, weekdays[time.Sunday], weekdays[time.Monday])
		t.Logf("from Sunday: %v", weekdays)
		perMonth := float64(outdoor[true]) / 4 / (float64(outdoor[false]) / 8)
		require.InDelta(t, 1.6, perMonth, 0.25)
	})

	t.Run("some times are missing, and most extras", func(t *testing.T) {
		t.Parallel()
		noTime, noEnd, noExtra := 0, 0, 0
		for _, row := range rows {
			noTime += one(row.Start == "")
			noEnd += one(row.End == "")
			noExtra += one(row.Extra == "")
		}
		require.InDelta(t, 0.03, float64(noTime)/float64(len(rows)), 0.01)
		require.InDelta(t, 0.08, float64(noEnd)/float64(len(rows)), 0.01)
		require.InDelta(t, 0.70, float64(noExtra)/float64(len(rows)), 0.02)
	})
}

// count returns how many rows have each value of f.
func count(rows []listing.Row, f func(listing.Row) string) []int {
	counts := map[string]int{}
	for _, row := range rows {
		counts[f(row)]++
	}
	var all []int
	for _, n := range counts {
		all = append(all, n)
	}
	return all
}

func hallOf(r listing.Row) string {
	return strings.Join([]string{r.Hall, r.City, r.Municipality, r.State}, "/")
}

func places() map[string]gazetteer.Place {
	known := map[string]gazetteer.Place{}
	for _, p := range gazetteer.Places() {
		known[p.Municipality+"/"+p.Name] = p
	}
	return known
}

// km returns the distance between two places along the ground.
func km(a, b gazetteer.Place) float64 {
	const degree = math.Pi / 180
	sin := func(x float64) float64 { return math.Pow(math.Sin(x*degree/2), 2) }
	h := sin(b.Latitude-a.Latitude) +
		math.Cos(a.Latitude*degree)*math.Cos(b.Latitude*degree)*sin(b.Longitude-a.Longitude)
	return 2 * 6371 * math.Asin(math.Sqrt(h))
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
