package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// calendarView is the page of the calendar.
type calendarView struct {
	What    string // the search in words
	HasLink bool
	Link    string // the whole URL, just after it was made
}

// feedDays is how many days ahead a subscribed calendar has.
const feedDays = 120

// maxInFile is how many dances a calendar has at most.
const maxInFile = 2000

func (h *handler) calendarPage(w http.ResponseWriter, r *http.Request, p *page) error {
	h.await(r, p)
	d, err := h.load(r.Context(), p, false)
	if err != nil {
		return err
	}
	p.List = listOf(p, d)
	p.Title = p.T("calendar")
	p.Calendar = &calendarView{What: strings.Join([]string{p.List.Where, p.List.Within, p.List.When}, " · ")}
	if p.List.Within == "" {
		p.Calendar.What = p.List.Where + " · " + p.List.When
	}
	var secret string
	if p.LoggedIn {
		link, err := query.New(h.config.Pool).CalendarLinkOf(r.Context(), p.User.Subject)
		if err != nil {
			return err
		}
		p.Calendar.HasLink = link != nil
	}
	h.stale(r.Context(), p, false)
	if p.Toast, secret = h.justDone(w, r, p); secret != "" && p.LoggedIn {
		p.Calendar.Link = h.feedURL(r, p.Search, secret)
	}
	return nil
}

// feedURL returns the address of a subscription to a search, as calendars need it.
func (h *handler) feedURL(r *http.Request, s search, secret string) string {
	u := url.URL{Scheme: "http", Host: r.Host, Path: "/kalender/" + secret + ".ics"}
	if h.config.Secure || r.TLS != nil {
		u.Scheme = "https"
	}
	s = s.onList().withAfter("")
	s.Period, s.Day, s.Hidden, s.Distance = periodWeek, "", false, false // it always has what comes
	u.RawQuery = s.Query()
	return u.String()
}

// calendarLink makes, replaces or removes the link.
func (h *handler) calendarLink(ctx context.Context, f form) (done, error) {
	if !f.page.LoggedIn {
		return done{}, errLogin
	}
	secret, hash := "", ""
	result := done{What: "removed link"}
	if f.values.Get("vad") != "bort" {
		secret = rand.Text() + rand.Text()
		hash = hashOf(secret)
		result = done{What: "link shown", Link: secret}
		link, err := query.New(h.config.Pool).CalendarLinkOf(ctx, f.page.User.Subject)
		if err != nil {
			return done{}, err
		}
		if link != nil {
			result.What = "replaced"
		}
	}
	_, position, err := h.config.Service.Prefer(ctx, domain.ReplaceCalendarLink{Subject: f.page.User.Subject, Hash: hash})
	result.position = position
	return result, err
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// calendarFile answers with the dances of a search, without logging in: nothing of the
// user's is in it but what the URL says.
func (h *handler) calendarFile(w http.ResponseWriter, r *http.Request) {
	s, err := parseSearch(r.URL.Query(), h.today())
	if err != nil {
		h.calendarProblem(w, r, s.Lang, err)
		return
	}
	subject := ""
	if user, ok := identity.FromContext(r.Context()); ok {
		subject = user.Subject
	}
	if s.Day != "" {
		s.From = s.Day
	}
	h.writeCalendar(w, r, s, filterOf(s, subject), "danser.ics")
}

// danceFile answers with one dance.
func (h *handler) danceFile(w http.ResponseWriter, r *http.Request) {
	id, isFile := strings.CutSuffix(r.PathValue("file"), ".ics")
	l := languageOf(r)
	events, err := map[string]query.Event{}, error(nil)
	if isFile {
		events, err = query.New(h.config.Pool).EventsByID(r.Context(), id)
	}
	if errors.Is(err, query.ErrInvalid) {
		err = nil
	}
	event, found := events[strings.ToLower(id)]
	switch {
	case err != nil:
		h.calendarProblem(w, r, l, err)
		return
	case !found:
		h.calendarProblem(w, r, l, &problem{Status: http.StatusNotFound, Title: "no such dance"})
		return
	}
	d := data{events: query.Page[query.Event]{Items: []query.Event{event}}}
	if d.bands, d.halls, err = names(r.Context(), query.New(h.config.Pool), d.events.Items); err != nil {
		h.calendarProblem(w, r, l, err)
		return
	}
	h.sendCalendar(w, r, l, d, "dans.ics")
}

func languageOf(r *http.Request) *language { return languageFor(r.URL.Query().Get("lang")) }

// calendarFeed answers a calendar that has a user's link. What is wrong with a link is
// not said: it works or there is no such page.
func (h *handler) calendarFeed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Referrer-Policy", "no-referrer")
	s, err := parseSearch(r.URL.Query(), h.today())
	if err != nil {
		h.calendarProblem(w, r, s.Lang, err)
		return
	}
	secret, isFile := strings.CutSuffix(r.PathValue("file"), ".ics")
	var link *query.CalendarLink
	hash := hashOf(secret)
	if isFile && secret != "" {
		if link, err = query.New(h.config.Pool).CalendarLinkByHash(r.Context(), hash); err != nil {
			h.calendarProblem(w, r, s.Lang, err)
			return
		}
	}
	if link == nil || subtle.ConstantTimeCompare([]byte(link.Hash), []byte(hash)) != 1 {
		err := &problem{Status: http.StatusNotFound, Title: "no page", Text: "no page help"}
		if c, _ := h.fresh.look(r.Context()); c.preferences {
			// It may be there again in a moment, and calendars give up on what is not found.
			err = &problem{Status: http.StatusServiceUnavailable, Title: "failed", Text: "failed help"}
		}
		h.calendarProblem(w, r, s.Lang, err)
		return
	}
	s.To = addDays(s.From, feedDays)
	h.writeCalendar(w, r, s, filterOf(s, link.Subject), "danser.ics")
}

func (h *handler) writeCalendar(w http.ResponseWriter, r *http.Request, s search, f query.Filter, name string) {
	ctx, cancel := context.WithTimeout(r.Context(), h.config.Timeout)
	defer cancel()
	var d data
	err := query.Snapshot(ctx, h.config.Pool, func(reader *query.Reader) (err error) {
		d.bands, d.halls = map[string]query.Band{}, map[string]query.DanceHall{}
		for after := ""; len(d.events.Items) < maxInFile; {
			part, err := reader.Events(ctx, f, query.ByDate, query.MaxFirst, after)
			if err != nil {
				return err
			}
			bands, halls, err := names(ctx, reader, part.Items)
			if err != nil {
				return err
			}
			for id, band := range bands {
				d.bands[id] = band
			}
			for id, hall := range halls {
				d.halls[id] = hall
			}
			d.events.Items = append(d.events.Items, part.Items...)
			if !part.More {
				return nil
			}
			after = part.Cursors[len(part.Cursors)-1]
		}
		return nil
	})
	if err != nil {
		h.calendarProblem(w, r, s.Lang, err)
		return
	}
	h.sendCalendar(w, r, s.Lang, d, name)
}

func (h *handler) sendCalendar(w http.ResponseWriter, _ *http.Request, l *language, d data, name string) {
	header := w.Header()
	header.Set("Content-Type", "text/calendar; charset=utf-8")
	header.Set("Content-Disposition", `inline; filename="`+name+`"`)
	header.Set("Cache-Control", "private, no-store")
	_, _ = w.Write([]byte(iCalendar(l, d, h.config.Now())))
}

func (h *handler) calendarProblem(w http.ResponseWriter, r *http.Request, l *language, err error) {
	p := h.problemOf(r.Context(), err, l)
	text := l.T(p.Title)
	for _, more := range []string{p.Detail, p.Text} {
		if more != "" {
			text += ". " + l.T(more)
		}
	}
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "60")
	}
	w.Header().Set("Cache-Control", "private, no-store")
	http.Error(w, text, p.Status)
}
