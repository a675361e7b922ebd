package domain

import (
	"sync"
	"time"
	_ "time/tzdata" // Europe/Stockholm on machines without a zone database
)

// Date is a day of the calendar, without a zone, as "2006-01-02": dates compare
// as strings. [ParseDate] makes it.
type Date string

// Dances are found between these years; anything else is a slip of the keyboard.
const (
	minYear = 1900
	maxYear = 2199
)

// ParseDate reads a date of the years 1900 to 2199 in the form "2006-01-02".
func ParseDate(s string) (Date, error) {
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return "", invalid("date", "%.40q is not a date such as 2026-07-04", s)
	}
	if day.Year() < minYear || day.Year() > maxYear {
		return "", invalid("date", "%s is not between the years %d and %d", s, minYear, maxYear)
	}
	return DateOf(day), nil
}

// DateOf returns the day that t falls on in t's own zone.
func DateOf(t time.Time) Date { return Date(t.Format(time.DateOnly)) }

// Time returns the start of the day in UTC, to count and compare with: weekdays,
// days later. It returns the zero time for what ParseDate has not made.
func (d Date) Time() time.Time {
	day, _ := time.Parse(time.DateOnly, string(d))
	return day
}

// Clock is what a clock on the wall shows, as "15:04". The empty Clock is a time
// that is not known. [ParseClock] makes it.
type Clock string

const clockForm = "15:04"

// ParseClock reads a time of day in the form "15:04".
func ParseClock(s string) (Clock, error) { return parseClock("time", s) }

func parseClock(field, s string) (Clock, error) {
	t, err := time.Parse(clockForm, s)
	if err != nil {
		return "", invalid(field, "%.40q is not a time such as 21:00", s)
	}
	return Clock(t.Format(clockForm)), nil
}

// TimeRange says when a dance begins and ends, as Swedish clocks show it. Both
// are empty when nothing is known, and End alone when only the start is. An end
// that is not after the start is on the next day. [ParseTimeRange] makes it.
type TimeRange struct {
	Start, End Clock
}

// ParseTimeRange reads a start and an end, each empty when it is not known. An
// end needs a start.
func ParseTimeRange(start, end string) (TimeRange, error) {
	var r TimeRange
	var err error
	if start != "" {
		if r.Start, err = parseClock("startTime", start); err != nil {
			return TimeRange{}, err
		}
	}
	if end != "" {
		if r.End, err = parseClock("endTime", end); err != nil {
			return TimeRange{}, err
		}
		if start == "" {
			return TimeRange{}, invalid("endTime", "needs a start time")
		}
	}
	return r, nil
}

// On returns the instants at which a dance on this date begins and ends, in
// Europe/Stockholm; an instant that is not known is the zero time.
//
// In the night when summer time begins, a time in the hour that does not exist
// counts as if the clocks had not been changed yet (02:30 is 03:30). In the night
// when it ends, a time in the hour that comes twice is the first of the two. The
// end is always after the start.
func (r TimeRange) On(date Date) (start, end time.Time) {
	if r.Start == "" {
		return time.Time{}, time.Time{}
	}
	wallStart := wall(date, r.Start)
	start = inStockholm(wallStart)
	if r.End == "" {
		return start, time.Time{}
	}
	wallEnd := wall(date, r.End)
	if !wallEnd.After(wallStart) {
		wallEnd = wallEnd.AddDate(0, 0, 1)
	}
	end = inStockholm(wallEnd)
	if !end.After(start) { // only a start in the missing hour does this
		end = start.Add(wallEnd.Sub(wallStart))
	}
	return start, end
}

// wall returns date and clock as if they were UTC.
func wall(date Date, clock Clock) time.Time {
	t, _ := time.Parse(clockForm, string(clock))
	return date.Time().Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute)
}

var stockholm = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation("Europe/Stockholm")
	if err != nil {
		panic("domain: " + err.Error()) // the zones are part of the program
	}
	return zone
})

// inStockholm returns when clocks in Stockholm show wall. time.Date would do, but
// leaves open which instant it picks around a change of the clocks.
func inStockholm(wall time.Time) time.Time {
	_, before := wall.AddDate(0, 0, -1).In(stockholm()).Zone()
	_, after := wall.AddDate(0, 0, 1).In(stockholm()).Zone()
	first := wall.Add(-time.Duration(before) * time.Second).In(stockholm())
	second := wall.Add(-time.Duration(after) * time.Second).In(stockholm())
	if !showsSame(first, wall) && showsSame(second, wall) {
		return second
	}
	return first
}

func showsSame(t, wall time.Time) bool {
	return t.Hour() == wall.Hour() && t.Minute() == wall.Minute()
}
