package site_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/site"
)

func TestWhoAnswers(t *testing.T) {
	c := config()
	r := serve(t, c)
	for path, want := range map[string]string{"/": "page", "/kalender.ics": "page", "/graphql": "graphql", "/graphiql": "page"} {
		_, got := r.send("GET", path, "")
		require.Equal(t, want, got, path)
	}
	_, got := r.send("POST", "/login", "")
	require.Equal(t, "logged in", got)
	c.GraphiQL = says("graphiql")
	_, got = serve(t, c).send("GET", "/graphiql", "")
	require.Equal(t, "graphiql", got)
}

func TestRequestsFromOtherSites(t *testing.T) {
	c := config()
	c.TrustedOrigins = []string{"https://friend.example"}
	r := serve(t, c)
	for _, path := range []string{"/", "/graphql", "/login", "/logout"} {
		response, _ := r.send("POST", path, "", "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		require.Equal(t, http.StatusForbidden, response.StatusCode, path)
		response, _ = r.send("POST", path, "", "Origin", "https://evil.example") // an older browser
		require.Equal(t, http.StatusForbidden, response.StatusCode, path)
		response, _ = r.send("POST", path, "", "Sec-Fetch-Site", "cross-site", "Origin", "https://friend.example")
		require.Equal(t, http.StatusOK, response.StatusCode, path)
	}
	response, _ := r.send("GET", "/", "", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusOK, response.StatusCode, "a link from elsewhere")
}

func TestLimitsOfRequests(t *testing.T) {
	entered, release := make(chan struct{}, 10), make(chan struct{})
	t.Cleanup(func() { close(release) })
	c := config()
	c.MaxRequests, c.MaxBody, c.RequestTimeout = 1, 100, 3*time.Second
	var late atomic.Bool
	c.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/body":
			_, err := io.ReadAll(r.Body)
			if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
				http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			}
		case "/late":
			<-r.Context().Done()
			late.Store(errors.Is(r.Context().Err(), context.DeadlineExceeded))
		case "/held":
			entered <- struct{}{}
			<-release
		}
	})
	r := serve(t, c)
	response, _ := r.send("POST", "/body", strings.Repeat("x", 101))
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)

	r.send("GET", "/late", "")
	require.True(t, late.Load())

	held := make(chan struct{})
	go func() {
		defer close(held)
		r.send("GET", "/held", "")
	}()
	<-entered
	response, _ = r.send("GET", "/", "", "Accept", "text/event-stream")
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, "what has an end is no stream")
	response, text := r.send("GET", "/", "")
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NotEmpty(t, response.Header.Get("Retry-After"))
	require.Contains(t, text, "Try again")
	response, _ = r.send("GET", "/healthz", "")
	require.Equal(t, http.StatusOK, response.StatusCode, "it is alive all the same")
	release <- struct{}{}
	<-held
	response, _ = r.send("GET", "/", "")
	require.Equal(t, http.StatusOK, response.StatusCode)
}

// A header that comes too slowly, and a client that takes nothing of a stream, are
// given up; the others go on.
func TestSlowClients(t *testing.T) {
	gaveUp := make(chan error, 1)
	c := config()
	c.WriteTimeout = 200 * time.Millisecond
	c.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for {
			if _, err := w.Write(chunk); err != nil {
				gaveUp <- err
				return
			}
		}
	})
	r := serve(t, c)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = fmt.Fprint(conn, "GET /news HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
	require.NoError(t, err)
	select {
	case err := <-gaveUp:
		require.Error(t, err)
	case <-time.After(patience):
		require.FailNow(t, "the stream waits for its client for ever")
	}
}

// The body of a stream's request has to come as soon as any other.
func TestSlowBodyOfAStream(t *testing.T) {
	gaveUp := make(chan error, 1)
	c := config()
	c.RequestTimeout = 200 * time.Millisecond
	read := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		gaveUp <- err
	})
	c.Page, c.GraphQL = read, read
	r := serve(t, c)
	for _, request := range []string{"GET /news", "POST /graphql"} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(r.url, "http://"))
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		_, err = fmt.Fprint(conn, request+" HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Length: 100\r\n\r\n{")
		require.NoError(t, err)
		select {
		case err := <-gaveUp:
			require.Error(t, err, request)
		case <-time.After(patience):
			require.FailNow(t, "the body is waited for for ever", request)
		}
	}
}

func TestClosing(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	var status atomic.Int32
	c := config()
	c.RequestTimeout = 500 * time.Millisecond // which a stream outlives
	c.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "text/event-stream" {
			_, _ = io.WriteString(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		close(entered)
		<-release
		_, _ = io.WriteString(w, "whole")
	})
	r := serve(t, c)

	request, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/news", nil)
	require.NoError(t, err)
	request.Header.Set("Accept", "text/event-stream")
	stream, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = stream.Body.Close() }()
	lines := bufio.NewReader(stream.Body)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "data: 1\n", line)

	whole := make(chan string, 1)
	go func() {
		response, text := r.send("GET", "/", "")
		status.Store(int32(response.StatusCode))
		whole <- text
	}()
	<-entered
	r.stop()
	_, err = io.ReadAll(lines)
	require.NoError(t, err, "streams end in order")
	close(release)
	require.Equal(t, "whole", <-whole, "a request is finished")
	require.EqualValues(t, http.StatusOK, status.Load())
	r.requireEnds()
}

func TestReadiness(t *testing.T) {
	broken := errors.New("the password is hunter2")
	var ready atomic.Bool
	c := config()
	c.Ready = func(context.Context) error {
		if ready.Load() {
			return nil
		}
		return broken
	}
	r := serve(t, c)
	response, text := r.send("GET", "/readyz", "")
	require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
	require.NotContains(t, text, "hunter2")
	ready.Store(true)
	response, text = r.send("GET", "/readyz", "")
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.JSONEq(t, `{"status": "ready"}`, text)
}

func TestMisconfiguredSites(t *testing.T) {
	_, err := site.New(site.Config{MaxBody: -1, TrustedOrigins: []string{"friend"}})
	for _, what := range []string{"Page is required", "GraphQL is required", "Gate is required", "Ready is required", "negative", "TrustedOrigins"} {
		require.ErrorContains(t, err, what)
	}
}
