package listing

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// months and weekdays by their first letters, which tell them apart.
var (
	months   = []string{"januari", "februari", "mars", "april", "maj", "juni", "juli", "augusti", "september", "oktober", "november", "december"}
	weekdays = []string{"söndag", "måndag", "tisdag", "onsdag", "torsdag", "fredag", "lördag"}
)

var (
	fullDate   = regexp.MustCompile(`^(\d{4})-(\d{1,2})-(\d{1,2})$`)
	slashDate  = regexp.MustCompile(`^(\d{1,2})/(\d{1,2})(?:[-/ ](\d{4}))?$`)
	wordDate   = regexp.MustCompile(`^(\d{1,2}) (\pL+)\.?(?: (\d{4}))?$`)
	dayOnly    = regexp.MustCompile(`^\d{1,2}$`)
	yearOnly   = regexp.MustCompile(`^(?:19|2[01])\d\d$`)
	isoDate    = regexp.MustCompile(`\d{4}-\d{1,2}-\d{1,2}`) // as in "updated 2026-12-05", which heads no month
	monthTitle = regexp.MustCompile(`^(\pL+)(?: (\d{4}))?$`)
)

var (
	errDate   = errors.New("expected a date such as Lör 5, lör 5/12 or 2026-12-05")
	errNoDay  = errors.New("there is no such day")
	errNoYear = errors.New("expected a year: in the date, in a month header such as December 2026, or as an option")
	errNoHead = errors.New("expected a month: in the date, or in a month header such as December 2026")
)

// calendar completes dates that leave out their year or month, from what the
// listing said before.
type calendar struct {
	year int       // of the first date, if that has none; 0 if not known
	last time.Time // the date before, or the first of the month in the last header; zero if there is none

	doubt string // a header after last that seems to name a month, but can't be read; "" if there is none
}

// header takes a month header such as "December 2026", or "December" where the
// year is known, and tells whether text is one.
func (c *calendar) header(text string) bool {
	match := monthTitle.FindStringSubmatch(text)
	if match == nil {
		return false
	}
	month, ok := lookup(months, match[1])
	if !ok {
		return false
	}
	date, err := c.complete(match[2], month+1, 1)
	if err != nil {
		return false
	}
	c.last, c.doubt = date, ""
	return true
}

// unread notes a text that is no month header if it seems to be meant as one: the
// month of the days that follow is not known then.
func (c *calendar) unread(text string) {
	var named []string // months and years
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if i, ok := lookup(months, word); ok {
			named = append(named, months[i])
		} else if yearOnly.MatchString(word) {
			named = append(named, word)
		}
	}
	same := []string{months[(c.last.Month()+11)%12], c.last.Format("2006")} // as the last header
	if len(named) > 0 && !isoDate.MatchString(text) && (c.last.IsZero() || !slices.Equal(named, same)) {
		c.doubt = text
	}
}

// parse reads a date.
func (c *calendar) parse(text string) (date string, err error) {
	weekday, rest := cutWeekday(text)
	day, err := c.date(rest, weekday)
	if err != nil {
		return "", err
	}
	if weekday >= 0 && weekday != int(day.Weekday()) {
		return "", fmt.Errorf("%w: %s is a %s", ErrWeekday, day.Format(time.DateOnly), weekdays[day.Weekday()])
	}
	c.last, c.doubt = day, ""
	return day.Format(time.DateOnly), nil
}

// isDate tells whether a text is a date with more than a number in it.
func isDate(text string) bool {
	weekday, rest := cutWeekday(text)
	return (weekday >= 0 || !dayOnly.MatchString(rest)) &&
		(fullDate.MatchString(rest) || slashDate.MatchString(rest) || wordDate.MatchString(rest) || dayOnly.MatchString(rest))
}

func (c *calendar) date(text string, weekday int) (time.Time, error) {
	if m := fullDate.FindStringSubmatch(text); m != nil {
		return c.complete(m[1], number(m[2]), number(m[3]))
	}
	if m := slashDate.FindStringSubmatch(text); m != nil {
		return c.complete(m[3], number(m[2]), number(m[1]))
	}
	if m := wordDate.FindStringSubmatch(text); m != nil {
		if month, ok := lookup(months, m[2]); ok {
			return c.complete(m[3], month+1, number(m[1]))
		}
	}
	if dayOnly.MatchString(text) {
		return c.completeDay(number(text), weekday)
	}
	return time.Time{}, errDate
}

// complete finds the year of a date that may have none: the first in which it
// is at most 60 days before the last date. A listing goes forward, but not
// strictly.
func (c *calendar) complete(year string, month, day int) (time.Time, error) {
	switch {
	case year != "":
		return civil(number(year), month, day)
	case !c.last.IsZero():
		y, earliest := c.last.Year()-1, c.last.AddDate(0, 0, -60)
		for utc(y, month, day).Before(earliest) {
			y++
		}
		return civil(y, month, day)
	case c.year != 0:
		return civil(c.year, month, day)
	}
	return time.Time{}, errNoYear
}

// completeDay finds the month of a day: that of the last date or, where the
// listing would go backward, perhaps the next. The weekday decides if it fits
// one of them only, otherwise the one nearer to the last date is taken.
func (c *calendar) completeDay(day, weekday int) (time.Time, error) {
	if c.doubt != "" {
		return time.Time{}, fmt.Errorf("%w; can't read %.100q", errNoHead, c.doubt)
	}
	if c.last.IsZero() {
		return time.Time{}, errNoHead
	}
	year, month := c.last.Year(), int(c.last.Month())
	this, err := civil(year, month, day)
	if day >= c.last.Day() {
		return this, err
	}
	if month++; month > 12 {
		year, month = year+1, 1
	}
	next, errNext := civil(year, month, day)
	if err != nil || errNext != nil {
		return this, err
	}
	fitsThis, fitsNext := int(this.Weekday()) == weekday, int(next.Weekday()) == weekday
	nextIsNearer := next.Sub(c.last) < c.last.Sub(this)
	if fitsNext && !fitsThis || fitsNext == fitsThis && nextIsNearer {
		return next, nil
	}
	return this, nil
}

// cutWeekday cuts the weekday that text may begin with; it is -1 if there is
// none.
func cutWeekday(text string) (weekday int, rest string) {
	word, rest, _ := strings.Cut(text, " ")
	weekday, ok := lookup(weekdays, strings.TrimRight(word, ".,"))
	if !ok {
		return -1, text
	}
	return weekday, strings.TrimPrefix(rest, "den ")
}

// lookup finds a name by at least its first three letters.
func lookup(names []string, word string) (int, bool) {
	word = strings.ToLower(word)
	i := slices.IndexFunc(names, func(name string) bool {
		return len([]rune(word)) >= 3 && strings.HasPrefix(name, word)
	})
	return i, i >= 0
}

func civil(year, month, day int) (time.Time, error) {
	date := utc(year, month, day)
	if date.Year() != year || int(date.Month()) != month || date.Day() != day || year < 1900 || year > 2199 {
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
