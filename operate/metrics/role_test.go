package metrics_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/operate/metrics"
)

// childReports is where a process finds the database of which it reports.
const childReports = "METRICS_TEST_REPORTS"

func nobody(context.Context) ([]consumer.Status, error) { return nil, nil }

// report is a process that is scraped once, and then no more.
func report(url string) {
	pool, err := pgxpool.New(context.Background(), url)
	if err != nil {
		panic(err)
	}
	m := metrics.New(metrics.Config{Pool: pool, Status: nobody})
	metrics.SetRole(m, 3*time.Second, time.Hour)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	if _, err := registry.Gather(); err != nil {
		panic(err)
	}
	fmt.Println("scraped")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// A node that is frozen says nothing to the server, which ends its session then.
func TestReporterThatIsFrozen(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env, child.Stderr = append(os.Environ(), childReports+"="+db.URL), os.Stderr
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	defer func() {
		_ = child.Process.Signal(syscall.SIGCONT)
		_ = stdin.Close()
		require.NoError(t, child.Wait())
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "scraped\n", line)

	other := newNode(t, db)
	require.EqualValues(t, 0, other.value("consumer_reporter"))
	require.Eventually(t, func() bool {
		var longer bool
		require.NoError(t, db.Pool.QueryRow(t.Context(), `SELECT state_change > backend_start + interval '6 s' FROM pg_stat_activity JOIN pg_locks USING (pid)
			WHERE locktype = 'advisory' AND classid::bigint << 32 | objid::bigint = hashtextextended('eventsourcing metrics of ' || current_schema(), 0)`).Scan(&longer))
		return longer
	}, time.Minute, 200*time.Millisecond, "it keeps its session though nobody scrapes it")
	require.EqualValues(t, 0, other.value("consumer_reporter"))

	require.NoError(t, child.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool { return other.value("consumer_reporter") == 1 }, time.Minute, 500*time.Millisecond, "another one takes over")
}

// A node that Prometheus does not reach any more does not keep others from reporting.
func TestReporterThatIsNotScraped(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	one, other := newNode(t, db), newNode(t, db)
	metrics.SetRole(one.metrics, 300*time.Millisecond, time.Second)
	require.EqualValues(t, 1, one.value("consumer_reporter"))
	require.EqualValues(t, 0, other.value("consumer_reporter"))
	require.Eventually(t, func() bool { return other.value("consumer_reporter") == 1 }, time.Minute, 200*time.Millisecond)
	require.EqualValues(t, 0, one.value("consumer_reporter"))
}
