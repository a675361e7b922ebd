package geocoding

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/internal/need"
)

// NominatimAttribution must stand where coordinates of [Nominatim] are shown, with
// a link to openstreetmap.org/copyright. The data is under the ODbL 1.0: what is
// made from a substantial part of it and published is too.
const NominatimAttribution = "© OpenStreetMap contributors, ODbL"

// Defaults of [NominatimConfig].
const (
	DefaultNominatimURL = "https://nominatim.openstreetmap.org"
	DefaultInterval     = time.Second
	DefaultTimeout      = 10 * time.Second
	DefaultFoundFor     = 180 * 24 * time.Hour
	DefaultNotFoundFor  = 7 * 24 * time.Hour
)

// NominatimConfig says which server [Nominatim] asks, and how. Contact must be
// set; for durations 0 means the default.
type NominatimConfig struct {
	// Contact is where the server's operators can complain, an e-mail address or
	// a web page. It is part of the User-Agent, as their policy wants it: 1 to 200
	// printable ASCII characters without parentheses.
	Contact string

	// BaseURL is the server, without "/search". The public one is for moderate
	// use: whoever imports thousands of halls runs a server of their own, and
	// names it here. Defaults to [DefaultNominatimURL].
	BaseURL string

	// Interval is the time between two requests, those of all processes on the
	// database together. The public server allows no less than a second. Defaults
	// to [DefaultInterval].
	Interval time.Duration

	// Timeout is how long one request may take. Defaults to [DefaultTimeout].
	Timeout time.Duration

	// FoundFor and NotFoundFor are for how long an answer is taken from the cache
	// instead of asking again. They default to [DefaultFoundFor] and
	// [DefaultNotFoundFor].
	FoundFor, NotFoundFor time.Duration

	// Transport makes the requests. Defaults to [http.DefaultTransport].
	Transport http.RoundTripper

	// Logger defaults to [slog.Default].
	Logger *slog.Logger
}

// Nominatim is a [Geocoder] that searches OpenStreetMap's data with a server of
// the kind of nominatim.openstreetmap.org. It keeps to that server's policy: one
// request in each interval whatever the number of processes, a User-Agent that
// says who asks, answers cached in the database, and a pause for all processes
// when the server asks for one (429, 403, or 503 with Retry-After). It is safe for
// concurrent use; more than one call at a time is of no use.
//
// It searches for the hall, then for its city, then for its municipality, until
// something is found. Each of these is one request, cached by itself: the halls of
// a city share the search for the city. Ships are never searched for.
//
// Besides [ErrNotFound] and a [*RateLimitedError] it returns [ErrTemporary] and
// [ErrBadResponse].
type Nominatim struct {
	config  NominatimConfig
	search  *url.URL
	client  *http.Client
	limiter *Limiter
	cache   *cache
}

// NewNominatim returns a geocoder whose limit and cache are in the database that
// pool reaches. It asks nothing yet. The error names every field that is wrong, and a pool that is nil.
func NewNominatim(pool *pgxpool.Pool, config NominatimConfig) (*Nominatim, error) {
	config = config.withDefaults()
	base, err := config.validate()
	if err := errors.Join(append(need.Missing(map[string]any{"pool": pool}), err)...); err != nil {
		return nil, err
	}
	provider := base.Host + base.Path // the same server however it is reached
	return &Nominatim{
		config: config,
		search: base.JoinPath("search"),
		client: &http.Client{
			Transport: config.Transport,
			// A redirection would be a request beyond the limit.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		limiter: NewLimiter(pool, provider, config.Interval),
		cache: &cache{
			pool: pool, provider: provider, source: domain.SourceNominatim,
			foundFor: config.FoundFor, notFoundFor: config.NotFoundFor,
		},
	}, nil
}

func (c NominatimConfig) withDefaults() NominatimConfig {
	setDefault(&c.BaseURL, DefaultNominatimURL)
	setDefault(&c.Interval, DefaultInterval)
	setDefault(&c.Timeout, DefaultTimeout)
	setDefault(&c.FoundFor, DefaultFoundFor)
	setDefault(&c.NotFoundFor, DefaultNotFoundFor)
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c NominatimConfig) validate() (*url.URL, error) {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("geocoding.NominatimConfig: "+format, args...))
	}
	if n := len(c.Contact); n == 0 || n > 200 || strings.ContainsFunc(c.Contact, func(r rune) bool {
		return r < ' ' || r > '~' || r == '(' || r == ')'
	}) {
		problem("Contact is not 1 to 200 printable ASCII characters without parentheses")
	}
	base, err := url.Parse(c.BaseURL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		problem("BaseURL is not of the form https://host/path")
	} else if base.Path = strings.TrimSuffix(base.Path, "/"); strings.EqualFold(base.Hostname(), "nominatim.openstreetmap.org") && c.Interval < time.Second {
		problem("Interval is below the second that the public server allows")
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"Interval", c.Interval}, {"Timeout", c.Timeout}, {"FoundFor", c.FoundFor}, {"NotFoundFor", c.NotFoundFor},
	} {
		if field.value < 0 {
			problem("%s is negative", field.name)
		}
	}
	return base, errors.Join(problems...)
}

// Geocode implements [Geocoder].
func (n *Nominatim) Geocode(ctx context.Context, q Query) (Result, error) {
	if q.onFerry() {
		return Result{}, ErrNotFound
	}
	codes := q.Country
	if codes == "ax" {
		codes = "ax,fi" // in some data Åland is a part of Finland
	}
	for _, text := range q.searches() {
		result, err := n.find(ctx, text, codes)
		if !errors.Is(err, ErrNotFound) {
			return result, err
		}
	}
	return Result{}, ErrNotFound
}

// searches returns the texts to search for, best first. A county is left out: its
// municipalities have unique names, and each word more is one that the server must
// find.
func (q Query) searches() []string {
	area := q.State
	if _, ok := q.county(); ok {
		area = ""
	}
	var all []string
	for _, text := range []string{
		q.text(q.Name, q.City, q.Municipality, area),
		q.text(q.City, q.Municipality, area),
		q.text(q.Municipality, area),
	} {
		// The area alone is a country: its middle is no answer.
		if text != "" && domain.Key(text) != domain.Key(area) && (len(all) == 0 || all[len(all)-1] != text) {
			all = append(all, text)
		}
	}
	return all
}

// find returns the answer to one search, from the cache or else from the server.
func (n *Nominatim) find(ctx context.Context, text, codes string) (Result, error) {
	key := domain.Key(text) + " [" + codes + "]"
	result, known, err := n.cache.get(ctx, key)
	if known {
		return result, err
	}
	if err != nil {
		return Result{}, fmt.Errorf("nominatim: %w", err)
	}
	if err := n.limiter.Wait(ctx); err != nil {
		return Result{}, fmt.Errorf("nominatim: %w", err)
	}
	result, err = n.request(ctx, text, codes)
	var limited *RateLimitedError
	switch {
	case errors.As(err, &limited):
		// What was asked for must be heeded even if this process is about to end.
		lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		if pauseErr := n.limiter.Pause(lasting, limited.RetryAfter); pauseErr != nil {
			n.config.Logger.ErrorContext(ctx, "the pause that the provider wants is not shared", "error", pauseErr)
		}
	case err == nil, errors.Is(err, ErrNotFound):
		// An answer that is not kept is still an answer.
		if putErr := n.cache.put(ctx, key, result, err == nil); putErr != nil {
			n.config.Logger.WarnContext(ctx, "an answer of the provider was not cached", "error", putErr)
		}
	}
	if err != nil {
		return Result{}, fmt.Errorf("nominatim: %w", err)
	}
	return result, nil
}
