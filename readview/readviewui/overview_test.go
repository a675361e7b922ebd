package readviewui_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

func TestOverview(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Title: "Bank", Serves: map[string]string{"accounts": "The amounts"}})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 50)))
	s.deposit("anna", 500)
	s.until("accounts", failed)

	t.Run("says what is wrong first, with the next step", func(t *testing.T) {
		response, text := s.send("GET", "", nil)
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Contains(t, text, "<h1>1 failed</h1>")
		require.Contains(t, text, "<title>1 failed · Bank read views</title>")
		require.Contains(t, text, "The amounts are from")
		require.Contains(t, text, "account_amount_check")
		require.Contains(t, text, "Open failure")
	})
	t.Run("answers programs in JSON", func(t *testing.T) {
		response, text := s.send("GET", "?state=failed", nil, "Accept", "application/json")
		require.Contains(t, response.Header.Get("Content-Type"), "application/json")
		var all struct {
			Consumers []struct{ Name, State string }
			Trouble   []struct{ Name, Next string }
		}
		require.NoError(t, json.Unmarshal([]byte(text), &all))
		require.Len(t, all.Consumers, 1)
		require.Equal(t, "accounts", all.Consumers[0].Name)
		require.Equal(t, "Failed", all.Consumers[0].State)
		require.NotEmpty(t, all.Trouble[0].Next)
	})
	t.Run("keeps the filter and the order in its address", func(t *testing.T) {
		_, text := s.send("GET", "?sort=-name&q=tot", nil)
		require.Contains(t, text, `aria-sort="descending"`)
		require.Contains(t, text, `value="tot"`)
		require.NotContains(t, text, `<a href="consumer?kind=projection&amp;name=accounts">accounts`)
	})
}
