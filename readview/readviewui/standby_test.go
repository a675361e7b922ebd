package readviewui_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// Two nodes run the same; one has the leases.
func TestPageOfANodeThatStandsBy(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 5)))
	manager, err := readview.NewManager(nil, s.store, s.pool, readview.Config{Config: consumer.Config{Logger: slog.New(slog.DiscardHandler), Node: "node-b"}}, projections()...)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	require.Eventually(t, func() bool {
		all, err := manager.Status(t.Context())
		require.NoError(t, err)
		return all[0].State == consumer.Standby && all[1].State == consumer.Standby
	}, 30*time.Second, 20*time.Millisecond)
	text := s.elsewhere(manager, "")
	require.Contains(t, text, "<h1>All 2 live</h1>")
	require.Contains(t, text, `<td class="wide">node-a</td>`)
	require.Contains(t, text, calm)
	require.NotContains(t, text, "Standby")
}

func TestRemoteProjectionWithoutItsBroker(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	s.stop()
	_, said := s.handler.Says(t.Context(), consumer.Status{Kind: consumer.KindProjection, Name: "far", State: consumer.Retrying, Node: "node-a",
		Failure: &consumer.Failure{Error: "no messages come: dial: refused", Attempts: 3}})
	require.Contains(t, said[0], "Check that the broker is up. It goes on by itself then.")
}

// What a look would have found is made up: nothing is late in a test.
func TestWhatAnotherNodeRuns(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	s.stop()
	elsewhere := func(lag time.Duration, node string) consumer.Status {
		return consumer.Status{Kind: consumer.KindProjection, Name: "accounts", State: consumer.Standby, Node: node, Lag: lag, Position: 1}
	}
	for _, test := range []struct {
		title string
		all   []consumer.Status
	}{
		{"All 1 live", []consumer.Status{elsewhere(time.Second, "node-b")}},
		{"0 of 1 live", []consumer.Status{elsewhere(3*time.Second, "node-b")}},
		{"1 not running", []consumer.Status{elsewhere(time.Second, "node-b"), elsewhere(0, "")}},
	} {
		title, said := s.handler.Says(t.Context(), test.all...)
		require.Equal(t, test.title, title)
		require.Len(t, said, len(test.all)-1)
	}
}
