package identity_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
)

const (
	audience = "https://dancefinder.example/graphql"
	client   = "dancefinder"
	secret   = "a secret of the client"
)

func quiet() identity.Options {
	return identity.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
}

func key(letter string) []byte { return []byte(strings.Repeat(letter, identity.MinKey)) }

// gate returns a gate for bearer tokens of the provider.
func (p *provider) gate(change ...func(*identity.ProviderConfig)) *identity.Gate {
	p.t.Helper()
	config := identity.ProviderConfig{Options: quiet(), Issuer: p.url, Audience: audience, HTTPClient: p.client()}
	for _, f := range change {
		f(&config)
	}
	gate, err := identity.NewProvider(p.t.Context(), config)
	require.NoError(p.t, err)
	return gate
}

// client is a client whose connections end with the test.
func (p *provider) client() *http.Client {
	transport := &http.Transport{}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// who answers with who is asking.
var who = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	user, ok := identity.FromContext(r.Context())
	if !ok {
		_, _ = io.WriteString(w, "nobody")
		return
	}
	slices.Sort(user.Roles)
	_, _ = fmt.Fprintf(w, "%s %v", user.Subject, user.Roles)
})

// ask sends a request with headers through the gate.
func ask(t *testing.T, gate *identity.Gate, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	gate.Middleware(who).ServeHTTP(w, r)
	return w
}

func bearer(t *testing.T, gate *identity.Gate, token string) *httptest.ResponseRecorder {
	t.Helper()
	return ask(t, gate, "Authorization", "Bearer "+token)
}

// requireRefused fails unless a token was answered with a 401 that tells nothing.
func requireRefused(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, http.StatusUnauthorized, w.Code, w.Body.String())
	require.Equal(t, `Bearer realm="dancefinder", error="invalid_token"`, w.Header().Get("WWW-Authenticate"))
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.JSONEq(t, `{"title":"Unauthorized","status":401,"code":"BAD_TOKEN","detail":"The token is not valid, or no longer. Get a new one."}`, w.Body.String())
}

// browser is a client with cookies that follows redirects.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport}
}

// serve serves a gate, with who at every other path.
func serve(t *testing.T, make func(address string) *identity.Gate) (address string) {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewUnstartedServer(mux)
	address = "http://" + server.Listener.Addr().String()
	gate := make(address)
	gate.Register(mux)
	mux.Handle("/", who)
	server.Config.Handler = gate.Middleware(mux)
	server.Start()
	t.Cleanup(server.Close)
	return address
}

func body(t *testing.T, response *http.Response, err error) string {
	t.Helper()
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(text)
}
