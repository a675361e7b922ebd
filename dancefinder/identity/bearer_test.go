package identity_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
)

func TestBearer(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	gate := p.gate()
	require.NoError(t, gate.Ready())
	t.Run("a good token is its subject with the roles", func(t *testing.T) {
		t.Parallel()
		for _, scheme := range []string{"Bearer ", "bearer ", "BEARER  "} {
			w := ask(t, gate, "Authorization", scheme+p.sign(p.good()))
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, "anna [catalogue other]", w.Body.String())
			require.Equal(t, []string{"Authorization", "Cookie"}, w.Header().Values("Vary"))
		}
	})
	t.Run("none is nobody, who may pass", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "nobody", ask(t, gate).Body.String())
	})
	t.Run("anything else is refused", func(t *testing.T) {
		t.Parallel()
		good := p.sign(p.good())
		for name, value := range map[string]string{
			"an empty one":                  "Bearer ",
			"no scheme":                     good,
			"another scheme":                "Basic YW5uYTphbm5h",
			"no token":                      "Bearer anna",
			"a cut one":                     "Bearer " + good[:len(good)-2],
			"two":                           "Bearer " + good + " " + good,
			"one that is longer than 8 KiB": "Bearer " + strings.Repeat("a", 9000),
			"its JSON form": `Bearer {"payload":"` + strings.Split(good, ".")[1] + `","protected":"` + strings.Split(good, ".")[0] +
				`","signature":"` + strings.Split(good, ".")[2] + `"}`,
		} {
			w := ask(t, gate, "Authorization", value)
			require.Equal(t, http.StatusUnauthorized, w.Code, name)
			requireRefused(t, w)
		}
		requireRefused(t, ask(t, gate, "Authorization", "Bearer "+good, "Authorization", "Bearer "+good))
	})
}

// Each of these differs from a good token in one thing.
func TestBearerClaims(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	gate := p.gate()
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	for name, tt := range map[string]struct {
		claim string
		value any // nil removes it
		good  bool
	}{
		"another issuer":                        {"iss", "https://elsewhere.example", false},
		"the issuer with a slash":               {"iss", p.url + "/", false},
		"no issuer":                             {"iss", nil, false},
		"another audience":                      {"aud", "another", false},
		"the client as audience":                {"aud", client, false},
		"no audience":                           {"aud", nil, false},
		"one of several audiences":              {"aud", []string{"another", audience}, true},
		"expired":                               {"exp", in(-2 * time.Minute), false},
		"expired within the clocks' skew":       {"exp", in(-30 * time.Second), true},
		"no expiry":                             {"exp", nil, false},
		"not yet valid":                         {"nbf", in(2 * time.Minute), false},
		"not yet valid within the clocks' skew": {"nbf", in(30 * time.Second), true},
		"no subject":                            {"sub", nil, false},
		"an empty subject":                      {"sub", " ", false},
		"a subject of 255 bytes":                {"sub", strings.Repeat("a", 255), true},
		"a subject of 256 bytes":                {"sub", strings.Repeat("a", 256), false},
		"a subject with a line break":           {"sub", "anna\nb", false},
		"a subject of the demo login":           {"sub", identity.DemoPrefix + "anna", false},
		"roles that are none":                   {"roles", 7, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims := p.good()
			claims[tt.claim] = tt.value
			if tt.value == nil {
				delete(claims, tt.claim)
			}
			w := bearer(t, gate, p.sign(claims))
			if tt.good {
				require.Equal(t, http.StatusOK, w.Code, w.Body.String())
				return
			}
			requireRefused(t, w)
		})
	}
}

func TestBearerSignatures(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	gate := p.gate()
	other := ecKey(t)
	claims := p.good()
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	require.NoError(t, err)
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	asJWK, err := json.Marshal(jose.JSONWebKey{Key: rsaKey().Public()})
	require.NoError(t, err)
	elsewhere := newProvider(t)
	elsewhere.set(func() { elsewhere.keys = []jose.JSONWebKey{{Key: ecKey(t), KeyID: "first", Algorithm: "ES256"}} })
	good := strings.Split(p.sign(claims), ".")
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: other}, &jose.SignerOptions{EmbedJWK: true})
	require.NoError(t, err)
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	signed, err := embedded.Sign(payload)
	require.NoError(t, err)
	withKey, err := signed.CompactSerialize()
	require.NoError(t, err)
	admin := p.good()
	admin["sub"] = "berit"

	for name, token := range map[string]string{
		"alg none":                          unsigned(t, map[string]any{"alg": "none"}, claims, ""),
		"alg None, with a signature":        unsigned(t, map[string]any{"alg": "None", "kid": "first"}, claims, good[2]),
		"no alg":                            unsigned(t, map[string]any{"kid": "first"}, claims, good[2]),
		"no signature":                      good[0] + "." + good[1] + ".",
		"HS256 with the public key in PEM":  sign(t, jose.HS256, asPEM, claims),
		"HS256 with the public key in DER":  sign(t, jose.HS256, der, claims),
		"HS256 with the public key in JSON": sign(t, jose.HS256, asJWK, claims),
		"RS512, which is not pinned":        sign(t, jose.RS512, rsaKey(), claims),
		"PS256, which is not pinned":        sign(t, jose.PS256, rsaKey(), claims),
		"a key of another issuer":           elsewhere.sign(claims),
		"a key of nobody":                   sign(t, jose.ES256, other, claims),
		"a key that it brings along":        withKey,
		"a key that it says where to get": unsigned(t, map[string]any{"alg": "RS256", "kid": "second", "jku": elsewhere.url + "/keys"},
			claims, good[2]),
		"other claims under the signature": unsigned(t, map[string]any{"alg": "RS256", "kid": "first"}, admin, good[2]),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireRefused(t, bearer(t, gate, token))
		})
	}
	t.Run("nobody was asked where a token says", func(t *testing.T) {
		t.Parallel()
		require.Zero(t, elsewhere.times("/keys"))
	})
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		claims, path string
		want         []string
	}{
		"a list":                     {`{"roles":["a","b"]}`, "roles", []string{"a", "b"}},
		"a string":                   {`{"scope":"a  b"}`, "scope", []string{"a", "b"}},
		"a path":                     {`{"realm_access":{"roles":["a"]}}`, "realm_access.roles", []string{"a"}},
		"a longer path":              {`{"resource_access":{"app":{"roles":["a"]}}}`, "resource_access.app.roles", []string{"a"}},
		"a name with dots":           {`{"https://example.com/roles":["a"]}`, "https://example.com/roles", []string{"a"}},
		"elements that are no roles": {`{"roles":["a",1,null,{"b":1}]}`, "roles", []string{"a"}},
		"nothing there":              {`{}`, "roles", nil},
		"nothing on the way":         {`{"realm_access":7}`, "realm_access.roles", nil},
		"an object":                  {`{"roles":{"a":true}}`, "roles", nil},
		"null":                       {`{"roles":null}`, "roles", nil},
		"a name that stops short":    {`{"realm_access":{"roles":["a"]}}`, "realm_access", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var claims map[string]any
			require.NoError(t, json.Unmarshal([]byte(tt.claims), &claims))
			require.Equal(t, tt.want, identity.RolesIn(claims, tt.path))
		})
	}
	t.Run("are taken from the claim that is configured", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		gate := p.gate(func(c *identity.ProviderConfig) { c.RolesClaim = "realm_access.roles" })
		claims := p.good()
		claims["realm_access"] = map[string]any{"roles": []string{"operator"}}
		require.Equal(t, "anna [operator]", bearer(t, gate, p.sign(claims)).Body.String())
	})
}
