package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/stretchr/testify/require"
)

// served is a site that a command serves.
type served struct {
	t *testing.T
	*process
	url string
}

func startServe(t *testing.T, d *database, args ...string) served {
	t.Helper()
	return servedBy(t, start(t, d.args(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...))...))
}

// servedBy waits until a command serves.
func servedBy(t *testing.T, p *process) served {
	t.Helper()
	said := p.await(p.err, "serves the page", patience)
	found := regexp.MustCompile(`url=(http://127\.0\.0\.1:\d+)`).FindStringSubmatch(said)
	require.NotNil(t, found, said)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return served{t, p, found[1]}
}

func (s served) send(method, path, body string, headers ...string) (int, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return response.StatusCode, string(text)
}

// login returns the header of somebody with these roles.
func (s served) login(name string, roles ...string) []string {
	s.t.Helper()
	code, text := s.send("POST", "/login", url.Values{"name": {name}, "role": roles}.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Accept", "application/json")
	require.Equal(s.t, http.StatusOK, code, text)
	var answer struct{ Token string }
	require.NoError(s.t, json.Unmarshal([]byte(text), &answer))
	return []string{"Authorization", "Bearer " + answer.Token}
}

// graphql returns the data of an answer.
func (s served) graphql(query string, headers ...string) string {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	require.NoError(s.t, err)
	code, text := s.send("POST", "/graphql", string(body), append(headers, "Content-Type", "application/json")...)
	require.Equal(s.t, http.StatusOK, code, text)
	require.NotContains(s.t, text, `"errors":[{"message"`)
	return text
}

// TestServe has a band created by one process's GraphQL, a listing imported by another
// process, and both seen on the page and by GraphQL.
func TestServe(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	s := startServe(t, d, "--demo-login", "--development")
	code, text := s.send("GET", "/readyz", "")
	require.Equal(t, http.StatusOK, code, text)
	code, _ = s.send("GET", "/graphiql", "")
	require.Equal(t, http.StatusOK, code)

	editor := s.login("anna", "catalogue")
	text = s.graphql(`mutation { createBand(name: "Tallmoz") { band { id } consistencyToken errors { code } } }`, editor...)
	token := regexp.MustCompile(`"consistencyToken":"([^"]+)"`).FindStringSubmatch(text)
	require.NotNil(t, token, text)
	text = s.graphql(`{ bands(search: "tallmoz") { nodes { name } } }`, "Consistency-Token", token[1])
	require.Contains(t, text, `"name":"Tallmoz"`)

	d.imports(july)
	require.NoError(t, d.app().project(t))
	text = s.graphql(`{ events(filter: {from: "2026-07-01", to: "2026-07-31"}) { totalCount nodes { band { name } } } }`)
	require.Contains(t, text, `"totalCount":3`, text)
	code, text = s.send("GET", "/?period=egna&fran=2026-07-01&till=2026-07-31", "")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, text, "Parken")

	require.Equal(t, operate.ExitDone, s.stop(), s.err)
	require.NotContains(t, s.err.String(), "level=ERROR")
	require.NotContains(t, s.err.String(), "level=WARN")
}

func TestServeTellsSubscribersThatItStops(t *testing.T) {
	t.Parallel()
	s := startServe(t, newTables(t), "--demo-login")
	request, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/graphql",
		strings.NewReader(`{"query": "subscription { eventsChanged(filter: {from: \"2026-07-01\", to: \"2026-07-31\"}) { kind } }"}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, operate.ExitDone, s.stop(), s.err)
	said, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Contains(t, string(said), `"SERVER_STOPPING"`)
	require.Contains(t, string(said), "event: complete")
}

// What is saved at a node that only serves is projected by another one, and read at
// once all the same.
func TestServeWithoutProjecting(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	projector := start(t, d.args([]string{"projector"})...)
	projector.await(projector.err, "projector runs", patience)
	s := startServe(t, d, "--demo-login", "--web-only")
	code, _ := s.send("GET", "/graphiql", "")
	require.Equal(t, http.StatusNotFound, code, "not in production")
	anna := s.login("anna")
	for i := range 20 {
		place := fmt.Sprintf("Hemma %d", i)
		text := s.graphql(fmt.Sprintf(`mutation { ignoreCity(city: %q) { consistencyToken errors { code } } }`, place), anna...)
		token := regexp.MustCompile(`"consistencyToken":"([^"]+)"`).FindStringSubmatch(text)
		require.NotNil(t, token, text)
		text = s.graphql(`{ me { ignoredCities } }`, append(anna, "Consistency-Token", token[1])...)
		require.Contains(t, text, place)
	}
	require.Equal(t, operate.ExitDone, s.stop(), s.err)
	require.Equal(t, operate.ExitDone, projector.stop(), projector.err)
}

// Not parallel: it changes the environment.
func TestServeIsMisconfigured(t *testing.T) {
	for _, name := range []string{"DANCEFINDER_KEYS", "OIDC_ISSUER", "OIDC_AUDIENCE", "OIDC_CLIENT_ID", "PUBLIC_URL", "LISTEN"} {
		t.Setenv(name, "")
	}
	for line, says := range map[string]string{
		"":                                     "no keys: set DANCEFINDER_KEYS",
		"--demo-login --oidc-issuer http://a":  "--demo-login and --oidc-issuer: choose one",
		"--demo-login-anywhere":                "goes with --demo-login",
		"--oidc-client-id x":                   "--oidc-client-id needs --oidc-issuer",
		"--oidc-issuer http://a":               "--oidc-issuer needs --oidc-audience",
		"--demo-login --public-url dans":       `--public-url "dans": want a scheme and a host`,
		"--demo-login --public-url http://a/b": "want a scheme and a host",
	} {
		got := dancefinder(t, append([]string{"serve", "--database-url", nowhere}, strings.Fields(line)...)...)
		require.Equal(t, operate.ExitUsage, got.code, line)
		require.Contains(t, got.err, says, line)
	}
	t.Setenv("DANCEFINDER_KEYS", "c2hvcnQ=")
	got := dancefinder(t, "serve", "--database-url", nowhere)
	require.Equal(t, operate.ExitUsage, got.code)
	require.Contains(t, got.err, "DANCEFINDER_KEYS: key 1 is not base64 of 32 bytes")
	require.NotContains(t, got.err, "c2hvcnQ=")

	t.Setenv("DANCEFINDER_KEYS", "")
	d := newTables(t)
	got = dancefinder(t, d.args([]string{"serve", "--demo-login", "--listen", "0.0.0.0:0"})...)
	require.Equal(t, operate.ExitUsage, got.code)
	require.Contains(t, got.err, "--demo-login-anywhere")
	got = dancefinder(t, d.args([]string{"serve", "--demo-login", "--listen", "nonsense"})...)
	require.Equal(t, operate.ExitUsage, got.code)
	require.Contains(t, got.err, "--listen")
}
