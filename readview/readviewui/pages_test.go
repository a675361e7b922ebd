package readviewui_test

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// What the page of one that falls behind refers to.
func TestLastPagesOfAProjection(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	for _, amount := range []int64{7, 8, 500} {
		s.deposit("anna", amount)
	}
	s.until("accounts", failed)
	var page struct {
		Last struct {
			Node  string
			Pages []struct {
				Time   time.Time
				Events int
				TookMS float64 `json:"took_ms"`
				Rate   float64
				Failed bool
			}
		} `json:"last_pages"`
	}
	_, text := s.send("GET", accounts, nil, "Accept", "application/json")
	require.NoError(t, json.Unmarshal([]byte(text), &page))
	require.Equal(t, "node-a", page.Last.Node)
	applied, failures := 0, 0
	for i, p := range page.Last.Pages {
		require.WithinDuration(t, time.Now(), p.Time, time.Minute)
		require.Positive(t, p.TookMS)
		require.Equal(t, p.Failed, p.Rate == 0)
		if i > 0 {
			require.False(t, p.Time.After(page.Last.Pages[i-1].Time), "the last one is first")
		}
		if p.Failed {
			failures++
		} else {
			applied += p.Events
		}
	}
	require.Equal(t, 2, applied)
	require.GreaterOrEqual(t, failures, readview.DefaultAttempts)
	text = s.page(accounts)
	require.Contains(t, text, `Last pages <span class="second">by node-a</span>`)
	require.Contains(t, text, `<b class="wrong">failed</b>`)
	require.NotContains(t, text, "Its node’s page has them")

	t.Run("are on the page of the node that applies them", func(t *testing.T) {
		for range 30 {
			require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", -1), "total"))
		}
		here, err := s.manager.LastPages("total")
		require.NoError(t, err)
		require.Len(t, here.Pages, 20)
		manager, err := readview.NewManager(nil, s.store, s.pool, readview.Config{Config: consumer.Config{Node: "node-b", Logger: slog.New(slog.DiscardHandler)}}, projections()...)
		require.NoError(t, err)
		require.Contains(t, s.elsewhere(manager, "consumer?kind=projection&name=total"), "Its node’s page has them: node-a.")
	})
}
