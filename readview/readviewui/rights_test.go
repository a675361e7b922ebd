package readviewui_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: func(r *http.Request, action readviewui.Action) (string, error) {
		if action == readviewui.Reset || action == readviewui.Skip {
			return "", fmt.Errorf("the secret reason")
		}
		return operators(r, action)
	}})
	at := s.deposit("anna", 500)
	s.until("accounts", failed)
	before := len(s.log())

	t.Run("a reader sees no button, and is refused all the same", func(t *testing.T) {
		_, text := s.send("GET", accounts, nil)
		require.NotContains(t, text, "<button")
		require.NotContains(t, text, "data-ask")
		require.Contains(t, text, "You can look, not act.")
		for _, action := range []string{"pause", "resume", "reset", "rebuild", "swap", "rollback", "verify", "explain", "dry-run", "skip", "park", "retry", "end-session", "reveal"} {
			values := form(action, "accounts", "reason", "x", "typed", "accounts", "position", fmt.Sprint(at), "table", "account", "column", "id")
			response, text := s.send("POST", "act", values)
			require.Equal(t, http.StatusForbidden, response.StatusCode, action)
			require.NotContains(t, text, "secret")
			response, _ = s.send("GET", "confirm?"+values.Encode(), nil)
			require.Equal(t, http.StatusForbidden, response.StatusCode, action)
			response, _ = s.send("GET", "act?"+values.Encode(), nil, "X-Operator", "eva")
			require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode, "no action by GET")
		}
	})
	t.Run("each action has a right of its own", func(t *testing.T) {
		text := s.page(accounts)
		require.Contains(t, text, "Park this aggregate…")
		require.NotContains(t, text, "Skip this event…")
		require.NotContains(t, text, "Reset…")
		response, _ := s.operator(form("reset", "accounts", "reason", "x", "typed", "accounts"))
		require.Equal(t, http.StatusForbidden, response.StatusCode)
	})
	t.Run("forms of other sites are refused", func(t *testing.T) {
		for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}} {
			response, text := s.send("POST", "act", form("pause", "accounts"), append(headers, "X-Operator", "eva", "Accept", "application/json")...)
			require.Equal(t, http.StatusForbidden, response.StatusCode)
			require.Contains(t, text, `"title": "That came from another site"`)
			response, _ = s.send("POST", "consumer?kind=projection&name=accounts", url.Values{}, append(headers, "X-Operator", "eva")...)
			require.Equal(t, http.StatusForbidden, response.StatusCode)
		}
	})
	t.Run("what makes no sense is refused", func(t *testing.T) {
		for _, c := range []struct {
			values url.Values
			status int
		}{
			{form("drop", "accounts"), http.StatusBadRequest},
			{form("pause", "nobody"), http.StatusNotFound},
			{form("pause", "accounts\r\nX-Evil: 1"), http.StatusNotFound},
			{form("pause", "accounts", "reason", strings.Repeat("x", 3000)), http.StatusBadRequest},
			{form("pause", "accounts", "reason", strings.Repeat("x", 100_000)), http.StatusRequestEntityTooLarge},
			{form("pause", "accounts", "reason", "\xff"), http.StatusBadRequest},
			{url.Values{"action": {"reset"}, "kind": {"relay"}, "name": {"accounts"}}, http.StatusNotFound},
		} {
			response, text := s.operator(c.values)
			require.Equal(t, c.status, response.StatusCode, text)
			require.Empty(t, response.Header.Get("X-Evil"))
		}
	})
	require.Len(t, s.log(), before, "nothing has been done")
}

func TestReadOnlyByDefault(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	response, _ := s.operator(form("pause", "accounts"))
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	require.Empty(t, s.log())
	response, _ = s.send("GET", "", nil)
	policy := response.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
	_, err := readviewui.New(nil, nil, nil, readviewui.Config{Timeout: -1, MaxStreams: -1, Reactors: []*reactor.Reactor{nil}, States: map[string]readviewui.States{"bank.Account": nil}})
	for _, what := range []string{"manager", "log", "pool", "Timeout", "MaxStreams", "Reactors[0]", `States["bank.Account"]`} {
		require.ErrorContains(t, err, what)
	}
	require.ErrorIs(t, err, readviewui.ErrConfig)
	require.Panics(t, func() { readviewui.StatesOf[bank.Account](nil, nil) })
}
