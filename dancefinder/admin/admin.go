// Package admin is the page for operators: that of package readviewui, behind the role
// [identity.RoleOperator], with what is personal hidden until somebody asks for it.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// Path is where the page is.
const Path = "/admin/"

// Stream is the path at which it sends server-sent events.
const Stream = Path + "live"

// errNoOperator is why somebody may do nothing.
var errNoOperator = errors.New("the user is no operator")

// Page is the page. Its methods are safe for concurrent use.
type Page struct {
	ui       *readviewui.Handler
	canLogin bool
}

// New returns the page of the manager's projections. What config says about rights, personal data and
// names is DanceFinder's to say.
func New(manager *readview.Manager, store eventsourced.LogStore, pool *pgxpool.Pool, login identity.LoginKind, config readviewui.Config) (*Page, error) {
	config.Title = "DanceFinder"
	config.Authorize = func(r *http.Request, _ readviewui.Action) (string, error) {
		user, _ := identity.FromContext(r.Context())
		if !user.Has(identity.RoleOperator) {
			return "", errNoOperator
		}
		return user.Subject, nil
	}
	config.Redact = redact
	config.States = states(store)
	config.OpenRows = []string{"band", "dancehall", "event", "geocoding", "relay", "relay.in-process"}
	config.Serves = map[string]string{
		"band": "Names of bands", "dancehall": "Dance halls and places", "event": "Dates and times on the site", "userpreferences": "Homes and what people have hidden",
	}
	ui, err := readviewui.New(manager, store, pool, config)
	return &Page{ui, login != identity.LoginNone}, err
}

// states show how bands, halls and dance events were after each of their events.
func states(store eventsourced.Store) map[string]readviewui.States {
	type state = map[string]any
	bands := eventsourced.NewRepository[domain.Band](store, domain.AggregateBand, eventsourced.RepositoryConfig{})
	halls := eventsourced.NewRepository[domain.DanceHall](store, domain.AggregateDanceHall, eventsourced.RepositoryConfig{})
	events := eventsourced.NewRepository[domain.Event](store, domain.AggregateEvent, eventsourced.RepositoryConfig{})
	return map[string]readviewui.States{
		domain.AggregateBand:      readviewui.StatesOf(bands, func(b *domain.Band) any { return state{"name": b.Name()} }),
		domain.AggregateDanceHall: readviewui.StatesOf(halls, func(h *domain.DanceHall) any { return state{"name": h.Name(), "place": h.Place()} }),
		domain.AggregateEvent:     readviewui.StatesOf(events, func(e *domain.Event) any { return state{"details": e.Details(), "deleted": e.Deleted()} }),
	}
}

// ServeHTTP answers operators. Others are asked to log in, or refused.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, known := identity.FromContext(r.Context())
	switch {
	case user.Has(identity.RoleOperator):
		p.ui.ServeHTTP(w, r)
	case strings.Contains(r.Header.Get("Accept"), "application/json") && !strings.Contains(r.Header.Get("Accept"), "text/html"): // a program
		status, detail := http.StatusForbidden, errNoOperator.Error()
		if !known {
			status, detail = http.StatusUnauthorized, "there is no session: log in first"
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": "This page is for operators", "detail": detail})
	case !known && p.canLogin && r.Method == http.MethodGet:
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/login?next="+url.QueryEscape(Path), http.StatusSeeOther)
	default:
		http.Error(w, "This page is for operators.", http.StatusForbidden)
	}
}

// Watch remembers how all stood, until ctx ends, and then ends what was begun from the page.
func (p *Page) Watch(ctx context.Context) {
	p.ui.Watch(ctx)
	p.Close()
}

// Close ends the streams and what was begun from the page.
func (p *Page) Close() { p.ui.Close() }

// hidden stands for what is personal.
const hidden = "(hidden)"

// redact hides what users have told of themselves, and who has done something.
func redact(event eventsourced.Recorded) eventsourced.Recorded {
	if event.Metadata[eventsourced.MetaActor] != "" {
		metadata := eventsourced.Metadata{}
		for key, value := range event.Metadata {
			metadata[key] = value
		}
		metadata[eventsourced.MetaActor] = hidden
		event.Metadata = metadata
	}
	if event.Stream.AggregateName != domain.AggregateUserPreferences {
		return event
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(event.Payload, &fields) != nil {
		fields = nil // whatever it is
	}
	for name := range fields {
		fields[name] = json.RawMessage(`"` + hidden + `"`)
	}
	event.Payload, _ = json.Marshal(fields)
	event.Stream.AggregateID = hidden // it is made of who somebody is
	return event
}
