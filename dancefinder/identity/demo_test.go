package identity_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
)

func demo(t *testing.T, config identity.DemoConfig) *identity.Gate {
	t.Helper()
	config.Options = quiet()
	gate, err := identity.NewDemo("127.0.0.1:8080", config)
	require.NoError(t, err)
	return gate
}

func TestDemoStaysOnLoopback(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:8080", "127.1.2.3:0", "[::1]:8080", "localhost:8080", "[::ffff:127.0.0.1]:80"} {
		t.Run(address+" is loopback", func(t *testing.T) {
			t.Parallel()
			_, err := identity.NewDemo(address, identity.DemoConfig{})
			require.NoError(t, err)
		})
	}
	for _, address := range []string{
		"", ":8080", "8080", "0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080", "[fe80::1%eth0]:8080", "[::ffff:192.0.2.1]:80",
		"*:8080", "localhost", "no-such-name.invalid:8080",
	} {
		t.Run(address+" is not, and needs to be told twice", func(t *testing.T) {
			t.Parallel()
			_, err := identity.NewDemo(address, identity.DemoConfig{})
			require.ErrorIs(t, err, identity.ErrNotLoopback)
			_, err = identity.NewDemo(address, identity.DemoConfig{Anywhere: true})
			require.NoError(t, err)
		})
	}
}

func TestDemoLogin(t *testing.T) {
	t.Parallel()
	address := serve(t, func(string) *identity.Gate { return demo(t, identity.DemoConfig{}) })
	t.Run("a person is who they say, until they log out", func(t *testing.T) {
		t.Parallel()
		browser := browser(t)
		get := func() string {
			response, err := browser.Get(address + "/me")
			return body(t, response, err)
		}
		post := func(path string, form url.Values) string {
			response, err := browser.PostForm(address+path, form)
			return body(t, response, err)
		}
		require.Equal(t, "nobody", get())
		require.Equal(t, "demo:åsa []", post("/login", url.Values{"name": {"  A\u030asa "}, "next": {"/me"}}), "after a redirect")
		require.Equal(t, "demo:åsa []", get())
		require.Equal(t, "demo:anna [catalogue operator]", post("/login", url.Values{"name": {"Anna"}, "role": {"operator", "catalogue"}}))
		require.Equal(t, "nobody", post("/logout", nil))
		require.Equal(t, "nobody", get())
	})
	t.Run("a program gets a token for it", func(t *testing.T) {
		t.Parallel()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/login", strings.NewReader("name=Anna&role=catalogue"))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "application/json")
		response, err := browser(t).Do(r)
		var answer struct {
			Token, Subject string
			Roles          []string
			Expires        time.Time
		}
		require.NoError(t, json.Unmarshal([]byte(body(t, response, err)), &answer))
		require.Equal(t, "demo:anna", answer.Subject)
		require.Equal(t, []string{identity.RoleCatalogue}, answer.Roles)
		require.WithinDuration(t, time.Now().Add(identity.DefaultSession), answer.Expires, time.Minute)
		r, err = http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/me", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+answer.Token)
		response, err = browser(t).Do(r)
		require.Equal(t, "demo:anna [catalogue]", body(t, response, err))
	})
	for name, form := range map[string]string{
		"no name":                    "role=catalogue",
		"a name of blanks":           "name=%20%20",
		"a name of 65 characters":    "name=" + strings.Repeat("a", 65),
		"a name with a line break":   "name=a%0Ab",
		"a name that is not text":    "name=a%ff",
		"a name that turns the text": "name=a%E2%80%AEb",
		"a role that nobody knows":   "name=anna&role=root",
		"a body without end":         "name=" + strings.Repeat("a", 20<<10),
		"a name in the address only": "",
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			response, err := browser(t).Post(address+"/login?name=anna", "application/x-www-form-urlencoded", strings.NewReader(form))
			text := body(t, response, err)
			require.Equal(t, http.StatusBadRequest, response.StatusCode, text)
			require.Empty(t, response.Cookies())
		})
	}
	t.Run("a login by a link is refused", func(t *testing.T) {
		t.Parallel()
		response, err := browser(t).Get(address + "/login?name=anna")
		require.Equal(t, "nobody", body(t, response, err), "the page's own, where it has one")
	})
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	gate := demo(t, identity.DemoConfig{Keys: [][]byte{key("k")}})
	good, err := gate.DemoToken("Anna", identity.RoleCatalogue)
	require.NoError(t, err)
	asked := func(gate *identity.Gate, token string) (string, string) {
		w := ask(t, gate, "Cookie", "session="+token)
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String(), w.Header().Get("Set-Cookie")
	}
	t.Run("is whose it is, under the old key too", func(t *testing.T) {
		t.Parallel()
		for _, gate := range []*identity.Gate{gate, demo(t, identity.DemoConfig{Keys: [][]byte{key("n"), key("k")}})} {
			who, cookie := asked(gate, good)
			require.Equal(t, "demo:anna [catalogue]", who)
			require.Empty(t, cookie)
		}
	})
	t.Run("is nobody's and taken away otherwise", func(t *testing.T) {
		t.Parallel()
		provider := newProvider(t)
		login := provider.gate(func(c *identity.ProviderConfig) {
			c.ClientID, c.RedirectURL, c.Keys = client, "http://127.0.0.1/login/callback", [][]byte{key("k")}
		})
		past := demo(t, identity.DemoConfig{Keys: [][]byte{key("k")}, Session: time.Second})
		identity.SetClock(past, func() time.Time { return time.Now().Add(-time.Minute) })
		expired, err := past.DemoToken("Anna")
		require.NoError(t, err)
		payload, signature, _ := strings.Cut(good, ".")
		operator, err := gate.DemoToken("Anna", identity.RoleOperator)
		require.NoError(t, err)
		other, _, _ := strings.Cut(operator, ".")
		for name, c := range map[string]struct {
			gate  *identity.Gate
			token string
		}{
			"expired":                {gate, expired},
			"signed by another key":  {demo(t, identity.DemoConfig{Keys: [][]byte{key("x")}}), good},
			"signed by a random key": {demo(t, identity.DemoConfig{}), good},
			"of the demo, at a gate of a provider with the same key": {login, good},
			"with other content":  {gate, other + "." + signature},
			"without a signature": {gate, payload},
			"with an empty one":   {gate, payload + "."},
			"cut":                 {gate, good[:len(good)-1]},
			"nothing":             {gate, ""},
			"garbage":             {gate, strings.Repeat("a.", 3000)},
		} {
			who, cookie := asked(c.gate, c.token)
			require.Equal(t, "nobody", who, name)
			require.Equal(t, "session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax", cookie, name)
		}
	})
	t.Run("does not count beside a token", func(t *testing.T) {
		t.Parallel()
		requireRefused(t, ask(t, gate, "Cookie", "session="+good, "Authorization", "Bearer wrong"))
	})
	t.Run("is for HTTPS and this host only, where there is HTTPS", func(t *testing.T) {
		t.Parallel()
		gate := demo(t, identity.DemoConfig{Secure: true, Session: time.Hour})
		mux := http.NewServeMux()
		gate.Register(mux)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader("name=anna"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		require.Regexp(t, `^__Host-session=[\w.-]+; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax$`, w.Header().Get("Set-Cookie"))
	})
}

func TestDemoToken(t *testing.T) {
	t.Parallel()
	gate := demo(t, identity.DemoConfig{})
	_, err := gate.DemoToken("")
	require.ErrorIs(t, err, identity.ErrName)
	_, err = gate.DemoToken("anna", "root")
	require.ErrorIs(t, err, identity.ErrRole)
	_, err = identity.Anonymous(quiet()).DemoToken("anna")
	require.ErrorIs(t, err, identity.ErrNoDemo)
	_, err = identity.NewDemo("127.0.0.1:1", identity.DemoConfig{Keys: [][]byte{[]byte("short")}})
	require.ErrorContains(t, err, "Keys[0] has 5 bytes")
}

func TestAnonymous(t *testing.T) {
	t.Parallel()
	gate := identity.Anonymous(quiet())
	require.Equal(t, identity.LoginNone, gate.Login())
	require.NoError(t, gate.Ready())
	require.Equal(t, "nobody", ask(t, gate, "Cookie", "session=a").Body.String())
	requireRefused(t, bearer(t, gate, "a.b.c"))
	mux := http.NewServeMux()
	gate.Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", nil))
	require.Equal(t, http.StatusNotFound, w.Code)
}

func TestRedirectsStayHere(t *testing.T) {
	t.Parallel()
	for _, next := range []string{"/", "/?q=a&b=c", "/dances?from=2026-07-01#top", "/a%20b", "/?next=//elsewhere"} {
		require.Equal(t, next, identity.LocalPath(next))
	}
	require.Equal(t, "/%C3%A5", identity.LocalPath("/å"))
	for _, next := range []string{
		"", "a", "//elsewhere.example", `/\elsewhere.example`, `\\elsewhere.example`, "https://elsewhere.example", "https:elsewhere.example",
		"javascript:alert(1)", "/\t/elsewhere.example", "/\n/elsewhere.example", "\t//elsewhere.example", " //elsewhere.example",
		"///elsewhere.example", "/.//elsewhere.example", "/a/..//elsewhere.example", "/%5celsewhere.example", "/%2f/elsewhere.example",
		"/a\r\nSet-Cookie: session=x", "/\x00", "/" + strings.Repeat("a", 3000), "/a\xff", "%2f%2felsewhere.example",
	} {
		require.Equal(t, "/", identity.LocalPath(next), next)
	}
}
