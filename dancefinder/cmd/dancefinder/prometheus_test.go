//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// monitor is a real Prometheus, with the rules of docs/monitoring.
type monitor struct {
	t   *testing.T
	url string
	log *output
}

// alert is one that waits for its time, or fires.
type alert struct {
	Labels      map[string]string
	Annotations map[string]string
	State       string // "pending" or "firing"
}

func (a alert) String() string {
	return fmt.Sprintf("%s %s %s: %s", a.Labels["alertname"], a.State, a.Labels["name"], a.Annotations["summary"])
}

// rulesEvery and the scrapes are all that is shorter than in production: the times of the rules are what is tested.
const rulesEvery = "interval: 5s"

// watch starts a Prometheus that scrapes addresses every second.
func watch(t *testing.T, addresses ...string) *monitor {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	require.NoError(t, err, "install it: apt-get install prometheus")
	rules, err := os.ReadFile("../../../docs/monitoring/alerts.yml")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(rules), rulesEvery))
	dir := t.TempDir()
	write(t, filepath.Join(dir, "alerts.yml"), strings.ReplaceAll(string(rules), rulesEvery, "interval: 1s"))
	write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s}\nrule_files: [alerts.yml]\n"+
		"scrape_configs: [{job_name: dancefinder, static_configs: [{targets: [%s]}]}]\n", strings.Join(addresses, ", ")))
	p := &monitor{t: t, log: newOutput()}
	command := exec.CommandContext(t.Context(), program, "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), //nolint:gosec // Debian's
		"--web.listen-address=127.0.0.1:0", "--log.level=info")
	command.Stderr = p.log
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	listens := regexp.MustCompile(`msg="Listening on" address=(127\.0\.0\.1:\d+)`)
	require.Eventually(t, func() bool {
		found := listens.FindStringSubmatch(p.log.String())
		if found != nil {
			p.url = "http://" + found[1]
		}
		return found != nil
	}, patience, 20*time.Millisecond, "Prometheus does not start")
	return p
}

// alerts returns those that wait for their time or fire.
func (p *monitor) alerts() []alert {
	p.t.Helper()
	var answer struct {
		Data struct{ Alerts []alert }
	}
	p.ask("/api/v1/alerts", &answer)
	return answer.Data.Alerts
}

// scraped tells whether a query has a result.
func (p *monitor) scraped(query string) bool {
	p.t.Helper()
	var answer struct {
		Data struct{ Result []any }
	}
	p.ask("/api/v1/query?query="+url.QueryEscape(query), &answer)
	return len(answer.Data.Result) > 0
}

func (p *monitor) ask(path string, answer any) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+path, nil)
	require.NoError(p.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err, p.log)
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusServiceUnavailable { // it reads its storage
		return
	}
	require.Equal(p.t, http.StatusOK, response.StatusCode)
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(answer))
}

// fires waits until an alert fires, of a consumer if a name is given, and returns after how long.
func (p *monitor) fires(name, of string, within time.Duration) time.Duration {
	p.t.Helper()
	began, deadline := time.Now(), time.Now().Add(within)
	for {
		all := p.alerts()
		for _, a := range all {
			if a.State == "firing" && a.Labels["alertname"] == name && (of == "" || a.Labels["name"] == of) {
				p.t.Logf("%s fired after %s: %s", name, time.Since(began).Round(100*time.Millisecond), a.Annotations["summary"])
				return time.Since(began)
			}
		}
		require.True(p.t, time.Now().Before(deadline), "%s does not fire within %s, but %v", name, within, all)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-p.t.Context().Done():
		}
	}
}

// silent requires that nothing fires for some time.
func (p *monitor) silent(during time.Duration) {
	p.t.Helper()
	require.Never(p.t, func() bool {
		for _, a := range p.alerts() {
			if a.State == "firing" {
				p.t.Log(a)
				return true
			}
		}
		return false
	}, during, time.Second)
}
