package readviewui_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// A reactor does not say how fast it is: 0 would be a lie.
func TestRatesThatNobodyKnows(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	mails, err := reactor.New(s.store, s.pool, reactor.Config{Config: consumer.Config{Logger: slog.New(slog.DiscardHandler)}, Name: "mails"},
		reactor.On(func(context.Context, *bank.Deposited) error { return nil }))
	require.NoError(t, err)
	s.handler, err = readviewui.New(s.manager, s.store, s.pool, readviewui.Config{Reactors: []*reactor.Reactor{mails}})
	require.NoError(t, err)
	t.Cleanup(s.handler.Close)
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	s.url = server.URL + "/"
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 5)))
	for _, id := range []consumer.ID{{Kind: consumer.KindReactor, Name: "mails"}, {Kind: consumer.KindProjection, Name: "accounts"}} {
		for minutes := range 5 {
			s.handler.Remember(time.Now().Add(-time.Duration(minutes)*time.Minute), consumer.Status{Kind: id.Kind, Name: id.Name})
		}
	}
	_, text := s.send("GET", "", nil, "Accept", "application/json")
	var all struct {
		Consumers []struct {
			Name string
			Rate *float64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(text), &all))
	require.Len(t, all.Consumers, 3)
	for _, c := range all.Consumers {
		require.Equal(t, c.Name == "mails", c.Rate == nil, c.Name)
	}
	const curve = "Events/s, last 15 min"
	require.Contains(t, s.page(accounts), curve)
	require.NotContains(t, s.page("consumer?kind=reactor&name=mails"), curve)
	require.Contains(t, s.page("consumer?kind=reactor&name=mails"), "Lag, last 15 min")
	require.Contains(t, s.page("?q=mails"), `<td class="n wide">–</td>`)
}

func TestTimeLeftOfWhatCatchesUp(t *testing.T) {
	t.Parallel()
	h := new(readviewui.Handler)
	for _, c := range []struct {
		state     consumer.State
		lag, left time.Duration
		shown     bool
	}{
		{consumer.CatchingUp, time.Minute, 40 * time.Second, true},
		{consumer.CatchingUp, time.Minute, 200 * time.Millisecond, false},
		{consumer.CatchingUp, time.Second, 40 * time.Second, false},
		{consumer.Live, time.Minute, 40 * time.Second, false},
	} {
		left := h.Left(consumer.Status{Kind: consumer.KindProjection, Name: "total", State: c.state, Lag: c.lag, Left: c.left})
		require.Equal(t, c.shown, left > 0, c)
	}
}
