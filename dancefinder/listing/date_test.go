package listing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/listing"
)

func TestReadCompletesDates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		year  int
		lines string // dates, and month headers after a #
		want  string
	}{
		{"every form of a date", 0,
			"# December 2026; Lör 5; lör 5/12; 5/12 2026; 5/12-2026; lördag den 5 december; Lör 5 dec. 2026; 2026-12-05; lör. 2026-12-5",
			strings.TrimSpace(strings.Repeat("2026-12-05 ", 8))},
		{"January follows December with months", 0, "# December 2026; tor 31/12; fre 1/1; lör 2/1", "2026-12-31 2027-01-01 2027-01-02"},
		{"January follows December with days alone", 0, "# December 2026; tor 31; fre 1; lör 2", "2026-12-31 2027-01-01 2027-01-02"},
		{"January follows December with a gap, by its weekday", 0, "# December 2026; lör 12; fre 8", "2026-12-12 2027-01-08"},
		{"January follows December without weekdays", 0, "# December 2026; 31; 1", "2026-12-31 2027-01-01"},
		{"January has its own header", 0, "# December 2026; tor 31; # Januari 2027; fre 1", "2026-12-31 2027-01-01"},
		{"a header without a year goes on from the one before", 0, "# December 2026; tor 31; # Januari; fre 1", "2026-12-31 2027-01-01"},
		{"rows within a month need no order", 0, "# DECEMBER 2026; lör 12; fre 11; lör 5", "2026-12-12 2026-12-11 2026-12-05"},
		{"rows around the new year need no order", 0, "# December 2026; fre 1/1; tor 31/12; lör 2/1", "2027-01-01 2026-12-31 2027-01-02"},
		{"a row of the month before its header", 0, "# December 2026; mån 30/11; tis 1/12", "2026-11-30 2026-12-01"},
		{"a February of 28 days and the March after it", 0, "# Februari 2027; sön 28; mån 1", "2027-02-28 2027-03-01"},
		{"a year that is given, and the year after it", 2026, "lör 5/12; tis 12/1; lör 6/11; 5/1", "2026-12-05 2027-01-12 2027-11-06 2028-01-05"},
		{"a year that is given and a first month late in it", 2026, "# December; lör 5", "2026-12-05"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := header
			for line := range strings.SplitSeq(test.lines, "; ") {
				if month, ok := strings.CutPrefix(line, "# "); ok {
					text += month + "\n"
				} else {
					text += line + ";;Tollez;Parken;Malung;Malung-Sälen;Dalarna;\n"
				}
			}
			rows, warnings, errs := readAll(t, text, listing.Options{Year: test.year})
			require.Empty(t, errs)
			require.Empty(t, warnings)
			var dates []string
			for _, row := range rows {
				dates = append(dates, row.Date)
			}
			require.Equal(t, test.want, strings.Join(dates, " "))
		})
	}
}
