package readviewui

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

//go:embed static templates
var files embed.FS

// Handler answers the requests for the page, see [New]. It is safe for concurrent use.
type Handler struct {
	manager *readview.Manager
	log     eventsourced.Log
	pool    *pgxpool.Pool
	config  Config

	templates map[string]*template.Template
	assets    map[string]asset
	outer     http.Handler
	looks     looks
	trends    *trends
	seeking   sync.Mutex           // guards soughtAt
	soughtAt  map[string]time.Time // see sought
	inspector *pgstore.Inspector   // of a log that can be looked into, or nil
	streams   atomic.Int64
	jobs      jobs
	closing   chan struct{}
	close     sync.Once
}

// New returns the admin page of the manager's projections, whose router need not run here, and of
// what else [Config] names. It may be mounted at any path that ends with a slash:
//
//	mux.Handle("/admin/", page)
//
// It sends nothing before the first request. The pool reaches the read views.
func New(manager *readview.Manager, log eventsourced.Log, pool *pgxpool.Pool, config Config) (*Handler, error) {
	var missing []error
	for _, required := range []struct {
		name string
		ok   bool
	}{{"manager", manager != nil}, {"log", log != nil}, {"pool", pool != nil}} {
		if !required.ok {
			missing = append(missing, fmt.Errorf("%w: the %s is nil", ErrConfig, required.name))
		}
	}
	config, err := config.withDefaults()
	if err = errors.Join(append(missing, err)...); err != nil {
		return nil, err
	}
	h := &Handler{manager: manager, log: log, pool: pool, config: config, closing: make(chan struct{}), trends: newTrends()}
	if log, ok := log.(inspected); ok {
		h.inspector = log.Inspector(pgstore.InspectorConfig{Timeout: min(inspectTimeout, config.Timeout), Tables: ownTables})
	}
	if h.assets, err = readAssets(); err != nil {
		return nil, err
	}
	if h.templates, err = h.readTemplates(); err != nil {
		return nil, err
	}
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.refuse(w, r, problem{Status: http.StatusForbidden, Title: "That came from another site", Text: "Nothing has changed: what changes something has to be sent by this page."})
	}))
	h.outer = h.secure(sameOrigin.Handler(h.routes()))
	return h, nil
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.outer.ServeHTTP(w, r) }

// routes are the pages. All are in one folder: links from one to the other need not know where
// that is, and only the last part of a path counts.
func (h *Handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", h.page("overview", h.overview))
	mux.Handle("GET /consumer", h.page("consumer", h.consumer))
	mux.Handle("POST /consumer", h.page("consumer", h.consumer)) // asks for what is hidden, see revealed
	mux.Handle("GET /confirm", h.page("confirm", h.confirm))
	mux.HandleFunc("POST /act", h.act)
	mux.HandleFunc("/act", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", http.MethodPost)
		h.refuse(w, r, problem{Status: http.StatusMethodNotAllowed, Title: "That wants a form", Text: "Nothing has changed: what changes something is sent by POST."})
	})
	mux.Handle("GET /parked", h.page("parked", h.parked))
	mux.Handle("GET /events", h.page("events", h.events))
	mux.Handle("POST /events", h.page("events", h.events)) // asks for what is hidden, see revealed
	mux.Handle("GET /stream", h.page("stream", h.stream))
	mux.Handle("POST /stream", h.page("stream", h.stream))
	mux.Handle("GET /nodes", h.page("nodes", h.nodes))
	mux.Handle("GET /log", h.page("log", h.logPage))
	mux.Handle("GET /operations", h.page("operations", h.operations))
	mux.HandleFunc("GET /live", h.live)
	mux.HandleFunc("GET /static/{file}", h.static)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.refuse(w, r, problem{Status: http.StatusNotFound, Title: "There is no such page", Text: "It may have been of something that is no more."})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.RawQuery) > maxQuery {
			h.refuse(w, r, problem{Status: http.StatusRequestURITooLong, Title: "The address is too long", Text: "No page of this one has so much in its address. Ask for less."})
			return
		}
		if query, err := url.QueryUnescape(r.URL.RawQuery); err != nil || strings.ContainsRune(query, 0) || !utf8.ValidString(query) {
			h.refuse(w, r, problem{Status: http.StatusBadRequest, Title: "The address is no text", Text: "There is a character in it that no text has."})
			return
		}
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		inner := r.Clone(r.Context())
		if inner.URL.Path = "/" + name; strings.Contains(name, ".") {
			inner.URL.Path = "/static/" + name
		}
		inner.URL.RawPath = ""
		mux.ServeHTTP(w, inner)
	})
}

// policy allows what comes from this server and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxBody is how much of a request's body is read, in bytes: a form with a reason.
const maxBody = 64 << 10

// maxQuery is how long the query of an address may be, in bytes: twenty names of events and what else a page asks for.
const maxQuery = 16 << 10

func (h *Handler) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// bounded is the context of what is asked of the database for a request.
func (h *Handler) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, h.config.Timeout)
}

// Close ends the streams, so that a server that shuts down need not wait for them, and the rebuilds, verifications
// and explanations that were begun from the page here: they change nothing then. It waits for them. Other requests are
// answered all the same.
func (h *Handler) Close() {
	h.close.Do(func() { close(h.closing) })
	h.jobs.group.Wait()
}
