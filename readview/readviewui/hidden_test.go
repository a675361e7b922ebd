package readviewui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// redact hides a deposit, and whose it is.
func redact(e eventsourced.Recorded) eventsourced.Recorded {
	e.Payload, e.Metadata, e.Stream.AggregateID = json.RawMessage(`{"Amount":"hidden"}`), nil, "(somebody)"
	return e
}

func TestHiddenData(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators, Redact: redact})
	at := s.deposit("anna", 31415)
	s.until("accounts", failed)
	s.does(form("dry-run", "accounts", "position", fmt.Sprint(at)))

	response, text := s.send("GET", accounts, nil, "X-Operator", "eva", "Accept", "application/json")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.NotContains(t, text, "31415")
	text = s.page(accounts)
	require.NotContains(t, text, "31415")
	require.Contains(t, text, "Show personal data (recorded)")
	require.Contains(t, text, "hidden")

	response, _ = s.send("POST", accounts, url.Values{})
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	_, text = s.send("POST", accounts, url.Values{}, "X-Operator", "eva")
	require.Contains(t, text, "31415")
	require.Contains(t, s.log(), "eva reveal accounts done")
	require.NotContains(t, s.page(accounts), "31415", "it was shown once")
}

// Whose account it is stands in ids, errors, rows, statements and the operator log.
func TestHiddenIdsAndErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators, Redact: redact, OpenRows: []string{"total"}})
	_, err := s.pool.Exec(t.Context(), `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused for %', NEW.id; END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON account FOR EACH ROW EXECUTE FUNCTION refuse()`)
	require.NoError(t, err)
	const secret = "hedvig"
	at := s.deposit(secret, 5)
	s.until("accounts", failed)
	s.does(form("dry-run", "accounts", "position", fmt.Sprint(at)))
	everywhere := func(what string) {
		t.Helper()
		for _, path := range []string{"", accounts, "consumer?kind=projection&name=total", "events", fmt.Sprint("events?at=", at), fmt.Sprint("stream?at=", at), "operations", "parked", "log", "nodes"} {
			for _, accept := range []string{"text/html", "application/json"} {
				response, text := s.send("GET", path, nil, "X-Operator", "eva", "Accept", accept)
				require.Equal(t, http.StatusOK, response.StatusCode, text)
				require.NotContains(t, text, secret, "%s, %s: %s", what, path, accept)
			}
		}
	}
	everywhere("failed")
	require.Contains(t, s.page(""), "(hidden)")
	require.Contains(t, s.page(fmt.Sprint("stream?at=", at)), "(somebody)")
	_, text := s.send("POST", accounts, url.Values{}, "X-Operator", "eva")
	require.Contains(t, text, "refused for "+secret)
	_, text = s.send("POST", fmt.Sprint("stream?at=", at), url.Values{}, "X-Operator", "eva")
	require.Contains(t, text, secret)

	s.does(form("park", "accounts", "position", fmt.Sprint(at), "reason", "later", "typed", "accounts"))
	s.until("accounts", func(c consumer.Status) bool { return c.Parked == 1 })
	text = s.page(accounts)
	require.Contains(t, text, fmt.Sprintf(`name="position" value="%d"`, at), "it is retried by its position")
	s.does(form("retry", "accounts", "position", fmt.Sprint(at)))
	everywhere("parked, and retried in vain")
	s.does(form("skip", "accounts", "position", fmt.Sprint(at), "reason", "a test", "typed", "accounts"))
	s.until("accounts", func(c consumer.Status) bool { return c.Skipped == 1 })
	everywhere("skipped")
}

// Who may not see an id is not told whether there is such an aggregate.
func TestHiddenAggregatesAreNotConfirmed(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators, Redact: redact})
	s.deposit("hedvig", 5)
	for _, path := range []string{"stream?aggregate=bank.Account&id=", "events?aggregate=bank.Account&id="} {
		for _, accept := range []string{"text/html", "application/json"} {
			var status []int
			for _, id := range []string{"hedvig", "nobody"} {
				response, text := s.send("GET", path+id, nil, "Accept", accept)
				status = append(status, response.StatusCode)
				require.Contains(t, text, "There is no such aggregate, or its id is hidden from you.", path+id)
				require.NotContains(t, text, "Deposited</th>", path+id)
			}
			require.Equal(t, status[0], status[1], path)
		}
		require.NotContains(t, s.page(path+"hedvig"), "hidden from you", "eva may see it")
	}
	require.Equal(t, 1, strings.Count(strings.Join(s.log(), " "), "eva reveal"), "that is on record, not with each look")
}

func TestQueriesOfOthersAreWithoutTexts(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Redact: redact})
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = s.accounts.UpdateTx(t.Context(), s.store.Tx(tx), "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 1}) })
	require.NoError(t, err)
	for _, query := range []string{
		`SELECT 7 AS seven, 'hedvig''s'`,
		`SELECT 7 AS seven, E'it\'s hedvig', $$hedvig$$, $a$hedvig$a$`,
		`SELECT 7 AS seven /* the bank's */, 'hedvig' AS "it's", 'hedvig' -- anna's`,
	} {
		_, err = tx.Exec(t.Context(), query)
		require.NoError(t, err)
		for _, accept := range []string{"text/html", "application/json"} {
			_, text := s.send("GET", "log", nil, "Accept", accept)
			require.NotContains(t, text, "hedvig", query)
			require.Contains(t, text, "7 AS seven", "of who has the log's lock")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = s.accounts.Update(ctx, "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 1}) })
	require.ErrorIs(t, err, pgstore.ErrLockTimeout)
	require.ErrorContains(t, err, "hedvig")
	_, text := s.send("GET", "", nil)
	require.Contains(t, text, "Appends wait or fail")
	require.Contains(t, text, "7 AS seven", "the failure names who had the lock")
	require.NotContains(t, text, "hedvig")
}

func TestMarkupIsText(t *testing.T) {
	t.Parallel()
	const evil = `<script>alert(1)</script>"><img src=x onerror=alert(2)>`
	s := newSite(t, readviewui.Config{Title: evil, Serves: map[string]string{"accounts": evil}, Authorize: func(*http.Request, readviewui.Action) (string, error) { return evil, nil },
		Hint: func(context.Context, string) string { return evil }})
	s.deposit(evil, 500)
	s.until("accounts", failed)
	for _, path := range []string{"", accounts, "?q=" + url.QueryEscape(evil), "?state=" + url.QueryEscape(evil), "events", "operations", "nodes", "consumer?kind=projection&name=" + url.QueryEscape(evil), evil} {
		_, text := s.send("GET", path, nil)
		require.NotContains(t, text, "<script>alert", path)
		require.NotContains(t, text, "<img", path)
	}
	response, text := s.send("GET", accounts, nil, "Accept", "application/json")
	require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
	require.NotContains(t, text, "<script>")
}
