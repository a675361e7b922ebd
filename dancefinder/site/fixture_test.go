package site_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dancefinder/eventsourcing/dancefinder/site"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// gate lets everybody pass.
type gate struct{}

func (gate) Middleware(next http.Handler) http.Handler { return next }

func (gate) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "logged in") })
}

func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func config() site.Config {
	return site.Config{
		Page: says("page"), GraphQL: says("graphql"), Gate: gate{}, Streams: []string{"/news"},
		Ready: func(context.Context) error { return nil }, Logger: slog.New(slog.DiscardHandler),
	}
}

// running is a site that serves.
type running struct {
	t     *testing.T
	url   string
	stop  context.CancelFunc
	ended chan error
}

func serve(t *testing.T, c site.Config) *running {
	t.Helper()
	s, err := site.New(c)
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r := &running{t: t, url: "http://" + listener.Addr().String(), stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- s.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

func (r *running) send(method, path, body string, headers ...string) (*http.Response, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	require.NoError(r.t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response, string(text)
}

func (r *running) requireEnds() {
	r.t.Helper()
	select {
	case err := <-r.ended:
		require.NoError(r.t, err)
	case <-time.After(patience):
		require.FailNow(r.t, "the site does not end")
	}
}
