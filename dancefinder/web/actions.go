package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// toast says what has just been done, or that it was not, and offers to take it back.
type toast struct {
	Text, Detail       string
	Failed             bool
	Undo, Field, Value string // the form that takes it back; none when Undo is empty
}

// done is what an action has done, kept in a cookie for the page that comes next.
type done struct {
	What  string `json:"w"`           // a key of the words
	Name  string `json:"n,omitempty"` // of what it was done to
	Count int    `json:"c,omitempty"` // how many dances that takes away
	Undo  string `json:"u,omitempty"`
	Field string `json:"f,omitempty"`
	Value string `json:"v,omitempty"`
	Link  string `json:"l,omitempty"` // the calendar's, once

	position eventsourced.Position
	back     search // where to go on; as it was if it is the zero search
}

const (
	doneCookie = "nyss"
	doneLasts  = time.Minute
)

// form is what was posted.
type form struct {
	page   *page
	values url.Values
}

// action returns a handler of a posted form: it does what act says, and leads back to
// the page that the form was on.
func (h *handler) action(act func(context.Context, form) (done, error)) http.HandlerFunc {
	return h.page(func(w http.ResponseWriter, r *http.Request, p *page) error {
		if err := r.ParseForm(); err != nil {
			if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
				return &problem{Status: http.StatusRequestEntityTooLarge, Title: "too large"}
			}
			return &problem{Status: http.StatusBadRequest, Title: "form broken"}
		}
		kept, err := url.ParseQuery(r.PostForm.Get("q"))
		if err != nil {
			return &problem{Status: http.StatusBadRequest, Title: "form broken"}
		}
		if p.Search, err = parseSearch(kept, p.Today); err != nil {
			return err
		}
		p.language, p.Path = p.Search.Lang, backPath(r.PostForm.Get("pa"))
		result, err := act(r.Context(), form{p, r.PostForm})
		if err != nil {
			return err
		}
		if result.position > 0 {
			h.remember(w, r, h.config.Consistency.Token(result.position))
		}
		if result.What != "" {
			text, err := json.Marshal(result)
			if err != nil {
				return err
			}
			h.setCookie(w, r, doneCookie, base64.RawURLEncoding.EncodeToString(text), doneLasts)
		}
		to := result.back
		if to.Lang == nil {
			to = p.Search
			to.New = ""
		}
		next := url.URL{Path: p.Path, RawQuery: to.Query(), Fragment: "klart"}
		if to.New != "" { // is asked about on the next page alone: no link has it
			next.RawQuery = strings.TrimPrefix(next.RawQuery+"&ny="+url.QueryEscape(to.New), "&")
			next.Fragment = "ny"
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Location", next.String())
		w.WriteHeader(http.StatusSeeOther)
		p.Problem = answered
		return nil
	})
}

// answered marks a page whose answer is written.
var answered = &problem{}

// backPath returns the page that a form says it is on, if it is one of ours.
func backPath(path string) string {
	switch path {
	case "/karta", "/kalender":
		return path
	}
	return "/"
}

var errLogin = &problem{Status: http.StatusUnauthorized, Title: "must log in", Text: "login to hide"}

// thing is what is hidden or shown.
type thing struct {
	kind  query.Kind
	value string
}

// what reads what a form is about: "BAND:<id>".
func (f form) what() (thing, error) {
	if !f.page.LoggedIn {
		return thing{}, errLogin
	}
	kind, value, _ := strings.Cut(f.values.Get("vad"), ":")
	t := thing{query.Kind(kind), value}
	switch t.kind {
	case query.KindBand, query.KindDanceHall, query.KindCity, query.KindMunicipality, query.KindState:
		return t, nil
	}
	return t, &problem{Status: http.StatusBadRequest, Title: "form broken"}
}

func (h *handler) hide(ctx context.Context, f form) (done, error) {
	t, err := f.what()
	if err != nil {
		return done{}, err
	}
	name, count, err := h.describe(ctx, f.page, t)
	if err != nil {
		return done{}, err
	}
	_, position, err := h.config.Service.Prefer(ctx, t.command(f.page.User.Subject, true))
	switch refused := (*domain.Error)(nil); {
	case errors.Is(err, domain.ErrTooManyIgnores):
		return done{What: "no more hidden"}, nil
	case errors.As(err, &refused):
		return done{What: "not hidden", Name: name}, nil
	case err != nil:
		h.config.Logger.ErrorContext(ctx, "something could not be hidden", "error", err)
		return done{What: "not hidden", Name: name}, nil
	}
	return done{What: "is hidden", Name: name, Count: count, Undo: "/visa", Field: "vad", Value: string(t.kind) + ":" + t.value, position: position}, nil
}

func (h *handler) show(ctx context.Context, f form) (done, error) {
	t, err := f.what()
	if err != nil {
		return done{}, err
	}
	name, _, err := h.describe(ctx, f.page, t)
	if err != nil {
		return done{}, err
	}
	_, position, err := h.config.Service.Prefer(ctx, t.command(f.page.User.Subject, false))
	if err != nil {
		h.config.Logger.ErrorContext(ctx, "something could not be shown again", "error", err)
		return done{What: "not saved"}, nil
	}
	return done{What: "is shown", Name: name, Undo: "/dolj", Field: "vad", Value: string(t.kind) + ":" + t.value, position: position}, nil
}

// describe returns the name of a thing, and how many of the dances on show it has.
func (h *handler) describe(ctx context.Context, p *page, t thing) (name string, count int, err error) {
	r := query.New(h.config.Pool)
	summary, err := r.Summary(ctx, filterOf(p.Search, p.User.Subject))
	if err != nil {
		return "", 0, err
	}
	count = takesAway(summary).of(t.kind, t.value)
	switch t.kind {
	case query.KindBand:
		bands, err := r.BandsByID(ctx, t.value)
		for _, band := range bands {
			return band.Name, count, err
		}
		return p.T("unknown band"), count, err
	case query.KindDanceHall:
		halls, err := r.DanceHallsByID(ctx, t.value)
		for _, hall := range halls {
			return hall.Name, count, err
		}
		return p.T("unknown hall"), count, err
	}
	return t.value, count, nil
}

// command hides the thing from the subject, or shows it again.
func (t thing) command(subject string, hide bool) domain.Preference {
	band, hall := domain.BandID(t.value), domain.DanceHallID(t.value)
	switch {
	case t.kind == query.KindBand && hide:
		return domain.IgnoreBand{Subject: subject, BandID: band}
	case t.kind == query.KindBand:
		return domain.UnignoreBand{Subject: subject, BandID: band}
	case t.kind == query.KindDanceHall && hide:
		return domain.IgnoreDanceHall{Subject: subject, DanceHallID: hall}
	case t.kind == query.KindDanceHall:
		return domain.UnignoreDanceHall{Subject: subject, DanceHallID: hall}
	case t.kind == query.KindCity && hide:
		return domain.IgnoreCity{Subject: subject, City: t.value}
	case t.kind == query.KindCity:
		return domain.UnignoreCity{Subject: subject, City: t.value}
	case t.kind == query.KindMunicipality && hide:
		return domain.IgnoreMunicipality{Subject: subject, Municipality: t.value}
	case t.kind == query.KindMunicipality:
		return domain.UnignoreMunicipality{Subject: subject, Municipality: t.value}
	case hide:
		return domain.IgnoreState{Subject: subject, State: t.value}
	default:
		return domain.UnignoreState{Subject: subject, State: t.value}
	}
}

// home adds or removes a home: to the preferences of somebody who is logged in, else
// to the URL.
func (h *handler) home(ctx context.Context, f form) (done, error) {
	back := f.page.Search
	back.New = ""
	subject := f.page.User.Subject
	if name := f.values.Get("bort"); name != "" {
		if !f.page.LoggedIn {
			return done{back: back}, nil // theirs are removed by a link
		}
		_, position, err := h.config.Service.Prefer(ctx, domain.RemoveOrigin{Subject: subject, Origin: name})
		if err != nil {
			return done{What: "not saved"}, nil
		}
		return done{What: "home removed", Name: name, Undo: "/hemort", Field: "ny", Value: name, position: position}, nil
	}
	text := strings.TrimSpace(f.values.Get("ny"))
	if text == "" {
		return done{back: back}, nil
	}
	if !readable(text) || len(text) > 400 {
		return done{}, bad("ny", "bad text")
	}
	place, found := gazetteer.Resolve(text)
	if !found {
		back.New = text
		return done{back: back}, nil
	}
	if !f.page.LoggedIn || len(back.Homes) > 0 {
		if len(back.Homes) >= domain.MaxOrigins {
			back.New = text
		} else {
			back.Homes = append(back.Homes, place)
		}
		return done{back: back}, nil
	}
	name := place.Label()
	_, position, err := h.config.Service.Prefer(ctx, domain.AddOrigin{
		Subject: subject, Origin: name, Coordinate: &domain.Coordinate{Latitude: place.Latitude, Longitude: place.Longitude},
	})
	switch {
	case errors.Is(err, domain.ErrTooManyOrigins):
		back.New = text
		return done{back: back}, nil
	case err != nil:
		h.config.Logger.ErrorContext(ctx, "a home could not be saved", "error", err)
		return done{What: "not saved"}, nil
	}
	return done{What: "home added", Name: name, Undo: "/hemort", Field: "bort", Value: name, position: position, back: back}, nil
}

// settle puts what was just done, and how late the answer is, on the page.
func (h *handler) settle(w http.ResponseWriter, r *http.Request, p *page, d data) {
	unknown := false
	for _, e := range d.events.Items {
		_, band := d.bands[e.BandID]
		_, hall := d.halls[e.DanceHallID]
		unknown = unknown || !band || !hall
	}
	h.stale(r.Context(), p, unknown)
	p.Toast, _ = h.justDone(w, r, p)
}

// justDone returns what the request before this one did, once.
func (h *handler) justDone(w http.ResponseWriter, r *http.Request, p *page) (*toast, string) {
	cookie, err := r.Cookie(doneCookie)
	if err != nil {
		return nil, ""
	}
	h.setCookie(w, r, doneCookie, "", 0)
	var last done
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || json.Unmarshal(text, &last) != nil || p.words[last.What] == "" {
		return nil, ""
	}
	t := &toast{Failed: strings.HasPrefix(last.What, "no"), Field: last.Field, Value: last.Value}
	t.Text = p.T(last.What)
	if strings.Contains(t.Text, "%s") {
		t.Text = p.T(last.What, last.Name)
	}
	if last.What == "is hidden" {
		t.Detail = p.N("left out", last.Count)
	}
	switch last.Undo {
	case "/visa", "/dolj", "/hemort":
		t.Undo = last.Undo
	}
	return t, last.Link
}

const firstCookie = "tips"

// firstVisit tells somebody who can hide things how to, once.
func (h *handler) firstVisit(w http.ResponseWriter, r *http.Request, p *page, d data) bool {
	if _, err := r.Cookie(firstCookie); err == nil || !p.LoggedIn || len(d.events.Items) == 0 {
		return false
	}
	h.setCookie(w, r, firstCookie, "1", 365*24*time.Hour)
	pr := d.preferences
	return len(pr.Bands)+len(pr.DanceHalls)+len(pr.Cities)+len(pr.Municipalities)+len(pr.States) == 0
}
