package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/dancefinder/eventsourcing/operate/metrics"
)

const monitoring = "../../docs/monitoring/"

// dashboard is what a test wants to know of Grafana's format.
type dashboard struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
	Templating struct{ List []struct{ Definition string } }
}

// rules is what a test wants to know of alerts.yml.
type rules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Annotations map[string]string
		}
	}
}

func readDashboard(t *testing.T) (all dashboard) {
	t.Helper()
	text, err := os.ReadFile(monitoring + "dashboard.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

func readRules(t *testing.T) (all rules) {
	t.Helper()
	text, err := os.ReadFile(monitoring + "alerts.yml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &all))
	return all
}

// series are the names that a scrape can have, and how many metrics they are of.
func series(t *testing.T) (names map[string]bool, metricsOf int) {
	t.Helper()
	descriptions := make(chan *prometheus.Desc, 100)
	metrics.New(metrics.Config{}).Describe(descriptions)
	close(descriptions)
	names, name := map[string]bool{}, regexp.MustCompile(`fqName: "(\w+)"`)
	for d := range descriptions {
		found := name.FindStringSubmatch(d.String())
		require.NotNil(t, found)
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			names[found[1]+suffix] = true
		}
		metricsOf++
	}
	return names, metricsOf
}

var (
	notMetrics = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(by|on|without|ignoring)\s*\([^)]*\)|label_values\(|, \w+\)$`)
	identifier = regexp.MustCompile(`[a-zA-Z_]\w*`)
	promQL     = map[string]bool{"sum": true, "max": true, "max_over_time": true, "sum_over_time": true, "last_over_time": true, "rate": true, "histogram_quantile": true, "vector": true, "or": true, "and": true,
		"unless": true, "absent": true, "time": true, "e6": true}
)

// metricsIn returns the names of a query that are not the language's.
func metricsIn(query string) (names []string) {
	for _, name := range identifier.FindAllString(notMetrics.ReplaceAllString(query, " "), -1) {
		if !promQL[name] {
			names = append(names, name)
		}
	}
	return names
}

// A dashboard and rules that ask for metrics that nobody has show nothing, and never fire.
func TestQueriesNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	queries := map[string]string{}
	board := readDashboard(t)
	for _, panel := range board.Panels {
		for i, target := range panel.Targets {
			queries[fmt.Sprint("panel ", panel.Title, " ", i)] = target.Expr
		}
	}
	for _, variable := range board.Templating.List {
		if variable.Definition != "" {
			queries["variable "+variable.Definition] = variable.Definition
		}
	}
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			queries["alert "+rule.Alert] = rule.Expr
		}
	}
	require.Greater(t, len(queries), 30)
	exist, n := series(t)
	require.Greater(t, n, 20)
	for of, query := range queries {
		names := metricsIn(query)
		require.NotEmpty(t, names, "%s: %s", of, query)
		for _, name := range names {
			require.True(t, exist[name], "%s: there is no metric %s", of, name)
		}
	}
}

// Prometheus understands the queries of the dashboard.
func TestQueriesOfTheDashboardAreValid(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	out.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, panel := range readDashboard(t).Panels {
		for _, target := range panel.Targets {
			query, err := json.Marshal(strings.NewReplacer("$__rate_interval", "1m", "$kind", ".*", "$name", ".*").Replace(target.Expr))
			require.NoError(t, err)
			fmt.Fprintf(&out, "  - record: panel%d\n    expr: %s\n", strings.Count(out.String(), "\n"), query)
		}
	}
	path := filepath.Join(t.TempDir(), "dashboard.yml")
	require.NoError(t, os.WriteFile(path, []byte(out.String()), 0o600))
	report, err := exec.CommandContext(t.Context(), "promtool", "check", "rules", path).CombinedOutput()
	require.NoError(t, err, "promtool is in Debian's package prometheus: %s", report)
}

// Whoever is woken finds what to do.
func TestAlertsLinkToTheirParagraph(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		anchor := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors["docs/operating.md#"+strings.ReplaceAll(anchor, " ", "-")] = true
	}
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			require.True(t, anchors[rule.Annotations["runbook"]], "%s: %s", rule.Alert, rule.Annotations["runbook"])
		}
	}
}
