package web

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// DefaultTimeout is the default of [Config.Timeout].
const DefaultTimeout = 10 * time.Second

// MaxBody is how much of a request's body is read, in bytes.
const MaxBody = 64 << 10

// Config is what the page needs.
type Config struct {
	// Pool reaches the read views. Required.
	Pool *pgxpool.Pool

	// Service takes the commands of users. Required.
	Service *domain.Service

	// Consistency lets users see at once what they have done. Required.
	Consistency *readview.Consistency

	// Projections tell whether the read views are up to date: a readview.Manager.
	// Required.
	Projections interface {
		Status(ctx context.Context) ([]consumer.Status, error)
	}

	// Hub tells of changes, so that open pages can say that there are new dances. It
	// may be nil; then they don't.
	Hub *live.Hub

	// Login says how people log in. Whoever is logged in comes with the request's
	// context, as identity.Gate.Middleware puts it there; the routes of the gate are its
	// own, but in a demo GET /login, which is the page's. Defaults to LoginNone.
	Login identity.LoginKind

	// Secure marks cookies for HTTPS only, also where the server itself is behind a proxy
	// and speaks HTTP.
	Secure bool

	// Timeout limits what a request takes, live updates aside. Defaults to
	// [DefaultTimeout].
	Timeout time.Duration

	// Now is the time. Defaults to time.Now.
	Now func() time.Time

	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

//go:embed static templates
var files embed.FS

// handler answers the requests.
type handler struct {
	config    Config
	templates *template.Template
	assets    map[string]asset
	fresh     *freshness
	mux       *http.ServeMux
}

// NewHandler returns the page. It answers GET / and /karta, what they link to and the
// forms on them; all else is 404. It sets the headers of security, and expects protection from
// cross-site requests (http.CrossOriginProtection) around it.
func NewHandler(config Config) (http.Handler, error) {
	var missing []error
	for name, ok := range map[string]bool{
		"Pool": config.Pool != nil, "Service": config.Service != nil, "Consistency": config.Consistency != nil, "Projections": config.Projections != nil,
	} {
		if !ok {
			missing = append(missing, fmt.Errorf("%w: %s is required", ErrConfig, name))
		}
	}
	if len(missing) > 0 {
		return nil, errors.Join(missing...)
	}
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	h := &handler{config: config, fresh: &freshness{projections: config.Projections, now: config.Now}, mux: http.NewServeMux()}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, err
	}
	if h.assets, err = readAssets(static); err != nil {
		return nil, err
	}
	h.templates, err = template.New("").Funcs(template.FuncMap{"asset": h.assetURL, "args": func(all ...any) []any { return all }}).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	h.routes()
	return h.secure(compress(h.mux)), nil
}

func (h *handler) routes() {
	h.mux.HandleFunc("GET /{$}", h.page(h.list))
	h.mux.HandleFunc("GET /karta", h.page(h.mapPage))
	h.mux.HandleFunc("GET /kalender", h.page(h.calendarPage))
	h.mux.HandleFunc("GET /kalender.ics", h.calendarFile)
	h.mux.HandleFunc("GET /events.ics", h.calendarFile)
	h.mux.HandleFunc("GET /dans/{file}", h.danceFile)
	h.mux.HandleFunc("GET /kalender/{file}", h.calendarFeed)
	h.mux.HandleFunc("GET /orter", h.suggestions)
	h.mux.HandleFunc("GET /nytt", h.changes)
	h.mux.HandleFunc("GET /static/{file}", h.static)
	if h.config.Login == identity.LoginDemo {
		h.mux.HandleFunc("GET /login", h.page(h.loginPage))
	}
	h.mux.HandleFunc("POST /dolj", h.action(h.hide))
	h.mux.HandleFunc("POST /visa", h.action(h.show))
	h.mux.HandleFunc("POST /hemort", h.action(h.home))
	h.mux.HandleFunc("POST /kalender", h.action(h.calendarLink))
	h.mux.HandleFunc("/", h.page(func(http.ResponseWriter, *http.Request, *page) error {
		return &problem{Status: http.StatusNotFound, Title: "no page", Text: "no page help"}
	}))
}

// policy allows what comes from this server and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (h *handler) secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Referrer-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		next.ServeHTTP(w, r)
	})
}

// stockholm is the zone in which days begin. The domain carries its data.
var stockholm = func() *time.Location {
	zone, err := time.LoadLocation("Europe/Stockholm")
	if err != nil {
		panic("web: " + err.Error()) // package domain brings the zones
	}
	return zone
}()

func (h *handler) today() domain.Date { return domain.DateOf(h.config.Now().In(stockholm)) }
