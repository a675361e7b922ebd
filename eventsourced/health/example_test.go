package health_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/health"
)

// A program says how it is to who restarts it and to who sends it requests.
func Example() {
	pool := ping(reachable)                                      // a *pgxpool.Pool
	status := func(context.Context) ([]consumer.Status, error) { // a manager's Status, and others'
		return []consumer.Status{{Kind: consumer.KindProjection, Name: "accounts", State: consumer.Live, Node: "a"}}, nil
	}
	h, err := health.New(pool, health.Config{Status: status})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", h.Live())
	mux.Handle("GET /readyz", h.Ready())

	show := func(path string) {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept", "text/plain")
		mux.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	show("/healthz")
	show("/readyz")
	h.Drain() // at the beginning of an orderly end: requests go elsewhere, those under way are served
	show("/readyz")
	// Output:
	// 200 alive
	// projection accounts: ok (live, lag 0.0s)
	// 200 ready
	// 503 draining
}
