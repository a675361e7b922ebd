package readviewui_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview"
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

// overview waits until the page says something.
func (s *site) overview(says string) (text string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		_, text = s.send("GET", "", nil)
		return strings.Contains(text, says)
	}, 30*time.Second, 100*time.Millisecond, "%s is not in\n%s", says, &text)
	return text
}

const calm = "Nothing to do."

func TestOverviewOfWhatNobodyRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Serves: map[string]string{"accounts": "The amounts"}})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 5)))
	s.overview(calm)
	s.stop()
	text := s.overview("<h1>2 not running</h1>")
	require.Contains(t, text, "Nobody runs <code>accounts, total</code>")
	require.Regexp(t, `class="button" href="[^"]*state=not-running[^"]*">Not running <span>2</span>`, text)
	require.Equal(t, 4, strings.Count(text, "Not running"), "the box, the filter and two rows")
	require.Contains(t, text, "Start the program that runs them.")
	require.NotContains(t, text, "are from", "nothing waits")
	s.deposit("anna", 5)
	s.overview("<b>The amounts are from ")
	require.NotContains(t, text, calm)
	_, text = s.send("GET", "consumer?kind=projection&name=total", nil)
	require.Contains(t, text, "Nobody runs it")

	t.Run("and what is known from before is not taken for how it is", func(t *testing.T) {
		s.pool.Close()
		text := s.overview("<h1>Not known just now</h1>")
		require.NotContains(t, text, calm)
		require.NotContains(t, text, "Nobody runs")
	})
}

// The page is in another program than that which runs the projections, and newer.
func TestPageOfAProgramThatMayNotRunIt(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 5)))
	newer := projections()
	newer[0].Version = 2
	manager, err := readview.NewManager(nil, s.store, s.pool, readview.Config{}, newer...)
	require.NoError(t, err)
	require.Contains(t, s.elsewhere(manager, "consumer?kind=projection&name=accounts"), "Another program runs it, which this page’s may not:</b> ")
	require.NotContains(t, s.page("consumer?kind=projection&name=accounts"), "Another program runs it")
}

func TestOverviewSaysWhatThisProgramHasAppended(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	for range 3 {
		s.deposit("anna", 1)
	}
	text := s.page("")
	require.Contains(t, text, "<dt>Appends here, 15 min</dt> <dd>3</dd>")
	require.Regexp(t, `<dt>Lock wait p99</dt> <dd>(&lt;)?[\d.]+ m?s</dd>`, text)
}

func TestOverviewOfAppendsThatWaitAndFail(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	holder, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	event, err := s.store.Registry().Encode(t.Context(), &bank.Deposited{Amount: 1})
	require.NoError(t, err)
	_, err = s.store.AppendTx(t.Context(), holder, eventsourced.Stream{AggregateName: "bank.Account", AggregateID: "held"}, eventsourced.NoStream, event)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	waits := make(chan error, 1)
	go func() {
		_, err := s.accounts.Update(ctx, "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 1}) })
		waits <- err
	}()
	text := s.overview("wait for a lock that another session holds")
	require.Contains(t, text, fmt.Sprintf("SELECT pg_terminate_backend(%d)", holder.Conn().PgConn().PID()))
	require.NotContains(t, text, calm)
	_, err = s.pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = 1702260334`)
	require.NoError(t, err)
	text = s.overview("of this program fail")
	require.NotContains(t, text, calm)
	require.NoError(t, holder.Rollback(t.Context()))
	cancel()
	<-waits
}

func TestOverviewOfWhatIsLeftToDo(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 50)))
	s.deposit("anna", 500)
	stopped := s.until("accounts", failed)
	require.NoError(t, s.manager.Skip(t.Context(), "accounts", stopped.Failure.Position, "a test"))
	text := s.overview("accounts lacks 1 event that was skipped.")
	require.NotContains(t, text, calm)
	verified, err := s.manager.Verify(t.Context(), "accounts", readview.VerifyOptions{})
	require.NoError(t, err)
	require.False(t, verified.Equal)
	_, err = s.pool.Exec(t.Context(), `UPDATE total SET amount = amount + 1`)
	require.NoError(t, err)
	_, err = s.manager.Verify(t.Context(), "total", readview.VerifyOptions{})
	require.NoError(t, err)
	const differs = "total was found to be other than its events make it"
	s.overview(differs)
	_, err = s.manager.Rebuild(t.Context(), "total", readview.RebuildOptions{})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !strings.Contains(s.page(""), differs) }, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, s.manager.Pause(t.Context(), "total"))
	text = s.overview("total is paused until somebody resumes it.")
	require.NotContains(t, text, "accounts was found to be other", "it lacks what was skipped, and nothing else")
}

// Who has not made the tables of reactors and relays is told how, and sees the rest.
func TestPagesWithoutTheTableOfConsumers(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Authorize: operators})
	_, err := s.pool.Exec(t.Context(), `DROP TABLE consumers, consumer_operations CASCADE`)
	require.NoError(t, err)
	handler, err := readviewui.New(s.manager, s.store, s.pool, readviewui.Config{Authorize: operators, Consumers: consumer.NewStore(s.pool, consumer.Config{}), Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(handler.Close)
	for _, path := range []string{"", "nodes", "operations"} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/"+path, nil))
		require.Equal(t, http.StatusOK, answer.Code, path)
		require.Contains(t, answer.Body.String(), "is made by migrate.Run with consumer.Migrations", path)
		if path == "" {
			require.Contains(t, answer.Body.String(), "; not all could be looked at</h1>")
		}
	}
}

func TestAddressesThatAreNoText(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	for _, path := range []string{"events?name=%00", "events?name=%ff%fe", "stream?aggregate=a&id=%00", "?q=%00", "events?name=%ff&x=%zz"} {
		response, _ := s.send("GET", path, nil)
		require.Equal(t, http.StatusBadRequest, response.StatusCode, path)
	}
	for _, n := range []int{20_000, 60_000} {
		response, text := s.send("GET", "events?name="+strings.Repeat("x", n), nil)
		require.Equal(t, http.StatusRequestURITooLong, response.StatusCode)
		require.Contains(t, text, "The address is too long")
	}
}
