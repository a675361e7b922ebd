package readviewui_test

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// toEnd is the address of a button that ends a session.
var toEnd = regexp.MustCompile(`href="(confirm\?action=end-session[^"]*)"`)

// ending waits for that button on the overview, and returns what it asks for.
func (s *site) ending(says string) url.Values {
	s.t.Helper()
	var found []string
	require.Eventually(s.t, func() bool {
		text := s.page("")
		found = toEnd.FindStringSubmatch(text)
		return found != nil && strings.Contains(text, says)
	}, 30*time.Second, 100*time.Millisecond)
	require.NotRegexp(s.t, toEnd, func() string { _, text := s.send("GET", "", nil); return text }(), "who may not sees no button")
	address, err := url.Parse(html.UnescapeString(found[1]))
	require.NoError(s.t, err)
	return address.Query()
}

func TestASessionInTheWayIsEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators, Redact: redact})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 5)))
	forgotten, err := pgx.ConnectConfig(t.Context(), s.pool.Config().ConnConfig)
	require.NoError(t, err)
	t.Cleanup(func() { _ = forgotten.Close(context.Background()) })
	_, err = forgotten.Exec(t.Context(), `BEGIN; SELECT 'hedvig', 7 AS seven FROM readviews WHERE name = 'accounts' FOR UPDATE`)
	require.NoError(t, err)
	pid := fmt.Sprint(forgotten.PgConn().PID())
	last := s.deposit("anna", 5)

	asked := s.ending("waits for a lock that another session holds")
	require.Equal(t, pid, asked.Get("pid"))
	for _, path := range []string{"", accounts, "confirm?" + asked.Encode()} {
		for _, accept := range []string{"text/html", "application/json"} {
			_, text := s.send("GET", path, nil, "X-Operator", "eva", "Accept", accept)
			require.Contains(t, text, "7 AS seven", path)
			require.NotContains(t, text, "hedvig", path)
		}
	}
	require.Regexp(t, toEnd, s.page(accounts))
	confirm := s.page("confirm?" + asked.Encode())
	for _, says := range []string{"End the session with pid " + pid + "?", "Its transaction is rolled back, and its client gets an error.", "Type <code>" + pid + "</code>", "It may be one of our own"} {
		require.Contains(t, confirm, says)
	}
	response, _ := s.send("POST", "act", asked)
	require.Equal(t, http.StatusForbidden, response.StatusCode)
	response, _ = s.operator(asked)
	require.Equal(t, http.StatusUnprocessableEntity, response.StatusCode)
	asked.Set("reason", "a forgotten psql")
	asked.Set("typed", pid)
	connected := asked.Get("connected")
	asked.Set("connected", "1"+connected[1:len(connected)-1])
	response, text := s.operator(asked)
	require.Equal(t, http.StatusConflict, response.StatusCode)
	require.Contains(t, text, "It is not in the way any more")
	require.NoError(t, forgotten.Ping(t.Context()), "nobody was ended so far")

	asked.Set("connected", connected)
	s.does(asked)
	require.Error(t, forgotten.Ping(t.Context()))
	require.NoError(t, s.manager.WaitFor(t.Context(), last))
	require.Equal(t, "eva end-session accounts done a forgotten psql", s.log()[len(s.log())-1])
}

func TestASessionInTheWayOfAppendsIsEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators})
	holder, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) }()
	event, err := s.store.Registry().Encode(t.Context(), &bank.Deposited{Amount: 1})
	require.NoError(t, err)
	_, err = s.store.AppendTx(t.Context(), holder, eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "held"}, eventsourced.NoStream, event)
	require.NoError(t, err)
	appended := make(chan error, 1)
	go func() {
		_, err := s.accounts.Update(context.WithoutCancel(t.Context()), "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 1}) })
		appended <- err
	}()
	third, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = third.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = third.Exec(t.Context(), `LOCK TABLE total`)
	require.NoError(t, err)
	goesOn := make(chan error, 1)
	go func() {
		_, err := holder.Exec(context.WithoutCancel(t.Context()), `LOCK TABLE total`)
		goesOn <- err
	}()
	root := fmt.Sprint(third.Conn().PgConn().PID())
	asked := s.ending("which itself waits for pid " + root)
	require.Equal(t, root, asked.Get("pid"))
	require.Len(t, toEnd.FindAllString(s.page("log"), -1), 2, "that one, and the holder")
	asked.Set("reason", "it waits at the root")
	asked.Set("typed", root)
	response, text := s.operator(asked)
	require.Equal(t, http.StatusSeeOther, response.StatusCode, text)
	require.NoError(t, <-goesOn)
	require.Eventually(t, func() bool { return !strings.Contains(s.page(""), "which itself waits") }, 30*time.Second, 100*time.Millisecond)

	asked = s.ending("wait for a lock that another session holds")
	require.Contains(t, s.page("confirm?"+asked.Encode()), "It may be one of our own")
	asked.Set("reason", "it hangs")
	asked.Set("typed", asked.Get("pid"))
	response, text = s.operator(asked)
	require.Equal(t, http.StatusSeeOther, response.StatusCode, text)
	require.Equal(t, "log?done=end-session", response.Header.Get("Location"))
	require.Contains(t, s.page("log?done=end-session"), "That is out of the way.")
	require.NoError(t, <-appended)
	require.Contains(t, s.log(), "eva end-session  done it hangs")
	response, _ = s.operator(asked)
	require.Equal(t, http.StatusConflict, response.StatusCode, "it is gone")
	s.until("accounts", func(c consumer.Status) bool { return c.State == consumer.Live && c.Position > 0 })
}
