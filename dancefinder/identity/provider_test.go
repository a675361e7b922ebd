package identity_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
)

func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	gate := p.gate()
	var clock atomic.Int64
	identity.SetClock(gate, func() time.Time { return time.Now().Add(time.Duration(clock.Load())) })
	first := p.sign(p.good())
	require.Equal(t, http.StatusOK, bearer(t, gate, first).Code)
	require.Equal(t, 1, p.times("/keys"))

	second := ecKey(t)
	p.set(func() {
		p.keys = append(p.keys, jose.JSONWebKey{Key: second, KeyID: thumbprint(t, second.Public()), Algorithm: "ES256"})
	})
	clock.Add(int64(11 * time.Second))
	require.Equal(t, http.StatusOK, bearer(t, gate, p.sign(p.good())).Code, "a key that is not known is looked for")
	require.Equal(t, http.StatusOK, bearer(t, gate, first).Code, "the old one counts as well")
	require.Equal(t, 2, p.times("/keys"))

	p.set(func() { p.keys = p.keys[1:] })
	clock.Add(int64(16 * time.Minute))
	require.Equal(t, http.StatusOK, bearer(t, gate, p.sign(p.good())).Code)
	requireRefused(t, bearer(t, gate, first)) // a key that was taken back is forgotten

	p.set(func() { p.down = true })
	clock.Add(int64(40 * time.Minute))
	require.Equal(t, http.StatusOK, bearer(t, gate, p.sign(p.good())).Code, "the keys hold for a while when the provider is down")
	clock.Add(int64(24 * time.Hour))
	claims := p.good()
	claims["exp"] = time.Now().Add(72 * time.Hour).Unix()
	require.Equal(t, http.StatusServiceUnavailable, bearer(t, gate, p.sign(claims)).Code, "and not for ever")
}

func TestGarbageDoesNotReachTheProvider(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	gate := p.gate()
	good := p.sign(p.good())
	garbage := ecKey(t)
	var group sync.WaitGroup
	for i := range 200 {
		token := sign(t, jose.ES256, jose.JSONWebKey{Key: garbage, KeyID: fmt.Sprint("garbage-", i)}, p.good())
		group.Go(func() {
			if w := bearer(t, gate, token); w.Code != http.StatusUnauthorized {
				t.Errorf("garbage is answered with %d", w.Code)
			}
		})
	}
	group.Wait()
	require.Equal(t, http.StatusOK, bearer(t, gate, good).Code)
	require.Equal(t, 1, p.times("/keys"))
}

func TestProviderThatIsDown(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.set(func() { p.down = true })
	gate := p.gate()
	var clock atomic.Int64
	identity.SetClock(gate, func() time.Time { return time.Now().Add(time.Duration(clock.Load())) })
	require.ErrorIs(t, gate.Ready(), identity.ErrUnavailable)
	require.Equal(t, "nobody", ask(t, gate).Body.String(), "who has no token reads")
	for range 20 {
		w := bearer(t, gate, p.sign(p.good()))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Equal(t, "5", w.Header().Get("Retry-After"))
		require.Contains(t, w.Body.String(), "IDENTITY_UNAVAILABLE")
		require.NotContains(t, w.Body.String(), p.url)
	}
	require.Equal(t, 1, p.times("/.well-known/openid-configuration"), "it is not asked for each token")

	p.set(func() { p.down = false })
	clock.Add(int64(6 * time.Second))
	require.Equal(t, http.StatusOK, bearer(t, gate, p.sign(p.good())).Code)
	require.NoError(t, gate.Ready())
}

func TestProviderConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := identity.NewProvider(t.Context(), identity.ProviderConfig{ClientID: client})
	for _, problem := range []string{"Issuer is not a URL", "Audience is empty", "RedirectURL is not a URL", "Keys is empty"} {
		require.ErrorContains(t, err, problem)
	}
	_, err = identity.NewProvider(t.Context(), identity.ProviderConfig{Issuer: "http://login.example", Audience: audience})
	require.ErrorContains(t, err, "Issuer has to be https")
	_, err = identity.NewProvider(t.Context(), identity.ProviderConfig{
		Issuer: "https://login.example", Audience: audience, ClientID: client, RedirectURL: "https://dancefinder.example/", Keys: [][]byte{key("k")},
	})
	require.ErrorContains(t, err, "has to end with /login/callback")

	p := newProvider(t)
	_, err = identity.NewProvider(t.Context(), identity.ProviderConfig{
		Options: quiet(), Issuer: p.url + "/", Audience: audience, HTTPClient: p.client(),
	})
	require.ErrorContains(t, err, "did not match the issuer")
}
