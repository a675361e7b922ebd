package listing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// far is how much two dates that follow each other differ at most, unless one of
// them is a slip of the keyboard or the listing has a gap.
const far = 60 * 24 * time.Hour

// calendar completes dates that leave out their year or month, from what the
// listing said before.
type calendar struct {
	year int       // of the first date, if that has none; 0 if not known
	last time.Time // the date before, or the first of the month in the last header; zero if there is none

	// leap is a date after last that is far from it and has no weekday to confirm it.
	// The next one shows whether it was a slip; zero if there is none.
	leap time.Time

	own   bool   // a row since the last header said its month itself
	doubt string // what came after last and seems to name a month, but can't be read; "" if there is none
}

// header takes a month header such as "December 2026", or "December", and tells
// whether text is one. The days below one whose year is not known are errors.
func (c *calendar) header(text string) bool {
	match := monthTitle.FindStringSubmatch(plain(text))
	if match == nil {
		return false
	}
	month, ok := lookup(months, match[1], 3)
	if !ok {
		return false
	}
	date, err := c.complete(match[2], month+1, 1)
	switch {
	case errors.Is(err, errNoYear):
		c.doubt = text
		return true
	case err != nil:
		return false
	}
	c.last, c.leap, c.own, c.doubt = date, time.Time{}, false, ""
	return true
}

// unread notes a text that is no month header if it seems to be meant as one: the
// month of the days that follow is not known then.
func (c *calendar) unread(text string) {
	var named []string // months and years
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if i, ok := lookup(months, strings.ToLower(word), 3); ok {
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
	rest, weekday := cutWeekday(plain(text))
	day, err := c.date(rest, weekday)
	if err == nil && !fits(day, weekday) {
		err = fmt.Errorf("%w: %s is a %s", ErrWeekday, day.Format(time.DateOnly), weekdays[day.Weekday()])
	}
	if err != nil {
		// Where rows say their months, the days alone that follow may be of this one's.
		if c.own && !c.last.IsZero() && c.otherMonth(rest) {
			c.doubt = text
		}
		return "", err
	}
	c.doubt, c.own = "", c.own || !dayOnly.MatchString(rest)
	leaps := !c.last.IsZero() && weekday < 0 && day.Sub(c.last).Abs() > far
	if leaps && (c.leap.IsZero() || day.Sub(c.leap).Abs() > far) {
		c.leap = day
	} else {
		c.last, c.leap = day, time.Time{}
	}
	return day.Format(time.DateOnly), nil
}

// otherMonth tells whether a date that can't be read may be of another month than the last one.
func (c *calendar) otherMonth(text string) bool {
	for _, word := range dateWord.FindAllString(text, -1) {
		month, isMonth := lookup(months, word, 3)
		_, isWeekday := lookup(weekdays, word, 2)
		if isMonth && month+1 != int(c.last.Month()) || !isMonth && !isWeekday && !slices.Contains(joining, word) {
			return true
		}
	}
	return numbers.MatchString(text)
}

// fits tells whether a day is this weekday, -1 for any.
func fits(day time.Time, weekday int) bool { return weekday < 0 || int(day.Weekday()) == weekday }

// complete finds the year of a date that may have none: the first in which it
// is at most 60 days before the last date. A listing goes forward, but not
// strictly.
func (c *calendar) complete(year string, month, day int) (time.Time, error) {
	switch {
	case year != "":
		return civil(number(year), month, day)
	case !c.last.IsZero():
		y, earliest := c.last.Year()-1, c.last.Add(-far)
		for utc(y, month, day).Before(earliest) {
			y++
		}
		return civil(y, month, day)
	case c.year != 0:
		return civil(c.year, month, day)
	}
	return time.Time{}, errNoYear
}

// days finds the month of a day alone, where it can be only one.
func (c *calendar) days(day, weekday int) (time.Time, error) {
	if c.doubt != "" {
		return time.Time{}, fmt.Errorf("%w; can't read %.100q", errNoHead, c.doubt)
	}
	if c.last.IsZero() {
		return time.Time{}, errNoHead
	}
	date, err := completeDay(c.last, day, weekday)
	if c.leap.IsZero() {
		return date, err
	}
	other, otherErr := completeDay(c.leap, day, weekday)
	switch fitsLast, fitsLeap := err == nil && fits(date, weekday), otherErr == nil && fits(other, weekday); {
	case fitsLast && fitsLeap:
		return time.Time{}, fmt.Errorf("%w: %s or %s", errTwoWays, date.Format(time.DateOnly), other.Format(time.DateOnly))
	case fitsLeap:
		return other, nil
	}
	return date, err
}

// completeDay finds the month of a day: that of the last date or, where the
// listing would go backward, perhaps the next. The weekday decides if it fits
// one of them only, otherwise the one nearer to the last date is taken.
func completeDay(last time.Time, day, weekday int) (time.Time, error) {
	year, month := last.Year(), int(last.Month())
	this, err := civil(year, month, day)
	if day >= last.Day() {
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
	nextIsNearer := next.Sub(last) < last.Sub(this)
	if fitsNext && !fitsThis || fitsNext == fitsThis && nextIsNearer {
		return next, nil
	}
	return this, nil
}
