package identity_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
)

// login serves a gate with the provider's login.
func (p *provider) login() (address string) {
	p.t.Helper()
	return serve(p.t, func(address string) *identity.Gate {
		return p.gate(func(c *identity.ProviderConfig) {
			c.ClientID, c.ClientSecret, c.RedirectURL, c.Keys = client, secret, address+"/login/callback", [][]byte{key("k")}
		})
	})
}

func TestProviderLogin(t *testing.T) {
	t.Parallel()
	t.Run("leads to the provider and back to where one was", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		address := p.login()
		browser := browser(t)
		response, err := browser.Get(address + "/login?next=/me%3Fa=b")
		require.Equal(t, "anna [catalogue]", body(t, response, err), "a session keeps the roles that the application knows")
		require.Equal(t, address+"/me?a=b", response.Request.URL.String())
		response, err = browser.PostForm(address+"/logout", nil)
		require.Equal(t, "nobody", body(t, response, err))
	})
	t.Run("does not lead elsewhere afterwards", func(t *testing.T) {
		t.Parallel()
		address := newProvider(t).login()
		response, err := browser(t).Get(address + "/login?next=//elsewhere.example")
		body(t, response, err)
		require.Equal(t, address+"/", response.Request.URL.String())
	})
	t.Run("keeps the session of whose name is long", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		subject := strings.Repeat("<", identity.MaxSubject)
		p.set(func() { p.claims["sub"], p.claims["name"] = subject, strings.Repeat(">", 255) })
		response, err := browser(t).Get(p.login() + "/login")
		require.Equal(t, subject+" [catalogue]", body(t, response, err))
	})
	t.Run("asks for a code with state, nonce and PKCE", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		asked := p.begin(t, p.login(), browser(t)).Query()
		require.Equal(t, "code", asked.Get("response_type"))
		require.Equal(t, "openid profile", asked.Get("scope"))
		require.Equal(t, "S256", asked.Get("code_challenge_method"))
		for _, parameter := range []string{"state", "nonce", "code_challenge"} {
			require.GreaterOrEqual(t, len(asked.Get(parameter)), 26, parameter)
		}
		require.Empty(t, asked.Get("client_secret"))
	})
}

// begin begins a login, and returns where the provider would be asked.
func (p *provider) begin(t *testing.T, address string, browser *http.Client) *url.URL {
	t.Helper()
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := browser.Get(address + "/login")
	body(t, response, err)
	location, err := response.Location()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(location.String(), p.url+"/authorize?"))
	return location
}

func TestProviderLoginIsRefused(t *testing.T) {
	t.Parallel()
	// change makes a good return a bad one, before the browser follows it.
	for name, change := range map[string]func(p *provider, back url.Values, browser *http.Client){
		"with another state":         func(_ *provider, back url.Values, _ *http.Client) { back.Set("state", "another") },
		"without a state":            func(_ *provider, back url.Values, _ *http.Client) { back.Del("state") },
		"without a code":             func(_ *provider, back url.Values, _ *http.Client) { back.Del("code") },
		"with another code":          func(_ *provider, back url.Values, _ *http.Client) { back.Set("code", "another") },
		"in another browser":         func(_ *provider, _ url.Values, browser *http.Client) { browser.Jar = nil },
		"from another provider":      func(_ *provider, back url.Values, _ *http.Client) { back.Set("iss", "https://elsewhere.example") },
		"when the person has denied": func(_ *provider, back url.Values, _ *http.Client) { back.Set("error", "access_denied") },
		"with the nonce of another login": func(p *provider, _ url.Values, _ *http.Client) {
			p.set(func() { p.claims["nonce"] = "another" })
		},
		"with a token for another client": func(p *provider, _ url.Values, _ *http.Client) { p.set(func() { p.claims["aud"] = audience }) },
		"with a token of another issuer": func(p *provider, _ url.Values, _ *http.Client) {
			p.set(func() { p.claims["iss"] = "https://elsewhere.example" })
		},
		"with a token that has expired": func(p *provider, _ url.Values, _ *http.Client) { p.set(func() { p.claims["exp"] = 1 }) },
		"with another PKCE challenge": func(p *provider, back url.Values, _ *http.Client) {
			p.set(func() { p.granted[back.Get("code")].Set("code_challenge", "another") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			address := p.login()
			browser := browser(t)
			location := p.begin(t, address, browser)
			response, err := browser.Get(location.String())
			body(t, response, err)
			back, err := response.Location()
			require.NoError(t, err)
			query := back.Query()
			change(p, query, browser)
			back.RawQuery = query.Encode()
			response, err = browser.Get(back.String())
			text := body(t, response, err)
			require.Equal(t, http.StatusBadRequest, response.StatusCode, text)
			require.Contains(t, text, "LOGIN_FAILED")
			require.NotContains(t, text, p.url)
			for _, cookie := range response.Cookies() {
				require.Equal(t, "login", cookie.Name)
				require.Negative(t, cookie.MaxAge)
			}
		})
	}
	t.Run("while the provider is down, and the page still answers", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		p.set(func() { p.down = true })
		address := p.login()
		response, err := browser(t).Get(address + "/login")
		require.Contains(t, body(t, response, err), "IDENTITY_UNAVAILABLE")
		require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
		response, err = browser(t).Get(address + "/me")
		require.Equal(t, "nobody", body(t, response, err))
	})
	t.Run("when its return is used twice", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		address := p.login()
		browser := browser(t)
		response, err := browser.Get(p.begin(t, address, browser).String())
		body(t, response, err)
		back, err := response.Location()
		require.NoError(t, err)
		for _, want := range []int{http.StatusSeeOther, http.StatusBadRequest} {
			response, err = browser.Get(back.String())
			body(t, response, err)
			require.Equal(t, want, response.StatusCode)
		}
	})
}
