package readviewui_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// An event that a reactor goes on trying is parked from the page.
func TestAReactorThatFails(t *testing.T) {
	t.Parallel()
	s := newSite(t, readviewui.Config{})
	require.NoError(t, migrate.Run(t.Context(), s.pool, migrate.Config{}, reactor.Migrations()))
	quiet := consumer.Config{Logger: slog.New(slog.DiscardHandler), PollInterval: 200 * time.Millisecond, BackOff: time.Millisecond, MaxBackOff: 20 * time.Millisecond}
	mails, err := reactor.New(s.store, s.pool, reactor.Config{Config: quiet, Name: "mails", RetryFor: time.Hour, MaxDelay: 20 * time.Millisecond}, reactor.On(func(_ context.Context, e *bank.Deposited) error {
		if e.Amount == 500 {
			return errors.New("no such address")
		}
		return nil
	}))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- mails.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	handler, err := readviewui.New(s.manager, s.store, s.pool, readviewui.Config{Authorize: operators, Consumers: consumer.NewStore(s.pool, consumer.Config{}), Logger: quiet.Logger})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/admin/", handler)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(handler.Close)
	s.url = server.URL + "/admin/"

	at := s.deposit("anna", 500)
	shows := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { // it may not have begun: then there is no such page yet
			_, shown := s.send("GET", "consumer?kind=reactor&name=mails", nil, "X-Operator", "eva")
			return strings.Contains(shown, text)
		}, 30*time.Second, 20*time.Millisecond, text)
	}
	shows("Park this event…")
	shows("Skip this event…")
	park := form("park", "mails", "position", fmt.Sprint(at), "reason", "later", "typed", "mails")
	park.Set("kind", "reactor")
	require.Contains(t, s.page(fmt.Sprintf("confirm?action=park&kind=reactor&name=mails&position=%d", at)), "until somebody retries them")
	require.NoError(t, mails.Pause(t.Context()))
	skip := form("skip", "mails", "position", fmt.Sprint(at), "reason", "a test", "typed", "mails")
	skip.Set("kind", "reactor")
	response, text := s.operator(skip)
	require.Equal(t, http.StatusSeeOther, response.StatusCode, text)
	require.Contains(t, s.page(response.Header.Get("Location")), "<b>Skip asked.</b>")
	require.NotContains(t, s.page("consumer?kind=reactor&name=mails"), "Skip this event…")
	response, text = s.operator(skip)
	require.Equal(t, http.StatusConflict, response.StatusCode)
	require.Contains(t, text, "That is asked for already")
	response, text = s.send("POST", "act", park, "X-Operator", "eva", "Accept", "application/json") // another mind
	require.Equal(t, http.StatusAccepted, response.StatusCode, text)
	require.NoError(t, mails.Resume(t.Context()))
	shows("1 parked")
	response, _ = s.operator(park)
	require.Equal(t, http.StatusConflict, response.StatusCode, "it has moved")

	retry := func(more ...string) int {
		t.Helper()
		values := form("retry", "mails", more...)
		values.Set("kind", "reactor")
		response, _ := s.operator(values)
		return response.StatusCode
	}
	require.Equal(t, http.StatusBadRequest, retry("stream", "anna"))
	require.Equal(t, http.StatusBadRequest, retry("position", fmt.Sprint(at)))
	require.Equal(t, http.StatusConflict, retry("stream", "bank.Account/bo"), "of which nothing is parked")
	require.Equal(t, http.StatusSeeOther, retry("stream", "bank.Account/anna"))
}
