//go:build unix

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/operate"
)

// demoPatience is for the import of a year on a slow machine.
const demoPatience = 10 * time.Minute

// demoDays is less than the year that people see, and all happens in it.
const demoDays = 15

// demoServer is the private PostgreSQL of a demo.
type demoServer struct {
	dir string
	pid int
}

// startDemo starts a demo and returns when its server is up.
func startDemo(t *testing.T, args ...string) (*process, demoServer) {
	t.Helper()
	p := startBuilt(t, append([]string{"demo"}, args...)...)
	line := p.await(p.err, "RabbitMQ", demoPatience)
	require.Regexp(t, `(?m)^started PostgreSQL \(.*\) on 127\.0\.0\.1:\d+, data in .*\n`, line)
	_, dir, _ := strings.Cut(line, "data in ")
	dir, _, _ = strings.Cut(dir, "\n")
	content, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	require.NoError(t, err)
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(first)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0), "the server runs")
	return p, demoServer{dir, pid}
}

func (s demoServer) requireGone(t *testing.T) {
	t.Helper()
	require.NoDirExists(t, s.dir)
	require.ErrorIs(t, syscall.Kill(s.pid, 0), syscall.ESRCH)
}

// numbers returns the numbers that a pattern finds.
func numbers(t *testing.T, text, pattern string) []int {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	require.NotNil(t, found, "%s is not in:\n%s", pattern, text)
	var all []int
	for _, digits := range found[1:] {
		n, err := strconv.Atoi(digits)
		require.NoError(t, err)
		all = append(all, n)
	}
	return all
}

// requireOverview requires that the demo's output adds up.
func requireOverview(t *testing.T, out string, dances int) {
	t.Helper()
	first := numbers(t, out, `(?m)^edition 1, (\d+) rows: (\d+) bands, (\d+) halls and (\d+) dances created, 0 updated, 0 deleted, 0 unchanged, 0 skipped, 0 with problems$`)
	second := numbers(t, out, `(?m)^edition 2, (\d+) rows: (\d+) bands, (\d+) halls and (\d+) dances created, (\d+) updated, (\d+) deleted, (\d+) unchanged, (\d+) skipped, 0 with problems$`)
	bands, halls, created := first[1]+second[1], first[2]+second[2], first[3]
	late, updated, deleted, unchanged := second[3], second[4], second[5], second[6]
	require.Equal(t, first[0], created)
	require.Equal(t, dances, created+late)
	require.LessOrEqual(t, bands, generator.Bands)
	require.LessOrEqual(t, halls, generator.Halls)
	require.NotZero(t, late*updated*deleted*unchanged, "the second edition has changes of each kind")

	tables := map[string]int{}
	preferences := 0
	for _, table := range []string{
		"band", "dance_hall", "event", "origin", "ignored_band", "ignored_dance_hall", "ignored_city",
		"ignored_municipality", "ignored_state", "userpreferences_lookup",
	} {
		tables[table] = numbers(t, out, `(?m)^`+table+` +(\d+)$`)[0]
		if table == "origin" || strings.HasPrefix(table, "ignored_") {
			require.LessOrEqual(t, tables[table], demoUsers)
			require.Greater(t, tables[table], demoUsers/2, table)
			preferences += tables[table]
		}
	}
	require.Equal(t, bands, tables["band"])
	require.Equal(t, halls, tables["dance_hall"])
	require.Equal(t, created+late-deleted, tables["event"])
	require.Equal(t, bands, tables["userpreferences_lookup"])
	found := numbers(t, out, `(?m)^(\d+) dance halls on the map, 0 waiting, (\d+) not found, 0 failed$`)
	geocoded := found[0]
	require.Equal(t, halls, geocoded+found[1])
	require.Greater(t, geocoded, halls*9/10)
	require.Equal(t, bands+halls+created+late+updated+deleted+preferences+geocoded, numbers(t, out, `(?m)^(\d+) events in the log$`)[0])
	for _, name := range append(slices.Clone(projectionNames), "relay", "geocoding") {
		position := numbers(t, out, fmt.Sprintf(`(?m)^%s +[a-z]+ +live +(\d+)  (\d+)  0 +0s +\S+(?: .*)?$`, name))
		require.Equal(t, position[0], position[1], "%s has applied everything", name)
	}
}

func TestDemoOnce(t *testing.T) {
	t.Parallel()
	p, server := startDemo(t, "--seed", "2", "--days", strconv.Itoa(demoDays))
	require.Equal(t, operate.ExitDone, p.wait(demoPatience), p.err)
	server.requireGone(t)
	requireOverview(t, p.out.String(), generator.DancesPerYear*demoDays/365)
	require.NotContains(t, p.out.String(), "It stays up")
	require.Regexp(t, `(?m)^GET http://127\.0\.0\.1:\d+/\n  \d+ danser i Sverige`, p.out.String())
	require.Regexp(t, `(?m)^POST http://127\.0\.0\.1:\d+/graphql.*\n  \{\n    "events": \{\n      "totalCount": [1-9]`, p.out.String())
	require.NotContains(t, p.err.String(), "level=")
	for _, what := range []string{"edition 1", "edition 2", "projecting", "geocoding"} {
		require.Regexp(t, `(?m)^`+what+`: \d+(?: of \d+)? [a-z]+ in .*s, \d+ a second`, p.err.String())
	}
}

func TestDemoThatStaysUp(t *testing.T) {
	t.Parallel()
	p, server := startDemo(t, "--stay", "--days", strconv.Itoa(demoDays))
	out := p.await(p.out, "/metrics\n", demoPatience)
	requireOverview(t, out, generator.DancesPerYear*demoDays/365)
	url := regexp.MustCompile(`(?m)^  psql '(postgres://.*)'$`).FindStringSubmatch(out)
	require.NotNil(t, url, out)
	require.Equal(t, 3, strings.Count(out, "'"+url[1]+"'"))
	for _, address := range regexp.MustCompile(`http://127\.0\.0\.1:\d+/\S*`).FindAllString(out, -1) {
		page, err := fetch(t.Context(), "GET", address, nil)
		require.NoError(t, err)
		if strings.HasSuffix(address, "/metrics") {
			require.Contains(t, string(page), `consumer_state{kind="projection",name="band",state="live"} 1`)
			continue
		}
		require.Contains(t, string(page), "<title>")
	}
	got := dancefinder(t, "readviews", "status", "--database-url", url[1])
	require.Equal(t, operate.ExitDone, got.code, got.err)
	require.Equal(t, len(projectionNames)+2, strings.Count(got.out, " live "), "also geocoding, and the relay, whatever this environment says of RabbitMQ")

	// It keeps projecting what others write.
	require.Equal(t, operate.ExitDone, dancefinderReads(t, header+
		"2036-07-04,21.00-01.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n", "import", "-", "--database-url", url[1]).code)
	a := appOn(t, url[1])
	require.NoError(t, a.project(t))
	var dances int
	require.NoError(t, a.pool.QueryRow(t.Context(), "SELECT count(*) FROM event WHERE event_date = '2036-07-04'").Scan(&dances))
	require.Equal(t, 1, dances)
	require.Equal(t, operate.ExitDone, p.stop(), p.err)
	server.requireGone(t)
	require.NotContains(t, p.err.String(), "level=")
}

func TestDemoThatIsInterrupted(t *testing.T) {
	t.Parallel()
	p, server := startDemo(t, "--once")
	require.Equal(t, operate.ExitInterrupted, p.stop(), p.err)
	server.requireGone(t)
	require.Regexp(t, `(^|\n)dancefinder: interrupted\n$`, p.err.String())
}
