package web

import (
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// list is the dances, by days.
type list struct {
	Heading  string // "18 danser nära Mora och Falun"
	Hint     string // what to do about it, may be empty
	Sub      string // "26 november – 2 december · 4 dolda"
	Where    string // "Mora, Falun"
	Within   string // "inom 100 km", may be empty
	When     string // "7 dagar · 4 dolda"
	Periods  []periodLink
	Own      bool
	Strip    []stripDay
	Long     bool // more days than a screen has room for
	Groups   []group
	MoreURL  string // the next page
	Cut      string // that there are more than this first page shows
	FirstURL string // the first one, when this is not
	Before   string // the URL with the days before the chosen one, when there are none after it
}

type periodLink struct {
	Name, URL string
	Chosen    bool
}

// stripDay is one day of the strip.
type stripDay struct {
	ID, URL, Weekday, Number, Count, Label string
	Chosen, None                           bool
	Radius                                 string // of the lantern
}

// group is a day's dances, or all when they are by distance.
type group struct {
	ID, Heading, Count string
	Rows               []row
}

func (h *handler) list(w http.ResponseWriter, r *http.Request, p *page) error {
	h.await(r, p)
	d, err := h.load(r.Context(), p, true)
	if err != nil {
		return err
	}
	h.finish(w, r, p, d)
	p.Small = smallMap(p, d)
	if d.empty != nil && len(d.events.Items) == 0 {
		p.nothing(d)
	}
	return nil
}

// finish fills in what list and map have in common.
func (h *handler) finish(w http.ResponseWriter, r *http.Request, p *page, d data) {
	p.List = listOf(p, d)
	p.Title = p.List.Heading
	p.Filter = filterView(p, d)
	h.settle(w, r, p, d)
	p.Hidden = hiddenOf(p, d.preferences)
	p.First = h.firstVisit(w, r, p, d)
}

func listOf(p *page, d data) *list {
	l := &list{Own: p.Search.Period == periodOwn, Periods: periodLinks(p)}
	l.headings(p, d)
	l.Strip = strip(p, d)
	l.Long = len(l.Strip) > 7
	l.Groups = groups(p, d)
	if d.events.More {
		l.MoreURL = p.Search.withAfter(d.events.Cursors[len(d.events.Cursors)-1]).on(p.Path)
	}
	if d.events.More && p.Search.After == "" {
		l.Cut = p.T("first ones", p.Number(len(d.events.Items)))
	}
	if p.Search.After != "" {
		l.FirstURL = p.Search.withAfter("").on(p.Path)
	}
	if len(l.Groups) == 0 && d.summary.Total > 0 && p.Search.Day != "" {
		l.Before = p.Search.withDay("").on(p.Path)
	}
	return l
}

func (l *list) headings(p *page, d data) {
	n, where := d.summary.Total, p.language.List(p.Homes.Names)
	switch {
	case len(p.Homes.At) == 0 && n == 0:
		l.Heading = p.T("title.sweden.no")
	case len(p.Homes.At) == 0:
		l.Heading = p.N("title.sweden", n)
	case n == 0:
		l.Heading = p.T("title.none", where)
	default:
		l.Heading = p.N("title", n, where)
	}
	l.Where = p.T("sweden")
	if len(p.Homes.At) == 0 {
		l.Hint = p.T("add a home")
	} else {
		l.Where = p.commas(p.Homes.Names)
		l.Within = p.T("within km", p.Number(p.Search.Km))
	}
	var hidden string
	if count := hiddenCount(d.summary); count > 0 {
		key := "hidden"
		if p.Search.Hidden {
			key = "hidden shown"
		}
		hidden = " · " + p.N(key, count)
	}
	var area string
	if names := areaNames(p.Search.Areas); len(names) > 0 {
		area = " · " + p.T("area of", p.commas(names[:min(2, len(names))]))
		if len(names) > 2 {
			area += " +" + strconv.Itoa(len(names)-2)
		}
	}
	l.Sub = p.Days(p.Search.From, p.Search.To) + area + hidden
	l.When = p.T(periodWords[p.Search.Period]) + area + hidden
	if l.Own {
		l.When = p.Days(p.Search.From, p.Search.To) + area + hidden
	}
}

func hiddenCount(s query.Summary) (n int) {
	for _, count := range s.Hidden {
		n += count
	}
	return n
}

func periodLinks(p *page) (links []periodLink) {
	for _, period := range periods {
		links = append(links, periodLink{p.T(periodWords[period]), p.Search.withPeriod(period).on(p.Path), p.Search.Period == period})
	}
	return links
}

// lantern returns the radius of a lantern: its area is the number of dances, in
// proportion to the strip's day with most.
func lantern(count, most int) string {
	return number(max(3.2, 10*math.Sqrt(float64(count)/float64(max(most, 10)))))
}

// number writes a coordinate.
func number(x float64) string { return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64) }

func strip(p *page, d data) (days []stripDay) {
	if p.Search.From == p.Search.To {
		return nil
	}
	counts, most := map[domain.Date]int{}, 0
	for _, day := range d.summary.Days {
		counts[day.Date] = day.Count
		most = max(most, day.Count)
	}
	for date := p.Search.From; date <= p.Search.To; date = addDays(date, 1) {
		n := counts[date]
		day := stripDay{
			ID: "s-" + string(date), URL: p.Search.withDay(date).on(p.Path), Weekday: p.Weekday(date), Number: strconv.Itoa(date.Time().Day()),
			Count: strconv.Itoa(n), Label: upper(p.Day(date)) + ", " + p.Dances(n), Radius: lantern(n, most),
			Chosen: date == p.Search.Day || p.Search.Day == "" && date == p.Search.From, None: n == 0,
		}
		if date == p.Today {
			day.Weekday = p.T("today")
		}
		if n == 0 {
			day.Count = "–"
		}
		days = append(days, day)
	}
	return days
}

// groups puts the dances under their days. By distance they stay together.
func groups(p *page, d data) (all []group) {
	rows := rowsOf(p, d, p.Search.Distance && len(p.Homes.At) > 0)
	if p.Search.Distance && len(p.Homes.At) > 0 {
		if len(rows) == 0 {
			return nil
		}
		return []group{{ID: "alla", Heading: p.T("by distance"), Count: p.Dances(d.summary.Total), Rows: rows}}
	}
	counts := map[domain.Date]int{}
	for _, day := range d.summary.Days {
		counts[day.Date] = day.Count
	}
	for len(rows) > 0 {
		date := rows[0].Date
		end := slices.IndexFunc(rows, func(r row) bool { return r.Date != date })
		if end < 0 {
			end = len(rows)
		}
		g := group{ID: "dag-" + string(date), Heading: upper(p.Day(date)), Count: p.Dances(counts[date]), Rows: rows[:end]}
		hidden := 0
		for _, r := range g.Rows {
			if r.Hidden != "" {
				hidden++
			}
		}
		if hidden > 0 {
			g.Count += " · " + p.N("hidden", hidden)
		}
		all = append(all, g)
		rows = rows[end:]
	}
	return all
}
