package listing

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Dates are of the years from FirstYear to LastYear.
const (
	FirstYear = 1900
	LastYear  = 2199
)

// months and weekdays by their first letters, which tell them apart.
var (
	months   = []string{"januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november", "december"}
	weekdays = []string{"söndag", "måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag"}
)

// The forms of dates, in plain text. What could be a range of days is none of them,
// such as 5-12 or 5/12-26: it would be read as its first day.
var (
	midnight  = regexp.MustCompile(`[ t]00:00(?::00(?:\.0+)?)?$`) // which a spreadsheet adds
	yearFirst = regexp.MustCompile(`^(\d{4})(?:-(\d{1,2})-|/(\d{1,2})/|\.(\d{1,2})\.)(\d{1,2})$`)
	compact   = regexp.MustCompile(`^(\d{4})(\d{2})(\d{2})$`)
	dayFirst  = regexp.MustCompile(`^(\d{1,2})(?:/(\d{1,2})(?:(?: ?- ?|,? )(\d{4}))?|\. ?(\d{1,2})(?:(?:\. ?| )(\d{4})|\.)?)$`)
	eitherWay = regexp.MustCompile(`^(\d{1,2})(?:/(\d{1,2})/|-(\d{1,2})-)(\d{4})$`)
	wordDate  = regexp.MustCompile(`^(\d{1,2})(?:` + ordinal + `)?? ?(\pL+)\.?,?(?: (\d{4}))?$`)
	dayOnly   = regexp.MustCompile(`^(\d{1,2})(?:` + ordinal + `)?$`)

	weekdayBefore = regexp.MustCompile(`^(\pL{2,})[.,:]* ?(.*)$`)
	weekdayAfter  = regexp.MustCompile(`^(.*\d.*?),? \(?(\pL{2,})\.?\)?$`)

	ditto      = regexp.MustCompile(`^-? ?(?:["”“″〃]|''|´´) ?-?$`)
	yearOnly   = regexp.MustCompile(`^(?:19|2[01])\d\d$`)
	isoDate    = regexp.MustCompile(`\d{4}-\d{1,2}-\d{1,2}`) // as in "updated 2026-12-05", which heads no month
	dateWord   = regexp.MustCompile(`\pL{3,}`)
	numbers    = regexp.MustCompile(`\d ?[/.] ?\d|\d{1,4}-\d{1,2}-\d`) // a day and a month, or more
	monthTitle = regexp.MustCompile(`^(\pL+)\.?,?(?: (\d{4}))?:?$`)
)

// joining are the words between the days of a range.
var joining = []string{"och", "till", "tom", "den", "resp", "samt", "dje"}

const ordinal = `:?(?:e|a|de|te|dje)|\.`

var (
	errDate    = errors.New("expected a date such as Lör 5, lör 5/12 or 2026-12-05")
	errNoDay   = errors.New("there is no such day")
	errNoYear  = errors.New("expected a year: in the date, in a month header such as December 2026, or as an option")
	errNoHead  = errors.New("expected a month: in the date, or in a month header such as December 2026")
	errTwoWays = errors.New("it can be two dates, expected one such as 2026-12-05")
)

// isDate tells whether a text is a date with more than a number in it.
func isDate(text string) bool {
	rest, weekday := cutWeekday(plain(text))
	if weekday >= 0 && dayOnly.MatchString(rest) {
		return true
	}
	if m := wordDate.FindStringSubmatch(rest); m != nil {
		_, ok := lookup(months, m[2], 3)
		return ok
	}
	rest = midnight.ReplaceAllString(rest, "")
	return yearFirst.MatchString(rest) || compact.MatchString(rest) || dayFirst.MatchString(rest) || eitherWay.MatchString(rest)
}

func (c *calendar) date(text string, weekday int) (time.Time, error) {
	numeric := midnight.ReplaceAllString(text, "")
	if m := yearFirst.FindStringSubmatch(numeric); m != nil {
		return c.complete(m[1], number(m[2]+m[3]+m[4]), number(m[5]))
	}
	if m := compact.FindStringSubmatch(numeric); m != nil {
		return c.complete(m[1], number(m[2]), number(m[3]))
	}
	if m := dayFirst.FindStringSubmatch(numeric); m != nil {
		return c.complete(m[3]+m[5], number(m[2]+m[4]), number(m[1]))
	}
	if m := eitherWay.FindStringSubmatch(numeric); m != nil {
		return oneOf(number(m[4]), number(m[1]), number(m[2]+m[3]), weekday)
	}
	if m := wordDate.FindStringSubmatch(text); m != nil {
		if month, ok := lookup(months, m[2], 3); ok {
			return c.complete(m[3], month+1, number(m[1]))
		}
	}
	if m := dayOnly.FindStringSubmatch(text); m != nil {
		return c.days(number(m[1]), weekday)
	}
	return time.Time{}, errDate
}

// oneOf returns the date of which one number is the day and the other the month,
// if that is possible in one way only.
func oneOf(year, a, b, weekday int) (time.Time, error) {
	first, err := civil(year, b, a)
	second, otherErr := civil(year, a, b)
	switch {
	case otherErr != nil || first.Equal(second):
		return first, err
	case err != nil:
		return second, nil
	case fits(first, weekday) && fits(second, weekday):
		return time.Time{}, fmt.Errorf("%w: %s or %s", errTwoWays, first.Format(time.DateOnly), second.Format(time.DateOnly))
	case fits(second, weekday):
		return second, nil
	}
	return first, nil
}

// cutWeekday cuts off the weekday that plain text may begin or end with; it is -1
// if there is none.
func cutWeekday(text string) (rest string, weekday int) {
	rest, weekday = text, -1
	if m := weekdayBefore.FindStringSubmatch(text); m != nil {
		word := m[1]
		if strings.HasSuffix(word, "dagen") {
			word = strings.TrimSuffix(word, "en")
		}
		if i, ok := lookup(weekdays, word, 2); ok {
			rest, weekday = m[2], i
		}
	} else if m := weekdayAfter.FindStringSubmatch(text); m != nil {
		if i, ok := lookup(weekdays, m[2], 2); ok {
			rest, weekday = m[1], i
		}
	}
	return strings.TrimPrefix(rest, "den "), weekday
}

// lookup finds a name by its first letters, at least so many.
func lookup(names []string, word string, least int) (int, bool) {
	i := slices.IndexFunc(names, func(name string) bool {
		return len([]rune(word)) >= least && strings.HasPrefix(name, word)
	})
	return i, i >= 0
}

func civil(year, month, day int) (time.Time, error) {
	date := utc(year, month, day)
	if date.Year() != year || int(date.Month()) != month || date.Day() != day || year < FirstYear || year > LastYear {
		return time.Time{}, errNoDay
	}
	return date, nil
}

func utc(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

// number converts what a pattern found to be at most four digits.
func number(digits string) int {
	n, _ := strconv.Atoi(digits)
	return n
}
