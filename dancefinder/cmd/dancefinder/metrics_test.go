package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/operate"
)

func TestProjectorServesMetrics(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	p := start(t, d.args([]string{"projector", "--metrics-listen", "127.0.0.1:0"})...)
	said := p.await(p.err, "serves metrics", patience)
	url := regexp.MustCompile(`url=(http://127\.0\.0\.1:\d+/metrics)`).FindStringSubmatch(said)
	require.NotNil(t, url, said)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for _, line := range []string{
		`consumer_reporter 1`,
		`consumer_status_up 1`,
		`consumer_state\{kind="projection",name="event",state="(live|standby)"\} 1`,
		`consumer_events_behind\{kind="projection",name="band"\} 0`,
		`consumer_lag_seconds\{kind="reactor",name="geocoding"\} 0`,
		`eventlog_appends_total\{outcome="conflict"\} 0`,
		`go_goroutines \d+`,
	} {
		response, err := http.Get(url[1]) //nolint:noctx // it is the test's own server
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Regexp(t, `(?m)^`+line+`$`, string(text))
	}
	for path, want := range map[string]string{
		"healthz": `"status":"alive","consumers_known":true.*"name":"band","condition":"ok"`, "readyz": `"status":"ready"`,
	} {
		response, err := http.Get(strings.TrimSuffix(url[1], "metrics") + path) //nolint:noctx // it is the test's own server
		require.NoError(t, err)
		text, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Regexp(t, want, string(text))
	}
	require.Equal(t, operate.ExitDone, p.stop(), p.err)

	got := dancefinder(t, d.args([]string{"projector", "--metrics-listen", "nowhere:x"})...)
	require.Equal(t, operate.ExitUsage, got.code)
	require.Contains(t, got.err, "--metrics-listen")
}
