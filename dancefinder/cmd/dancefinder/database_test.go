package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// with returns the database's URL with another setting.
func (d *database) with(setting string) string { return d.URL + "&" + setting }

func TestSizeOfThePool(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	for setting, want := range map[string]int32{
		"application_name=x":                         defaultConns,
		"pool_max_conns=3":                           3,
		"pool_max_conns=50":                          50,
		fmt.Sprintf("pool_max_conns=%d", leastConns): leastConns,
		"pool_min_conns=20":                          20,
	} {
		a := appOn(t, d.with(setting))
		require.Equal(t, want, a.pool.Config().MaxConns, setting)
		require.Equal(t, idleTime, a.pool.Config().MaxConnIdleTime)
	}
	require.EqualValues(t, 7, appOn(t, d.with("pool_max_conn_idle_time=7ns")).pool.Config().MaxConnIdleTime)
	t.Run("that is too small is refused", func(t *testing.T) {
		t.Parallel()
		for _, command := range commands {
			got := dancefinder(t, append(command[:len(command):len(command)], "--database-url", d.with("pool_max_conns=1"))...)
			require.Equal(t, operate.ExitUsage, got.code)
			require.Contains(t, got.err, "pool_max_conns=1 is too small: a projector needs 2, and has one more to listen")
		}
	})
}

// With the least of connections everything works.
func TestLeastConnections(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	url := d.with(fmt.Sprintf("pool_max_conns=%d&application_name=%s", leastConns, d.Schema))
	run := func(stdin string, args ...string) {
		t.Helper()
		got := dancefinderReads(t, stdin, append(args, "--database-url", url)...)
		require.Equal(t, operate.ExitDone, got.code, got.err)
	}
	run("", "migrate", "up")
	run("", "migrate", "status")
	projector := start(t, "projector", "--database-url", url)
	projector.await(projector.err, "projector runs", patience)
	listing := dancefinder(t, "generate", "--days", "15")
	run(strings.Join(strings.SplitAfter(listing.out, "\n")[:300], ""), "import", "-", "--partial")
	run("", "readviews", "status")
	run("", "readviews", "pause", "band")
	run("", "readviews", "reset", "band", "event")
	run("", "readviews", "resume", "band")
	require.NoError(t, d.app().project(t))
	require.LessOrEqual(t, d.number("SELECT count(*) FROM pg_stat_activity WHERE application_name = '"+d.Schema+"'"), int64(leastConns+1), "and the one that listens")
	require.Equal(t, operate.ExitDone, projector.stop())
	require.NotContains(t, projector.err.String(), "level=ERROR")
	require.NotContains(t, projector.err.String(), "level=WARN")
}

// What can't work is refused before anything is done.
func TestQueryModes(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	d.imports(july)
	projector := start(t, d.args([]string{"projector"})...)
	require.NoError(t, d.app().project(t))
	require.Equal(t, operate.ExitDone, projector.stop())
	for _, mode := range []string{"exec", "simple_protocol"} {
		for _, command := range append(commands, []string{"relay", "status"}, []string{"geocoding", "status"}, []string{"geocoding", "retry"}) {
			got := dancefinder(t, append(command[:len(command):len(command)], "--database-url", d.with("default_query_exec_mode="+mode))...)
			require.Equal(t, operate.ExitUsage, got.code, command)
			require.Contains(t, got.err, "default_query_exec_mode="+mode+" does not ask")
			require.Contains(t, got.err, "cache_describe")
		}
	}
	require.EqualValues(t, 2, d.number("SELECT count(*) FROM band"), "the reset has emptied nothing")
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec"} {
		got := dancefinder(t, "readviews", "status", "--database-url", d.with("default_query_exec_mode="+mode))
		require.Equal(t, operate.ExitDone, got.code, got.err)
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	t.Run("say what a pooler needs", func(t *testing.T) {
		t.Parallel()
		a := newTables(t).app()
		for _, code := range []string{"42P05", "26000"} {
			err := a.explain(t.Context(), fmt.Errorf("status: %w", &pgconn.PgError{Code: code, Message: "prepared statement"}))
			hinted := operate.HintedError{}
			require.ErrorAs(t, err, &hinted)
			require.Contains(t, hinted.Hint, "default_query_exec_mode=cache_describe")
		}
		require.Equal(t, poolerHint, a.hint(t.Context(), `prepared statement "stmtcache_1" already exists (SQLSTATE 42P05)`))
		other := errors.New("something else")
		require.Equal(t, other, a.explain(t.Context(), other))
		require.NotErrorAs(t, a.explain(t.Context(), &pgconn.PgError{Code: "42703"}), new(operate.HintedError))
	})
}

// A part that ends without being asked to takes the others along: a projector
// without its relay would be one that says nothing.
func TestPartsThatStop(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	a, err := openApp(t.Context(), appOptions{databaseURL: d.URL, logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer a.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- a.Run(ctx) }()
	<-a.router.Running()
	require.NoError(t, a.router.Close())
	require.EqualError(t, <-ran, "*readview.Manager has stopped by itself")
}
