package web

import (
	"cmp"
	"net/url"
	"strconv"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// The periods.
const (
	periodToday   = "idag"
	periodWeekend = "helg"
	periodWeek    = "7dagar"
	periodMonth   = "manad"
	periodOwn     = "egna"
)

var periods = []string{periodToday, periodWeekend, periodWeek, periodMonth, periodOwn}

// periodWords are the keys of their names.
var periodWords = map[string]string{periodToday: "Today", periodWeekend: "weekend", periodWeek: "week", periodMonth: "month", periodOwn: "own"}

// lastDay is the last one that the domain takes for a date.
const lastDay = domain.Date("2199-12-31")

func (s *search) parseDays(v url.Values, today domain.Date) error {
	day, err := parseDay(v, "dag")
	if err != nil {
		return err
	}
	s.From = today
	switch s.Period {
	case periodToday:
		s.To = today
	case periodWeekend:
		// From Friday to Sunday; once it has begun, the rest of it.
		weekday := int(today.Time().Weekday()+6) % 7 // from Monday
		s.From, s.To = addDays(today, max(0, 4-weekday)), addDays(today, 6-weekday)
	case periodWeek:
		s.To = addDays(today, 6)
	case periodMonth:
		s.To = addDays(today, 30)
	case periodOwn:
		return s.parseOwn(v, today, day)
	default:
		return bad("period", "bad period", s.Period)
	}
	if day == "" {
		return nil
	}
	if day < s.From || day > s.To { // a link of another day: the same number of days from there
		length := int(s.To.Time().Sub(s.From.Time()).Hours() / 24)
		s.Period, s.From, s.To = periodOwn, day, min(addDays(day, length), lastDay)
		return nil
	}
	s.Day = day
	return nil
}

func (s *search) parseOwn(v url.Values, today, day domain.Date) error {
	from, err := parseDay(v, "fran")
	if err != nil {
		return err
	}
	to, err := parseDay(v, "till")
	if err != nil {
		return err
	}
	s.From = cmp.Or(from, today)
	s.To = cmp.Or(to, min(addDays(s.From, 6), lastDay))
	switch {
	case s.To < s.From:
		return bad("till", "bad order")
	case s.To.Time().Sub(s.From.Time()).Hours()/24 >= query.MaxDays:
		return bad("till", "too long", strconv.Itoa(query.MaxDays))
	}
	if day >= s.From && day <= s.To {
		s.Day = day
	}
	return nil
}

func parseDay(v url.Values, field string) (domain.Date, error) {
	text := v.Get(field)
	if text == "" {
		return "", nil
	}
	day, err := domain.ParseDate(text)
	if err != nil {
		return "", bad(field, "bad date", text)
	}
	return day, nil
}

func addDays(d domain.Date, n int) domain.Date { return domain.DateOf(d.Time().AddDate(0, 0, n)) }
