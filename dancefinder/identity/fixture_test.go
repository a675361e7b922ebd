package identity_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
)

const (
	audience = "https://dancefinder.example/graphql"
	client   = "dancefinder"
	secret   = "a secret of the client"
)

// A key of RSA takes a while to make.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// provider is a small OpenID provider.
type provider struct {
	t   *testing.T
	url string

	mu      sync.Mutex
	keys    []jose.JSONWebKey // private
	down    bool
	asked   map[string]int        // by path
	granted map[string]url.Values // the request for authorization, by its code
	claims  map[string]any        // of the ID tokens that it gives out
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t, asked: map[string]int{}, granted: map[string]url.Values{}, claims: map[string]any{}}
	p.keys = []jose.JSONWebKey{{Key: rsaKey(), KeyID: "first", Algorithm: "RS256", Use: "sig"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.answer(w, map[string]any{
			"issuer": p.url, "jwks_uri": p.url + "/keys",
			"authorization_endpoint": p.url + "/authorize", "token_endpoint": p.url + "/token",
			"id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256"}, // whatever it says
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, p.published()) })
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked[r.URL.Path]++
		down := p.down
		p.mu.Unlock()
		if down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *provider) answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (p *provider) published() map[string]any {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := []any{map[string]any{"kty": "of the future", "kid": "first"}} // passed over
	for _, key := range p.keys {
		keys = append(keys, key.Public())
	}
	return map[string]any{"keys": keys}
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) times(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// authorize logs the person in without asking, and sends them back.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	code := fmt.Sprint("code-", query.Get("state"))
	p.set(func() { p.granted[code] = query })
	http.Redirect(w, r, query.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {query.Get("state")}, "iss": {p.url}}.Encode(), http.StatusFound)
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	p.mu.Lock()
	begun, ok := p.granted[r.FormValue("code")]
	delete(p.granted, r.FormValue("code"))
	extra := maps.Clone(p.claims)
	p.mu.Unlock()
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || user != client || password != url.QueryEscape(secret) || begun.Get("code_challenge_method") != "S256" ||
		base64.RawURLEncoding.EncodeToString(challenge[:]) != begun.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]any{"error": "invalid_grant"})
		return
	}
	claims := p.good()
	claims["aud"], claims["nonce"] = client, begun.Get("nonce")
	maps.Copy(claims, extra)
	p.answer(w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": p.sign(claims)})
}

// good are claims that are accepted.
func (p *provider) good() map[string]any {
	return map[string]any{
		"iss": p.url, "aud": audience, "sub": "anna", "name": "Anna A.",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"roles": []string{"catalogue", "other"},
	}
}

// sign signs with the newest key.
func (p *provider) sign(claims map[string]any) string {
	p.mu.Lock()
	key := p.keys[len(p.keys)-1]
	p.mu.Unlock()
	return sign(p.t, jose.SignatureAlgorithm(key.Algorithm), key, claims)
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := signer.Sign(payload)
	require.NoError(t, err)
	token, err := signed.CompactSerialize()
	require.NoError(t, err)
	return token
}

// unsigned is a token with a header of one's choice and any signature.
func unsigned(t *testing.T, header, claims map[string]any, signature string) string {
	t.Helper()
	var parts []string
	for _, part := range []map[string]any{header, claims} {
		encoded, err := json.Marshal(part)
		require.NoError(t, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(encoded))
	}
	return strings.Join(append(parts, signature), ".")
}

func thumbprint(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString(sum)
}

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
