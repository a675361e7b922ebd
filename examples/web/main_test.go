package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

func TestRun(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	database := readviewtest.NewDatabase(t).URL
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, database, listener) }()

	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	do := func(method, seen, text string) (status int, etag, body string) {
		request, err := http.NewRequestWithContext(ctx, method, "http://"+listener.Addr().String()+"/pages/start", strings.NewReader("text="+text))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("If-Match", seen)
		response, err := client.Do(request)
		require.NoError(t, err)
		read, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode, response.Header.Get("ETag"), string(read)
	}
	status, _, _ := do(http.MethodGet, "", "")
	require.Equal(t, http.StatusNotFound, status)
	status, _, _ = do(http.MethodPut, "", "hello")
	require.Equal(t, http.StatusPreconditionRequired, status)
	status, _, _ = do(http.MethodPut, `"0"`, "")
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _, _ = do(http.MethodPut, `"0"`, "hello")
	require.Equal(t, http.StatusNoContent, status)
	status, etag, text := do(http.MethodGet, "", "")
	require.Equal(t, []any{http.StatusOK, `"1"`, "hello"}, []any{status, etag, text}, "it was waited for")
	status, _, _ = do(http.MethodPut, etag, "welcome")
	require.Equal(t, http.StatusNoContent, status)
	status, _, body := do(http.MethodPut, etag, "good evening")
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "somebody else was faster: read the page again\n", body)
	_, etag, text = do(http.MethodGet, "", "")
	require.Equal(t, []any{`"2"`, "welcome"}, []any{etag, text})

	stop()
	require.NoError(t, <-ended)
}
