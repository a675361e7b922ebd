package readviewui_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// counter is a log that counts its lines.
type counter struct {
	slog.Handler
	lines atomic.Int64
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }

func (c *counter) Handle(context.Context, slog.Record) error {
	c.lines.Add(1)
	return nil
}

// What was seen before the database went is not taken for how it is.
func TestPagesWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	log := &counter{}
	s := newSite(t, readviewui.Config{Authorize: operators, Logger: slog.New(log)})
	require.NoError(t, s.manager.WaitFor(t.Context(), s.deposit("anna", 5)))
	text := s.overview("<h1>All 2 live</h1>")
	require.Contains(t, text, "As of ")
	s.stop()
	s.pool.Close()
	text = s.overview("<h1>Not known just now</h1>")

	t.Run("say that it does not answer, and what to do, before the error", func(t *testing.T) {
		require.Regexp(t, `<b>The database does not answer.</b> See that PostgreSQL runs and takes connections; this page goes on by itself. What is shown is from [\d:]+, <time datetime="[^"]+" data-age>[^<]+</time> ago. <span class="second">.*closed pool`, text)
		require.Regexp(t, `<span>Not live since [\d:]+, trying again</span>`, text)
		require.Contains(t, text, `<noscript><meta http-equiv="refresh" content="10"></noscript>`)
	})
	t.Run("write no line into the log with each look", func(t *testing.T) {
		at := time.Now()
		s.overview("data-age>3")
		require.LessOrEqual(t, log.lines.Load(), int64(1+time.Since(at)/(10*time.Second)))
	})
	t.Run("show no row as if it were of now", func(t *testing.T) {
		require.Regexp(t, `Not known</span></td>\s*<th [^>]+><a [^>]+>total</a>\s*<span class="second">projection, (live|not running) as of [\d:]+<`, text)
		require.NotContains(t, text, "badge live")
		require.NotContains(t, text, "<span>0 s</span>")
		require.NotContains(t, text, calm)
	})
	t.Run("show a projection as it is not known, and nothing to do", func(t *testing.T) {
		response, text := s.send("GET", "consumer?kind=projection&name=total", nil, "X-Operator", "karin")
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Contains(t, text, "<title>total, Not known ·")
		require.Contains(t, text, "<dt>Lag</dt> <dd><span class=\"none\">–</span></dd>")
		require.Contains(t, text, "<dt>Behind</dt> <dd><span class=\"none\">unknown</span></dd>")
		require.Contains(t, text, "Nothing, until the database answers.")
		require.NotContains(t, text, "<form method=\"post\"")
		require.NotContains(t, text, "could not be loaded")
		require.NotContains(t, text, "Nobody has done anything")
	})
	t.Run("tell programs", func(t *testing.T) {
		var all struct {
			Old       bool
			Problem   string
			Consumers []struct {
				State, Was string
				AsOf       time.Time `json:"as_of"`
				Lag        int64     `json:"lag_ms"`
				Behind     int64
			}
		}
		_, text := s.send("GET", "", nil, "Accept", "application/json")
		require.NoError(t, json.Unmarshal([]byte(text), &all))
		require.True(t, all.Old)
		require.Contains(t, all.Problem, "The database does not answer. ")
		require.Len(t, all.Consumers, 2)
		for _, c := range all.Consumers {
			require.Equal(t, "Not known", c.State)
			require.NotEmpty(t, c.Was)
			require.WithinDuration(t, time.Now(), c.AsOf, time.Minute)
			require.EqualValues(t, -1, c.Lag)
			require.EqualValues(t, -1, c.Behind)
		}
	})
	t.Run("do not say that nothing is parked", func(t *testing.T) {
		_, text := s.send("GET", "parked", nil)
		require.Contains(t, text, "What is parked could not be read; at ")
		response, text := s.send("GET", "parked", nil, "Accept", "application/json")
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Contains(t, text, `"problem": "The database does not answer. `)
		require.Contains(t, text, `"consumers": []`)
	})
	t.Run("have no other answer to what has to be asked now", func(t *testing.T) {
		for _, path := range []string{"nodes", "log", "operations", "events", "stream?aggregate=bank.Account&id=anna", "consumer?kind=reactor&name=letters", "confirm?action=pause&kind=projection&name=total"} {
			response, text := s.send("GET", path, nil, "X-Operator", "karin")
			require.Equal(t, http.StatusServiceUnavailable, response.StatusCode, path)
			require.Contains(t, text, "<h1>Not known just now</h1>", path)
			require.NotContains(t, text, "That did not work", path)
		}
	})
}
