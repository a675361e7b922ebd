package geocoding_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
)

// A response of the form that the server documents, of made-up content.
const parkJSON = `[{"place_id":101,"licence":"Data © OpenStreetMap contributors, ODbL 1.0.","osm_type":"way","osm_id":7,
	"lat":"60.6833312","lon":"13.7166701","category":"leisure","type":"park","place_rank":30,"importance":0.08,
	"addresstype":"leisure","name":"Folkets Park","display_name":"Folkets Park, Malung, Malung-Sälens kommun, Sverige",
	"boundingbox":["60.68","60.69","13.71","13.72"]}]`

const townJSON = `[{"lat":"60.685","lon":"13.7159","category":"place","type":"town","place_rank":18,"addresstype":"town",
	"display_name":"Malung, Malung-Sälens kommun, Sverige"}]`

// server is a provider on loopback that answers as a test wants.
type server struct {
	*httptest.Server

	mu       sync.Mutex
	requests []*http.Request
}

func newServer(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r)
		n := len(s.requests)
		s.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// replying returns a server that always gives this body.
func replying(t *testing.T, body string) *server {
	t.Helper()
	return newServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, body) })
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func (s *server) searched() (texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		texts = append(texts, r.URL.Query().Get("q"))
	}
	return texts
}

func (a *app) nominatim(t *testing.T, s *server, config geocoding.NominatimConfig) *geocoding.Nominatim {
	t.Helper()
	config.BaseURL, config.Contact = s.URL, "https://example.org/dance"
	if config.Interval == 0 {
		config.Interval = time.Millisecond
	}
	config.Transport = s.Client().Transport
	config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	n, err := geocoding.NewNominatim(a.pool, config)
	require.NoError(t, err)
	return n
}

func query(name string) geocoding.Query {
	return geocoding.NewQuery(name, domain.Place{City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"})
}

func TestNominatimRequests(t *testing.T) {
	t.Parallel()
	a := newApp(t)

	t.Run("a hall is searched for by name and place, and found", func(t *testing.T) {
		t.Parallel()
		s := replying(t, parkJSON)
		got, err := a.nominatim(t, s, geocoding.NominatimConfig{}).Geocode(t.Context(), query("Folkets Park"))
		require.NoError(t, err)
		require.Equal(t, geocoding.Result{
			Coordinate: domain.Coordinate{Latitude: 60.68333, Longitude: 13.71667},
			Precision:  domain.PrecisionVenue,
			Source:     domain.SourceNominatim,
			Matched:    "Folkets Park, Malung, Malung-Sälens kommun, Sverige",
		}, got)
		require.Len(t, s.requests, 1)
		r := s.requests[0]
		require.Equal(t, http.MethodGet, r.Method)
		require.Equal(t, "/search", r.URL.Path)
		require.Equal(t, "accept-language=sv&countrycodes=se&format=jsonv2&limit=1&q=Folkets+Park%2C+Malung%2C+Malung-S%C3%A4len", r.URL.RawQuery)
		require.Equal(t, "DanceFinder (https://example.org/dance)", r.Header.Get("User-Agent"))
	})
	t.Run("what is not found is searched for by city, then by municipality", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusOK, []string{"", "[]", townJSON, "[]", "[]", "[]"}[n])
		})
		n := a.nominatim(t, s, geocoding.NominatimConfig{})
		got, err := n.Geocode(t.Context(), query("Logen"))
		require.NoError(t, err)
		require.Equal(t, domain.PrecisionCity, got.Precision)
		_, err = n.Geocode(t.Context(), geocoding.NewQuery("Logen", domain.Place{City: "Lillby", Municipality: "Storby", State: "Skåne"}))
		require.ErrorIs(t, err, geocoding.ErrNotFound)
		require.Equal(t, []string{
			"Logen, Malung, Malung-Sälen", "Malung, Malung-Sälen",
			"Logen, Lillby, Storby", "Lillby, Storby", "Storby",
		}, s.searched())
	})
	t.Run("ships are not searched for", func(t *testing.T) {
		t.Parallel()
		s := replying(t, parkJSON)
		_, err := a.nominatim(t, s, geocoding.NominatimConfig{}).Geocode(t.Context(), geocoding.NewQuery("M/S Vågdans", domain.Place{Municipality: "(Båt)", State: "(Båt)"}))
		require.ErrorIs(t, err, geocoding.ErrNotFound)
		require.Empty(t, s.searched())
	})
	t.Run("halls abroad are searched for in their country", func(t *testing.T) {
		t.Parallel()
		s := replying(t, parkJSON)
		n := a.nominatim(t, s, geocoding.NominatimConfig{})
		for state, codes := range map[string]string{"Norge": "no", "Åland": "ax,fi", "Tyskland": ""} {
			_, err := n.Geocode(t.Context(), geocoding.NewQuery("Huset", domain.Place{City: "Byn", Municipality: state, State: state}))
			require.NoError(t, err)
			r := s.requests[len(s.requests)-1]
			require.Equal(t, "Huset, Byn, "+state, r.URL.Query().Get("q"))
			require.Equal(t, codes, r.URL.Query().Get("countrycodes"))
		}
	})
}

func TestNominatimCache(t *testing.T) {
	t.Parallel()
	a := newApp(t)

	t.Run("a search is made once, by whatever process and spelling", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, func(n int, w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusOK, []string{"", "[]", townJSON}[n])
		})
		var first geocoding.Result
		for i, name := range []string{"Parken", "PARKEN ", "parken"} {
			got, err := a.nominatim(t, s, geocoding.NominatimConfig{}).Geocode(t.Context(), query(name))
			require.NoError(t, err)
			if i == 0 {
				first = got
			}
			require.Equal(t, first, got, "the cache gives what the server gave")
		}
		require.Len(t, s.searched(), 2, "that nothing was found is kept too")
	})
	t.Run("the halls of a city share its search", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Query().Get("q"), "Malung,") {
				reply(w, http.StatusOK, townJSON)
				return
			}
			reply(w, http.StatusOK, "[]")
		})
		n := a.nominatim(t, s, geocoding.NominatimConfig{})
		for _, name := range []string{"Parken", "Logen", "Hallen"} {
			_, err := n.Geocode(t.Context(), query(name))
			require.NoError(t, err)
		}
		require.Len(t, s.searched(), 4)
	})
	t.Run("answers grow old, and those that found nothing sooner", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Query().Get("q"), "Malung,") {
				reply(w, http.StatusOK, townJSON)
				return
			}
			reply(w, http.StatusOK, "[]")
		})
		n := a.nominatim(t, s, geocoding.NominatimConfig{FoundFor: 3 * time.Hour, NotFoundFor: time.Hour})
		for _, c := range []struct {
			age      string
			requests int
		}{{"0", 2}, {"59 minutes", 2}, {"61 minutes", 3}, {"179 minutes", 4}, {"181 minutes", 6}} {
			a.exec(`UPDATE geocoding_cache SET fetched_at = clock_timestamp() - $2::text::interval WHERE provider = $1`, strings.TrimPrefix(s.URL, "http://"), c.age)
			_, err := n.Geocode(t.Context(), query("Parken"))
			require.NoError(t, err)
			require.Len(t, s.searched(), c.requests, c.age)
		}
	})
	t.Run("another server has its own answers", func(t *testing.T) {
		t.Parallel()
		one, other := replying(t, parkJSON), replying(t, townJSON)
		for _, s := range []*server{one, other} {
			_, err := a.nominatim(t, s, geocoding.NominatimConfig{}).Geocode(t.Context(), query("Parken"))
			require.NoError(t, err)
			require.Len(t, s.searched(), 1)
		}
	})
}

func TestNominatimFailures(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	for name, c := range map[string]struct {
		status int
		header string // Retry-After
		body   string
		want   error
		pause  time.Duration // 0 if the provider wants none
		says   string
	}{
		"429 with seconds":          {status: 429, header: "120", want: geocoding.ErrRateLimited, pause: 2 * time.Minute},
		"429 with a date":           {status: 429, header: "date", want: geocoding.ErrRateLimited, pause: 30 * time.Minute},
		"429 without a word":        {status: 429, want: geocoding.ErrRateLimited, pause: time.Minute},
		"429 with nonsense":         {status: 429, header: "soon", want: geocoding.ErrRateLimited, pause: time.Minute},
		"403 is for long":           {status: 403, header: "1", want: geocoding.ErrRateLimited, pause: time.Hour},
		"503 with seconds":          {status: 503, header: "90", want: geocoding.ErrRateLimited, pause: 90 * time.Second},
		"503 without a word":        {status: 503, want: geocoding.ErrTemporary, says: "503"},
		"500":                       {status: 500, want: geocoding.ErrTemporary},
		"502 with a page":           {status: 502, body: "<html>", want: geocoding.ErrTemporary},
		"408":                       {status: 408, want: geocoding.ErrTemporary},
		"400 with a reason":         {status: 400, body: `{"error": {"message": "Nothing to search for"}}`, want: geocoding.ErrBadResponse, says: "Nothing to search for"},
		"404":                       {status: 404, want: geocoding.ErrBadResponse, says: "404"},
		"a redirection":             {status: 302, want: geocoding.ErrBadResponse},
		"204":                       {status: 204, want: geocoding.ErrBadResponse},
		"no JSON":                   {status: 200, body: "<html>", want: geocoding.ErrBadResponse, says: "not the JSON of places"},
		"half of it":                {status: 200, body: parkJSON[:100], want: geocoding.ErrBadResponse},
		"an object":                 {status: 200, body: `{"error": "no"}`, want: geocoding.ErrBadResponse},
		"a point off the Earth":     {status: 200, body: `[{"lat": "95", "lon": "13", "place_rank": 30}]`, want: geocoding.ErrBadResponse, says: "latitude"},
		"more than it should be":    {status: 200, body: "[" + strings.Repeat(" ", 1<<20) + "]", want: geocoding.ErrBadResponse, says: "1048576 bytes"},
		"a country instead of hall": {status: 200, body: `[{"lat": "60", "lon": "13", "place_rank": 4}]`, want: geocoding.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				switch c.header {
				case "":
				case "date":
					w.Header().Set("Date", "Sat, 04 Jul 2026 20:00:00 GMT")
					w.Header().Set("Retry-After", "Sat, 04 Jul 2026 20:30:00 GMT")
				default:
					w.Header().Set("Retry-After", c.header)
				}
				w.Header().Set("Location", "/elsewhere")
				if c.status == http.StatusNoContent {
					w.WriteHeader(c.status)
					return
				}
				reply(w, c.status, c.body)
			})
			n := a.nominatim(t, s, geocoding.NominatimConfig{})
			_, err := n.Geocode(t.Context(), query("Parken"))
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.says)
			if c.want == geocoding.ErrNotFound { //nolint:errorlint // it is the table's, not one that was returned
				return
			}
			require.Len(t, s.searched(), 1)

			// Another process, right after.
			_, err = a.nominatim(t, s, geocoding.NominatimConfig{}).Geocode(t.Context(), query("Parken"))
			if c.pause == 0 {
				require.Len(t, s.searched(), 2, "a failure is not cached")
				return
			}
			requireRateLimited(t, err, c.pause-30*time.Second, c.pause)
			require.Len(t, s.searched(), 1, "nobody asks in the pause")
		})
	}

	t.Run("a server that does not answer has failed, after the timeout", func(t *testing.T) {
		t.Parallel()
		release := make(chan struct{})
		s := newServer(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-release:
			}
		})
		defer close(release)
		_, err := a.nominatim(t, s, geocoding.NominatimConfig{Timeout: 20 * time.Millisecond}).Geocode(t.Context(), query("Parken"))
		require.ErrorIs(t, err, geocoding.ErrTemporary)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("a body that stops halfway has failed", func(t *testing.T) {
		t.Parallel()
		s := newServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			reply(w, http.StatusOK, "[")
		})
		_, err := a.nominatim(t, s, geocoding.NominatimConfig{}).Geocode(t.Context(), query("Parken"))
		require.ErrorIs(t, err, geocoding.ErrTemporary)
	})
	t.Run("a server that is not there has failed", func(t *testing.T) {
		t.Parallel()
		s := replying(t, parkJSON)
		n := a.nominatim(t, s, geocoding.NominatimConfig{})
		s.Close()
		_, err := n.Geocode(t.Context(), query("Parken"))
		require.ErrorIs(t, err, geocoding.ErrTemporary)
	})
	t.Run("a caller who leaves is no failure of the server", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		s := newServer(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		_, err := a.nominatim(t, s, geocoding.NominatimConfig{}).Geocode(ctx, query("Parken"))
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, geocoding.ErrTemporary)
	})
}

func TestNominatimKeepsToItsInterval(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	var mu sync.Mutex
	var times []time.Time
	s := newServer(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		times = append(times, time.Now())
		mu.Unlock()
		reply(w, http.StatusOK, parkJSON)
	})
	const interval = 50 * time.Millisecond
	var all sync.WaitGroup
	began := time.Now()
	for process := range 3 {
		n := a.nominatim(t, s, geocoding.NominatimConfig{Interval: interval})
		all.Go(func() {
			for i := range 2 {
				if _, err := n.Geocode(t.Context(), query(fmt.Sprintf("Parken %d %d", process, i))); err != nil {
					t.Errorf("geocode: %v", err)
				}
			}
		})
	}
	all.Wait()
	require.Len(t, times, 6)
	// A request may come late, and so close to the next, but never early.
	for i, at := range times {
		require.GreaterOrEqual(t, at.Sub(began), time.Duration(i)*interval)
	}
}

func TestNewNominatim(t *testing.T) {
	t.Parallel()
	ok := geocoding.NominatimConfig{Contact: "anna@example.org"}
	pool := newApp(t).pool
	_, err := geocoding.NewNominatim(pool, ok)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		spoil func(*geocoding.NominatimConfig)
		says  string
	}{
		"nobody to complain to":           {func(c *geocoding.NominatimConfig) { c.Contact = "" }, "Contact"},
		"a contact that breaks a header":  {func(c *geocoding.NominatimConfig) { c.Contact = "a\r\nX: b" }, "Contact"},
		"a contact that ends the comment": {func(c *geocoding.NominatimConfig) { c.Contact = "a) b" }, "Contact"},
		"a server without a scheme":       {func(c *geocoding.NominatimConfig) { c.BaseURL = "example.org" }, "BaseURL"},
		"another scheme":                  {func(c *geocoding.NominatimConfig) { c.BaseURL = "ftp://example.org" }, "BaseURL"},
		"no URL":                          {func(c *geocoding.NominatimConfig) { c.BaseURL = "http://[" }, "BaseURL"},
		"a query already":                 {func(c *geocoding.NominatimConfig) { c.BaseURL = "http://example.org/?a=b" }, "BaseURL"},
		"the public server, too often": {func(c *geocoding.NominatimConfig) {
			c.BaseURL, c.Interval = "https://NOMINATIM.openstreetmap.org/", 999*time.Millisecond
		}, "Interval"},
		"a negative time": {func(c *geocoding.NominatimConfig) { c.Timeout = -1 }, "Timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := ok
			c.spoil(&config)
			_, err := geocoding.NewNominatim(pool, config)
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err = geocoding.NewNominatim(nil, geocoding.NominatimConfig{BaseURL: "x", Interval: -1})
	for _, field := range []string{"no pool", "Contact", "BaseURL", "Interval"} {
		require.ErrorContains(t, err, field, "all problems at once")
	}
}
