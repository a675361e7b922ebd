package generator_test

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

func TestEditions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  generator.Config
	}{
		{"one year", generator.Config{Seed: 1}},
		{"another seed", generator.Config{Seed: 20261205}},
		{"three years from midsummer of a leap year", generator.Config{Seed: 7, Years: 3, Start: time.Date(2028, 6, 21, 0, 0, 0, 0, time.UTC)}},
	}
	for _, test := range tests {
		t.Run("the second differs from the first as much as it says, in "+test.name, func(t *testing.T) {
			t.Parallel()
			editions := generator.Editions(test.cfg)
			require.Len(t, editions, 2)
			first, second := byKey(t, editions[0]), byKey(t, editions[1])

			var updated, cancelled, vanished, late int
			for key, before := range first {
				if before.Cancelled {
					require.Fail(t, "cancelled in the first edition")
				}
				switch after, ok := second[key]; {
				case !ok:
					vanished++
				case after.Cancelled:
					cancelled++
				case after.End != before.End || after.Extra != before.Extra:
					updated++
				default:
					if !reflect.DeepEqual(before, after) {
						require.Equal(t, before, after)
					}
				}
			}
			for key := range second {
				if _, ok := first[key]; !ok {
					late++
				}
			}

			years := float64(max(test.cfg.Years, 1))
			t.Logf("first %d, second %d: %d updated, %d cancelled, %d vanished, %d late",
				len(first), len(second), updated, cancelled, vanished, late)
			require.Equal(t, generator.DancesPerYear*max(test.cfg.Years, 1), len(first)+late)
			require.InEpsilon(t, 2_400*years, updated, 0.08)
			require.InEpsilon(t, 400*years, cancelled, 0.2)
			require.InEpsilon(t, 400*years, vanished, 0.2)
			require.InEpsilon(t, 600*years, late, 0.15)
			events := generator.Bands + generator.Halls + len(first) + late + updated + cancelled + vanished
			require.InEpsilon(t, 1_300+23_200*years, events, 0.02)
		})
	}
}

// byKey returns the rows by what tells dances apart, and requires that it does.
func byKey(t *testing.T, edition generator.Edition) map[string]listing.Row {
	t.Helper()
	rows := map[string]listing.Row{}
	for row := range edition.Rows {
		key := strings.Join([]string{row.Date, row.Start, row.Band, hallOf(row)}, "|")
		_, taken := rows[key]
		require.False(t, taken, key)
		rows[key] = row
	}
	return rows
}

func TestAnEditionReadsBackEqual(t *testing.T) {
	t.Parallel()
	rows := slices.Collect(generator.Editions(generator.Config{Seed: 3})[1].Rows)
	var file bytes.Buffer
	w := listing.NewWriter(&file)
	for _, row := range rows {
		require.NoError(t, w.Write(row))
	}
	require.NoError(t, w.Flush())

	i := 0
	for row, err := range listing.Read(&file, listing.Options{}) {
		if row.Line = 0; err != nil || !reflect.DeepEqual(row, rows[i]) { // asserting 20,000 times takes long
			require.NoError(t, err)
			require.Equal(t, rows[i], row)
		}
		i++
	}
	require.Len(t, rows, i)
}

func BenchmarkGenerateYear(b *testing.B) {
	for b.Loop() {
		rows := 0
		for range generator.Generate(generator.Config{Seed: 1}) {
			rows++
		}
		b.ReportMetric(float64(rows), "rows")
	}
}
