package readviewui_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// form is what a form of the page sends.
func form(action, name string, more ...string) url.Values {
	values := url.Values{"action": {action}, "kind": {"projection"}, "name": {name}}
	for i := 0; i < len(more); i += 2 {
		values.Set(more[i], more[i+1])
	}
	return values
}

// operator sends a form as eva, who may.
func (s *site) operator(values url.Values) (*http.Response, string) {
	s.t.Helper()
	return s.send("POST", "act", values, "X-Operator", "eva")
}

// does sends a form as eva, which has to be done.
func (s *site) does(values url.Values) {
	s.t.Helper()
	response, text := s.operator(values)
	require.Equal(s.t, http.StatusSeeOther, response.StatusCode, text)
	require.Equal(s.t, "consumer?done="+values.Get("action")+"&kind=projection&name="+values.Get("name"), response.Header.Get("Location"))
}

// log returns the operator log as lines.
func (s *site) log() (lines []string) {
	s.t.Helper()
	all, err := s.manager.Operations(s.t.Context(), readview.OperationsQuery{})
	require.NoError(s.t, err)
	for _, op := range all {
		lines = append(lines, strings.TrimSpace(strings.Join([]string{op.Actor, op.Command, op.Name, string(op.Outcome), op.Arguments["reason"]}, " ")))
	}
	return lines
}

// page returns a page as eva sees it.
func (s *site) page(path string) string {
	s.t.Helper()
	response, text := s.send("GET", path, nil, "X-Operator", "eva")
	require.Equal(s.t, http.StatusOK, response.StatusCode, text)
	return text
}

const accounts = "consumer?kind=projection&name=accounts"

func TestThePoisonedEventAndTheWayOut(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 50)))
	at := s.deposit("anna", 500)
	s.deposit("bo", 7)
	s.until("accounts", failed)
	require.Eventually(t, func() bool { return strings.Contains(s.page("nodes"), "let go: it has failed") }, 20*time.Second, 20*time.Millisecond)

	text := s.page(accounts)
	for _, says := range []string{"account_amount_check", "Dry-run", "Skip this event…", "Park this aggregate…", "&#34;Amount&#34;: 500"} {
		require.Contains(t, text, says)
	}
	s.does(form("pause", "accounts"))
	s.until("accounts", func(c consumer.Status) bool { return c.State == consumer.Paused })
	text = s.page(accounts)
	for _, says := range []string{"account_amount_check", "Dry-run", "Skip this event…", "Park this aggregate…", "Goes on from where it is."} {
		require.Contains(t, text, says, "while it is paused")
	}
	s.does(form("resume", "accounts"))
	s.until("accounts", failed)
	s.does(form("dry-run", "accounts", "position", fmt.Sprint(at)))
	text = s.page(accounts)
	require.Contains(t, text, "It would still fail.")
	require.Contains(t, text, "Dry-run again")

	confirm := s.page(fmt.Sprintf("confirm?action=skip&kind=projection&name=accounts&position=%d", at))
	require.Contains(t, confirm, "is never applied")
	require.Contains(t, confirm, "as eva")
	for _, wrong := range []url.Values{
		form("skip", "accounts", "position", fmt.Sprint(at), "reason", "a test"),
		form("skip", "accounts", "position", fmt.Sprint(at), "reason", " ", "typed", "accounts"),
		form("skip", "accounts", "position", fmt.Sprint(at), "reason", "a test", "typed", "total"),
	} {
		response, _ := s.operator(wrong)
		require.Equal(t, http.StatusUnprocessableEntity, response.StatusCode)
	}
	response, text := s.operator(form("skip", "accounts", "position", fmt.Sprint(at+1), "reason", "a test", "typed", "accounts"))
	require.Equal(t, http.StatusConflict, response.StatusCode)
	require.Contains(t, text, "It has moved meanwhile")
	require.True(t, failed(s.until("accounts", failed)), "nothing of all this has changed anything")

	s.does(form("skip", "accounts", "position", fmt.Sprint(at), "reason", "a test", "typed", "accounts"))
	s.until("accounts", func(c consumer.Status) bool { return c.State == consumer.Live && c.Behind == 0 && c.Skipped == 1 })
	text = s.page(accounts + "&done=skip")
	require.Contains(t, text, "Skipped. It goes on.")
	require.Contains(t, text, "1 skipped")
	require.Contains(t, text, "a test (eva")
	require.Equal(t, "eva skip accounts done a test", s.log()[len(s.log())-1])
	require.Contains(t, s.page("parked"), "accounts")
}

func TestPausingParkingAndRetrying(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators})
	at := s.deposit("anna", 500)
	s.until("accounts", failed)
	s.does(form("park", "accounts", "position", fmt.Sprint(at), "reason", "later", "typed", "accounts"))
	s.until("accounts", func(c consumer.Status) bool { return c.Parked == 1 && c.State == consumer.Live })
	require.Contains(t, s.page(accounts), "bank.Account")
	require.Contains(t, s.page(accounts), "Parked: later (eva)")
	_, err := s.pool.Exec(t.Context(), `ALTER TABLE account DROP CONSTRAINT account_amount_check`)
	require.NoError(t, err)
	response, text := s.operator(form("retry", "accounts", "stream", "anna"))
	require.Equal(t, http.StatusBadRequest, response.StatusCode, "it would be all of them")
	require.Contains(t, text, "Write KIND/ID.")
	s.does(form("retry", "accounts", "stream", "bank.Account/anna"))
	s.until("accounts", func(c consumer.Status) bool { return c.Parked == 0 })
	require.Contains(t, s.page(accounts), "1 applied, 0 still parked")

	s.does(form("pause", "accounts", "reason", "the disk"))
	s.until("accounts", func(c consumer.Status) bool { return c.State == consumer.Paused })
	require.Contains(t, s.page(accounts), "Goes on from where it is.")
	s.does(form("resume", "accounts"))
	s.until("accounts", func(c consumer.Status) bool { return c.State == consumer.Live })
	require.Contains(t, s.log(), "eva pause accounts done the disk")
	require.Contains(t, s.log(), "eva resume accounts done")
}

// underWay is what a page says of what was begun from it, perhaps with a phase.
var underWay = regexp.MustCompile(`: under way[^<]*</dd>`)

func TestRebuildingVerifyingAndExplaining(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators})
	s.deposit("anna", 5)
	s.deposit("o'hara\\", 6)
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 7)))
	ended := func() { // what was begun
		s.t.Helper()
		require.Eventually(t, func() bool { return !underWay.MatchString(s.page(accounts)) }, 30*time.Second, 20*time.Millisecond)
	}
	_, err := s.pool.Exec(t.Context(), `UPDATE account SET amount = 99 WHERE id = 'anna'`)
	require.NoError(t, err)
	s.does(form("verify", "accounts"))
	ended()
	text := s.page(accounts)
	require.Contains(t, text, "Verify: not equal")
	require.Contains(t, text, "<b>−</b> 99")
	require.Contains(t, text, "<b>+</b> 12")

	s.does(form("explain", "accounts", "table", "account", "column", "id", "value", "anna"))
	ended()
	text = s.page(accounts)
	require.Contains(t, text, "account: 2 changes")
	s.does(form("explain", "accounts", "table", "account", "column", "id", "value", `o'hara\`))
	ended()
	require.Contains(t, s.page(accounts), "account: 1 change")
	for _, attack := range [][2]string{{"id", `' OR true --`}, {"id", `\' OR true --`}, {`id" = id OR "id`, "x"}} {
		response, text := s.operator(form("explain", "accounts", "table", "account", "column", attack[0], "value", attack[1]))
		if response.StatusCode == http.StatusSeeOther {
			ended()
			require.Contains(t, s.page(accounts), "account: 0 changes", attack)
		} else {
			require.Equal(t, http.StatusConflict, response.StatusCode, text)
		}
	}

	s.does(form("rebuild", "accounts", "reason", "somebody has changed a row"))
	ended()
	require.Contains(t, s.page(accounts), "done")
	var amount int64
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT amount FROM account WHERE id = 'anna'`).Scan(&amount))
	require.EqualValues(t, 12, amount)
	require.Contains(t, s.page(accounts), "Roll back…")
	s.does(form("rollback", "accounts", "reason", "to see it again", "typed", "accounts"))
	ended()
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT amount FROM account WHERE id = 'anna'`).Scan(&amount))
	require.EqualValues(t, 99, amount)
	s.does(form("reset", "accounts", "reason", "all of it", "typed", "accounts"))
	require.Eventually(t, func() bool {
		_ = s.pool.QueryRow(t.Context(), `SELECT amount FROM account WHERE id = 'anna'`).Scan(&amount)
		return amount == 12
	}, 20*time.Second, 20*time.Millisecond)
	require.Contains(t, s.log(), "eva rebuild accounts done somebody has changed a row")
	require.Contains(t, s.log(), "eva reset accounts done all of it")
}

func TestStreams(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{MaxStreams: 1})
	request, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"live", nil)
	require.NoError(t, err)
	first, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = first.Body.Close() }()
	begun := make([]byte, 20)
	_, err = first.Body.Read(begun)
	require.NoError(t, err)
	require.Contains(t, string(begun), "retry")
	second, text := s.send("GET", "live", nil, "Accept", "application/json")
	require.Contains(t, text, `"title": "There are too many open pages"`)
	require.Equal(t, http.StatusServiceUnavailable, second.StatusCode)
	require.NotEmpty(t, second.Header.Get("Retry-After"))
}
