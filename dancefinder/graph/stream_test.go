package graph_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stream is a subscription, read line by line.
type stream struct {
	t     *testing.T
	lines chan string
	end   func()
}

// subscribe opens one, as curl does, and waits until it has begun.
func (a *app) subscribe(url, token, filter string) *stream {
	a.t.Helper()
	return a.stream(url, token, `subscription { eventsChanged(filter: {`+filter+`}) { kind eventId bandId danceHallId matches event { date extraInfo band { name } } } }`)
}

func (a *app) stream(url, token, document string) *stream {
	a.t.Helper()
	ctx, cancel := context.WithCancel(a.t.Context())
	body := `{"query": ` + marshal(a.t, document) + `}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	require.NoError(a.t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r) //nolint:bodyclose // closed by the goroutine below
	require.NoError(a.t, err)
	require.Equal(a.t, "text/event-stream", response.Header.Get("Content-Type"))
	s := &stream{t: a.t, lines: make(chan string, 1000), end: cancel}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(s.lines)
		defer func() { _ = response.Body.Close() }()
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			s.lines <- scanner.Text()
		}
	}()
	a.t.Cleanup(func() { cancel(); <-done })
	require.Equal(a.t, ":", s.line())
	return s
}

// line returns the next line with something in it, "" at the end.
func (s *stream) line() string {
	s.t.Helper()
	for {
		select {
		case line, more := <-s.lines:
			if line != "" || !more {
				return line
			}
		case <-time.After(20 * time.Second):
			require.Fail(s.t, "nothing comes")
		}
	}
}

// next returns the next answer, without signs of life.
func (s *stream) next() (got answer) {
	s.t.Helper()
	for {
		line := s.line()
		data, is := strings.CutPrefix(line, "data: ")
		if is {
			got.text = data
			require.NoError(s.t, json.Unmarshal([]byte(data), &got))
			return got
		}
		require.NotEmpty(s.t, line, "the stream has ended")
	}
}
