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
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
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
