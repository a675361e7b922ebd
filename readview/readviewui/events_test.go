package readviewui_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

func TestPagesOfTheLog(t *testing.T) {
	t.Parallel()
	var s *site
	config := readviewui.Config{
		Authorize: operators,
		Redact: func(event eventsourced.Recorded) eventsourced.Recorded {
			event.Payload = []byte(`{"Amount": "hidden"}`)
			return event
		},
		States: map[string]readviewui.States{bank.AggregateName: func(ctx context.Context, id string, after eventsourced.Version, most int) ([]any, error) {
			if id == "broken" {
				return nil, errors.New("no state of it")
			}
			return readviewui.StatesOf(s.accounts, func(a *bank.Account) any { return map[string]int64{"balance": a.Balance} })(ctx, id, after, most)
		}},
	}
	s = newSite(t, config)
	ctx := eventsourced.WithActor(eventsourced.WithCorrelation(t.Context(), "import <b>"), "karin")
	first, err := s.accounts.Update(ctx, "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 41}) })
	require.NoError(t, err)
	event, err := s.store.Inspector(pgstore.InspectorConfig{}).Event(t.Context(), first)
	require.NoError(t, err)
	second, err := s.accounts.Update(eventsourced.WithRecorded(t.Context(), event), "<script>alert(1)</script>", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 7}) })
	require.NoError(t, err)
	last := s.deposit("anna", 1)
	require.NoError(t, s.manager.WaitFor(t.Context(), last))

	get := func(t *testing.T, path string) string {
		response, text := s.send("GET", path, nil)
		require.Equal(t, http.StatusOK, response.StatusCode, text)
		require.NotContains(t, text, "<script>alert")
		return text
	}
	asJSON := func(t *testing.T, path string, into any) {
		response, text := s.send("GET", path, nil, "Accept", "application/json")
		require.Equal(t, http.StatusOK, response.StatusCode, text)
		require.NoError(t, json.Unmarshal([]byte(text), into))
	}
	listed := func(t *testing.T, path string) (positions []eventsourced.Position, problem string) {
		var page struct {
			Events  []struct{ Position eventsourced.Position }
			Problem string
		}
		asJSON(t, path, &page)
		for _, e := range page.Events {
			positions = append(positions, e.Position)
		}
		return positions, page.Problem
	}
	t.Run("the tail, and what is filtered", func(t *testing.T) {
		all := []eventsourced.Position{last, second, first}
		for asked, want := range map[string][]eventsourced.Position{
			"": all, "?name=Deposited": all, "?name=Renamed": nil, "?add=depos": all, "?add=Renamed": nil, "?aggregate=bank.Account": all, "?add=bank.Account/anna": {last, first},
			"?aggregate=bank.Account&id=anna": {last, first}, "?correlation=import+%3Cb%3E": {second, first}, "?add=since+00:00:00": all,
			"?until=2020-01-01": nil, "?since=2020-01-01+12:00": all, fmt.Sprintf("?before=%d", second): {second, first}, "?add=correlation+import+%3Cb%3E": {second, first},
		} {
			got, problem := listed(t, "events"+asked)
			require.Equal(t, want, got, asked)
			require.Empty(t, problem, asked)
		}
		require.Contains(t, get(t, "events?name=Renamed"), "No event matches.")
		require.Contains(t, get(t, "events?still=1"), "data-still")
	})
	t.Run("what can't be understood is said, and nothing is sought", func(t *testing.T) {
		for _, asked := range []string{"?add=nonsense", "?since=yesterday", "?until=%3Cscript%3Ealert(1)%3C/script%3E"} {
			got, problem := listed(t, "events"+asked)
			require.Empty(t, got, asked)
			require.NotEmpty(t, problem, asked)
			get(t, "events"+asked)
		}
	})
	at := fmt.Sprintf("events?at=%d", first)
	t.Run("an event with its causes and effects, and who has applied it", func(t *testing.T) {
		text := get(t, at)
		require.Contains(t, text, "hidden")
		require.NotContains(t, text, "&#34;: 41")
		require.Contains(t, text, "import &lt;b&gt;")
		require.Contains(t, text, "Personal data is hidden.")
		var page struct {
			Event struct {
				Payload    json.RawMessage
				Correlated int
				Chain      []struct {
					Kind, Name, Says string
					Position         eventsourced.Position
					Depth            int
				}
			}
		}
		asJSON(t, at, &page)
		require.JSONEq(t, `{"Amount": "hidden"}`, string(page.Event.Payload))
		require.Equal(t, 1, page.Event.Correlated)
		var chain []string
		for _, step := range page.Event.Chain {
			chain = append(chain, strings.TrimSpace(fmt.Sprintln(step.Kind, step.Name, step.Says, step.Depth, step.Position-first)))
		}
		require.Equal(t, []string{"this Deposited  0 0", fmt.Sprint("applied accounts applied it 0 ", -first), fmt.Sprint("applied total applied it 0 ", -first),
			fmt.Sprint("event Deposited  1 ", second-first)}, chain)
	})
	t.Run("personal data is shown to who may see it, and that is recorded", func(t *testing.T) {
		response, _ := s.send("POST", at, url.Values{})
		require.Equal(t, http.StatusForbidden, response.StatusCode)
		_, text := s.send("GET", at, nil, "X-Operator", "karin")
		require.NotContains(t, text, "&#34;: 41")
		require.Contains(t, text, "Show personal data (recorded)")
		_, text = s.send("POST", at+"&view=raw", url.Values{}, "X-Operator", "karin")
		require.Contains(t, text, "41")
		text = get(t, "operations?q=karin")
		require.Contains(t, text, "reveal")
		require.Contains(t, text, event.ID.String())
		require.Contains(t, get(t, "operations?q=nobody"), "Nothing matches.")
	})
	t.Run("an aggregate's history, with its states", func(t *testing.T) {
		path := "stream?aggregate=bank.Account&id=anna"
		require.Contains(t, get(t, path), "The states are hidden")
		_, text := s.send("POST", path, url.Values{}, "X-Operator", "karin")
		require.Contains(t, text, "&#34;balance&#34;: 41")
		require.Contains(t, text, "&#34;balance&#34;: 42")
		response, _ := s.send("GET", "stream?aggregate=bank.Account&id=nobody", nil)
		require.Equal(t, http.StatusNotFound, response.StatusCode)
	})
	t.Run("nodes with their leases", func(t *testing.T) {
		text := get(t, "nodes")
		require.Contains(t, text, "node-a")
		require.Contains(t, text, "Connected to the database")
		var page struct {
			Held  int
			Nodes []struct{ Name string }
		}
		asJSON(t, "nodes", &page)
		require.Equal(t, 2, page.Held)
		require.Len(t, page.Nodes, 1)
	})
	t.Run("the log's figures", func(t *testing.T) {
		require.Contains(t, get(t, "log"), "events_name_idx")
		var page struct {
			Head    eventsourced.Position
			Recent  int
			Appends int `json:"appends_here"`
		}
		asJSON(t, "log", &page)
		require.Equal(t, last, page.Head)
		require.Equal(t, 3, page.Recent)
		require.Equal(t, 3, page.Appends)
	})
	t.Run("an event that is not there", func(t *testing.T) {
		response, _ := s.send("GET", "events?at=7", nil)
		require.Equal(t, http.StatusNotFound, response.StatusCode)
	})
}

// A page of which the database is asked too much says so, and gives up.
func TestPagesGiveUp(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{Timeout: 50 * time.Millisecond})
	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), `LOCK TABLE events IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	for _, path := range []string{"events", "events?at=1", "log", "stream?aggregate=a&id=b"} {
		response, text := s.send("GET", path, nil)
		require.Equal(t, http.StatusGatewayTimeout, response.StatusCode, path)
		require.Contains(t, text, "The database took too long")
	}
}
