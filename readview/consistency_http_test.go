package readview_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview"
)

func TestConsistencyHandler(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances(), audits())
	b.start(router)
	require.NoError(t, manager.Pause(t.Context(), "audits"))
	c := b.consistency(manager, b.pool, time.Minute)
	// The path names the projection, and the answer is what the handler knows of the wait.
	handler := c.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result, waited := readview.ConsistencyFromContext(r.Context())
		_, _ = fmt.Fprint(w, waited, " ", result.Satisfied, " ", b.int(`SELECT count(*) FROM journal`))
	}), func(r *http.Request) []string { return []string{r.URL.Path[1:]} })
	token := c.Token(b.deposit(1))

	for name, tt := range map[string]struct {
		path    string
		headers http.Header
		status  int
		says    string // the answer's ConsistencyHeader
		body    string // or its code
	}{
		"a request with a token sees what was written": {
			"/balances", http.Header{readview.TokenHeader: {token}}, 200, "satisfied", "true true 1"},
		"a strict one, too": {
			"/balances", http.Header{readview.TokenHeader: {token}, readview.ConsistencyHeader: {"Strict"}}, 200, "satisfied", "true true 1"},
		"a stale answer says so": {
			"/audits", http.Header{readview.TokenHeader: {token}}, 200, "stale", "true false 1"},
		"a strict request is not answered stale": {
			"/audits", http.Header{readview.TokenHeader: {token}, readview.ConsistencyHeader: {"strict"}}, 503, "stale", "CONSISTENCY_TIMEOUT"},
		"a forged token is refused": {
			"/balances", http.Header{readview.TokenHeader: {token[:75] + "!"}}, 400, "", "BAD_CONSISTENCY_TOKEN"},
		"two tokens are none": {
			"/balances", http.Header{readview.TokenHeader: {token, token}}, 400, "", "BAD_CONSISTENCY_TOKEN"},
		"a mode that nobody knows is refused": {
			"/balances", http.Header{readview.TokenHeader: {token}, readview.ConsistencyHeader: {"strong"}}, 400, "", "BAD_CONSISTENCY"},
		"a projection that nobody knows is a fault that stays inside": {
			"/nobody", http.Header{readview.TokenHeader: {token}}, 503, "", "CONSISTENCY_UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.path, nil)
			r.Header = tt.headers
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.says, w.Header().Get(readview.ConsistencyHeader))
			require.Equal(t, []string{readview.TokenHeader, readview.ConsistencyHeader}, w.Header().Values("Vary"))
			if tt.status == 200 {
				require.Equal(t, tt.body, w.Body.String())
				return
			}
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			var problem struct {
				Code        string
				Status      int
				Projections []struct{ Name, State string }
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
			require.Equal(t, tt.body, problem.Code)
			require.Equal(t, tt.status, problem.Status)
			require.NotContains(t, w.Body.String(), "nobody")
			if tt.status == 503 {
				require.Equal(t, "1", w.Header().Get("Retry-After"))
			}
			if tt.body == "CONSISTENCY_TIMEOUT" {
				require.Equal(t, "audits", problem.Projections[0].Name)
				require.Equal(t, "paused", problem.Projections[0].State)
			}
		})
	}
	t.Run("a request without a token does not wait", func(t *testing.T) {
		t.Parallel()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/audits", nil))
		require.Contains(t, w.Body.String(), "false false")
		require.Empty(t, w.Header().Get(readview.ConsistencyHeader))
	})
	t.Run("without names, all are waited for", func(t *testing.T) {
		t.Parallel()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set(readview.TokenHeader, token)
		w := httptest.NewRecorder()
		c.Handler(http.NotFoundHandler(), nil).ServeHTTP(w, r)
		require.Equal(t, readview.ConsistencyStale, w.Header().Get(readview.ConsistencyHeader))
	})
}
