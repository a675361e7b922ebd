package web

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// page is what the templates show. Each kind of page fills in its part.
type page struct {
	*language
	Search   search
	Path     string // of the page itself: "/" or "/karta"
	User     identity.User
	LoggedIn bool
	Login    identity.LoginKind
	Today    domain.Date
	Title    string // of the document

	Homes    homes
	Filter   *filter
	List     *list
	Map      *mapView
	Small    *mapView // beside the list
	Hidden   *hiddenPanel
	Toast    *toast
	Banner   *banner
	Empty    *empty
	Unsure   bool // dances are late, so that none found does not mean that there are none
	Calendar *calendarView
	Problem  *problem
	Next     string // where to go after logging in
	First    bool   // the first visit of somebody who could hide things
}

// problem is a page that says what is wrong. Title and Text are keys of the words,
// Detail is a text itself.
type problem struct {
	Status              int
	Title, Text, Detail string
}

func (p *problem) Error() string { return p.Title }

// DancesOf is Dances for a number that is written already.
func (p *page) DancesOf(count string) string {
	if count == "1" {
		return p.T("dances.1", count)
	}
	return p.T("dances.n", count)
}

// Here is the URL of the page as it is.
func (p *page) Here() string { return p.Search.on(p.Path) }

// Other is the URL of the page in the other language.
func (p *page) Other() string { return p.Search.withLang(p.other()).on(p.Path) }

// OtherLang is that language.
func (p *page) OtherLang() string { return p.other().Tag }

// ListURL is the search on the list.
func (p *page) ListURL() string { return p.Search.onList().on("/") }

// MapURL is the search on the map.
func (p *page) MapURL() string { return p.Search.withAfter("").on("/karta") }

// CalendarURL is the search on the page of the calendar.
func (p *page) CalendarURL() string { return p.Search.onList().withAfter("").on("/kalender") }

// FileURL is the search as a calendar file.
func (p *page) FileURL() string { return p.Search.onList().withAfter("").on("/kalender.ics") }

// LiveURL is where changes of the search are told.
func (p *page) LiveURL() string { return p.Search.onList().withAfter("").on("/nytt") }

// CanLogin tells whether there is a way to log in.
func (p *page) CanLogin() bool { return p.Login != identity.LoginNone }

// page returns a handler that answers with what fill puts into the page.
func (h *handler) page(fill func(http.ResponseWriter, *http.Request, *page) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), h.config.Timeout)
		defer cancel()
		r = r.WithContext(ctx)
		p, err := h.newPage(r)
		if err == nil && r.Method == http.MethodGet && r.URL.Query().Has("steg") { // a form's search, under its own address
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Location", p.Here())
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		if err == nil {
			err = fill(w, r, p)
		}
		if err == nil && p.Problem == answered {
			return
		}
		status := http.StatusOK
		if err != nil {
			p.Problem = h.problemOf(r.Context(), err, p.language)
			status = p.Problem.Status
			p.Title = p.T(p.Problem.Title)
		}
		h.render(w, r, status, p)
	}
}

// newPage reads what every page needs. It returns a page also with an error.
func (h *handler) newPage(r *http.Request) (*page, error) {
	s, err := parseSearch(r.URL.Query(), h.today())
	p := &page{language: s.Lang, Search: s, Path: r.URL.Path, Login: h.config.Login, Today: h.today()}
	p.User, p.LoggedIn = identity.FromContext(r.Context())
	return p, err
}

// problemOf says what an error means for whoever asked. What is not their doing is
// logged.
func (h *handler) problemOf(ctx context.Context, err error, l *language) *problem {
	var known *problem
	var badParameter *badSearch
	var invalid *query.Problem
	var refused *domain.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &badParameter):
		return &problem{Status: http.StatusBadRequest, Title: "bad request", Detail: badParameter.in(l)}
	case errors.As(err, &invalid) && invalid.Field == "after":
		return &problem{Status: http.StatusBadRequest, Title: "bad request", Detail: bad("efter", "bad cursor").in(l)}
	case errors.As(err, &invalid):
		return &problem{Status: http.StatusBadRequest, Title: "bad request", Detail: invalid.Message}
	case errors.As(err, &refused):
		return &problem{Status: http.StatusUnprocessableEntity, Title: "not allowed", Detail: refused.Message}
	case ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded):
		h.config.Logger.ErrorContext(ctx, "a page could not be made", "error", err)
	}
	return &problem{Status: http.StatusServiceUnavailable, Title: "failed", Text: "failed help"}
}

// render writes the page. It is made before anything is written, so that a fault in
// it is no half page.
func (h *handler) render(w http.ResponseWriter, r *http.Request, status int, p *page) {
	var b bytes.Buffer
	if err := h.templates.ExecuteTemplate(&b, "page.html", p); err != nil {
		h.config.Logger.ErrorContext(r.Context(), "a template failed", "error", err)
		http.Error(w, p.T("failed"), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", p.Tag)
	header.Set("Cache-Control", "private, no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// loginPage asks for a name, in a demo.
func (h *handler) loginPage(_ http.ResponseWriter, r *http.Request, p *page) error {
	p.Title, p.Next = p.T("log in title"), r.URL.Query().Get("next")
	return nil
}
