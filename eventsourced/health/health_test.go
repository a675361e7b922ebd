package health_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/health"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
)

type ping func(context.Context) error

func (p ping) Ping(ctx context.Context) error { return p(ctx) }

func reachable(context.Context) error { return nil }

func ask(handler http.Handler, accept string) (int, string) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status consumer.Status
		want   health.Condition
	}{
		{consumer.Status{State: consumer.Live}, health.OK},
		{consumer.Status{State: consumer.Standby, Node: "b"}, health.OK},
		{consumer.Status{State: consumer.Standby, Node: "b", Lag: time.Minute}, health.Behind},
		{consumer.Status{State: consumer.Standby}, health.Dead},
		{consumer.Status{State: consumer.CatchingUp}, health.Behind},
		{consumer.Status{State: consumer.Retrying}, health.Behind},
		{consumer.Status{State: consumer.Stalled}, health.Behind},
		{consumer.Status{State: consumer.Failed}, health.Failed},
		{consumer.Status{State: consumer.Ahead}, health.Failed},
		{consumer.Status{State: consumer.Paused}, health.Paused},
	} {
		require.Equal(t, c.want, health.Of(c.status), c.status)
	}
}

func TestAFailedConsumerTakesNoNodeOut(t *testing.T) {
	t.Parallel()
	asked := 0
	h, err := health.New(ping(reachable), health.Config{Interval: time.Hour, Status: func(context.Context) ([]consumer.Status, error) {
		asked++
		return []consumer.Status{
			{Kind: consumer.KindProjection, Name: "band", State: consumer.Failed, Failure: &consumer.Failure{Error: "the password is hunter2"}},
			{Kind: consumer.KindReactor, Name: "mail", State: consumer.Standby},
		}, nil
	}})
	require.NoError(t, err)
	code, text := ask(h.Live(), "*/*")
	require.Equal(t, http.StatusOK, code)
	require.JSONEq(t, `{"status": "alive", "consumers_known": true, "consumers": [
		{"kind": "projection", "name": "band", "condition": "failed", "state": "failed", "lag_seconds": 0},
		{"kind": "reactor", "name": "mail", "condition": "dead", "state": "standby", "lag_seconds": 0}]}`, text)
	code, text = ask(h.Live(), "text/plain")
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "alive\nprojection band: failed (failed, lag 0.0s)\nreactor mail: dead (standby, lag 0.0s)\n", text)
	require.Equal(t, 1, asked)
	code, text = ask(h.Ready(), "")
	require.Equal(t, http.StatusOK, code)
	require.JSONEq(t, `{"status": "ready"}`, text)
}

type hanging struct{ id *consumer.ID }

func (h hanging) Hangs() []consumer.ID {
	if h.id == nil {
		return nil
	}
	return []consumer.ID{*h.id}
}

func TestAProgramInWhichSomethingHangsIsToBeRestarted(t *testing.T) {
	t.Parallel()
	h, err := health.New(ping(reachable), health.Config{Loops: []health.Loop{hanging{}, hanging{&consumer.ID{Kind: consumer.KindProjection, Name: "band"}}}})
	require.NoError(t, err)
	code, text := ask(h.Live(), "")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.JSONEq(t, `{"status": "hangs", "hangs": ["projection band"], "consumers_known": true}`, text)
	_, text = ask(h.Live(), "text/plain")
	require.Equal(t, "hangs projection band\n", text)
	code, _ = ask(h.Ready(), "")
	require.Equal(t, http.StatusOK, code, "requests are answered all the same")
}

func TestWithoutItsDatabaseANodeIsAliveButNotReady(t *testing.T) {
	t.Parallel()
	broken := errors.New("the password is hunter2")
	h, err := health.New(ping(func(context.Context) error { return broken }),
		health.Config{Status: func(context.Context) ([]consumer.Status, error) { return nil, broken }})
	require.NoError(t, err)
	code, text := ask(h.Ready(), "")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.JSONEq(t, `{"status": "not ready"}`, text)
	require.ErrorIs(t, h.CheckReady(t.Context()), broken)
	code, text = ask(h.Live(), "")
	require.Equal(t, http.StatusOK, code)
	require.JSONEq(t, `{"status": "alive", "consumers_known": false}`, text)
}

func TestADatabaseThatHangsIsNotReachable(t *testing.T) {
	t.Parallel()
	h, err := health.New(ping(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }), health.Config{Timeout: time.Millisecond})
	require.NoError(t, err)
	require.ErrorIs(t, h.CheckReady(t.Context()), context.DeadlineExceeded)
}

func TestANodeThatDrainsIsNotReady(t *testing.T) {
	t.Parallel()
	h, err := health.New(ping(reachable), health.Config{})
	require.NoError(t, err)
	h.Drain()
	require.ErrorIs(t, h.CheckReady(t.Context()), health.ErrDraining)
	code, text := ask(h.Ready(), "text/plain")
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "draining\n", text)
}

func TestWhatIsWrongWithAConfigurationIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	_, err := health.New(nil, health.Config{Interval: -1, Timeout: -1, Loops: []health.Loop{nil, (*reactor.Reactor)(nil)}})
	for _, what := range []string{"database is required", "Loops[0]", "Loops[1]", "Config.Interval", "Config.Timeout"} {
		require.ErrorContains(t, err, what)
	}
}
