package domain_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

func TestParseTimeRange(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		start, end string
		want       domain.TimeRange
	}{
		{"", "", domain.TimeRange{}},
		{"21:00", "", domain.TimeRange{Start: "21:00"}},
		{"21:00", "01:00", domain.TimeRange{Start: "21:00", End: "01:00"}},
		{"9:05", "00:00", domain.TimeRange{Start: "09:05", End: "00:00"}},
	} {
		got, err := domain.ParseTimeRange(test.start, test.end)
		require.NoError(t, err)
		require.Equal(t, test.want, got)
	}
	for _, in := range []struct{ start, end, field string }{
		{"", "01:00", "endTime"}, {"21.00", "", "startTime"}, {"24:00", "", "startTime"},
		{"21:00", "25:00", "endTime"}, {"21:60", "", "startTime"}, {"21:00:00", "", "startTime"},
	} {
		_, err := domain.ParseTimeRange(in.start, in.end)
		require.ErrorIs(t, err, domain.ErrInvalid, "%v", in)
		requireField(t, err, in.field)
	}
}

func TestTimeRangeOn(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		date       domain.Date
		start, end domain.Clock
		wantStart  string // in UTC, as RFC 3339; empty when not known
		wantEnd    string
	}{
		{"nothing is known", "2026-07-04", "", "", "", ""},
		{"only the start is known", "2026-07-04", "21:00", "", "2026-07-04T19:00:00Z", ""},
		{"an afternoon", "2026-07-04", "13:30", "17:00", "2026-07-04T11:30:00Z", "2026-07-04T15:00:00Z"},
		{"an end after midnight is the next day", "2026-07-04", "21:00", "01:00", "2026-07-04T19:00:00Z", "2026-07-04T23:00:00Z"},
		{"an end at the start is a day later", "2026-07-04", "21:00", "21:00", "2026-07-04T19:00:00Z", "2026-07-05T19:00:00Z"},
		{"New Year's Eve", "2026-12-31", "21:00", "01:00", "2026-12-31T20:00:00Z", "2027-01-01T00:00:00Z"},

		{"the night summer time begins is an hour short", "2026-03-28", "21:00", "03:00", "2026-03-28T20:00:00Z", "2026-03-29T01:00:00Z"},
		{"it ends in the missing hour", "2026-03-28", "21:00", "02:30", "2026-03-28T20:00:00Z", "2026-03-29T01:30:00Z"},
		{"it begins in the missing hour", "2026-03-29", "02:30", "04:00", "2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z"},
		{"a start in the missing hour is not after the end", "2026-03-29", "02:30", "03:15", "2026-03-29T01:30:00Z", "2026-03-29T02:15:00Z"},
		{"a dance within the missing hour keeps its length", "2026-03-29", "02:15", "02:45", "2026-03-29T01:15:00Z", "2026-03-29T01:45:00Z"},
		{"the evening after is in summer time", "2026-03-29", "18:00", "22:00", "2026-03-29T16:00:00Z", "2026-03-29T20:00:00Z"},

		{"the night summer time ends is an hour long", "2026-10-24", "21:00", "03:00", "2026-10-24T19:00:00Z", "2026-10-25T02:00:00Z"},
		{"in the hour that comes twice the first counts", "2026-10-24", "21:00", "02:30", "2026-10-24T19:00:00Z", "2026-10-25T00:30:00Z"},
		{"it begins in the hour that comes twice", "2026-10-25", "02:30", "03:30", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"},
		{"the evening after is in winter time", "2026-10-25", "18:00", "22:00", "2026-10-25T17:00:00Z", "2026-10-25T21:00:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			start, end := domain.TimeRange{Start: test.start, End: test.end}.On(test.date)
			require.Equal(t, test.wantStart, inUTC(start))
			require.Equal(t, test.wantEnd, inUTC(end))
			if !start.IsZero() {
				require.Equal(t, "Europe/Stockholm", start.Location().String())
			}
		})
	}
}

func inUTC(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func TestTimeRangeOnEveryHourOfTheYear(t *testing.T) {
	t.Parallel()
	for day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() == 2026; day = day.AddDate(0, 0, 1) {
		for hour := range 48 {
			clock := domain.Clock(day.Add(time.Duration(hour) * 30 * time.Minute).Format("15:04"))
			for _, end := range []domain.Clock{clock, "00:00", "02:00", "02:30", "03:00", "13:00"} {
				start, stop := domain.TimeRange{Start: clock, End: end}.On(domain.DateOf(day))
				require.True(t, stop.After(start), "%s %s-%s", day, clock, end)
				require.LessOrEqual(t, stop.Sub(start), 25*time.Hour, "%s %s-%s", day, clock, end)
			}
		}
	}
}
