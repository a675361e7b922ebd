//go:build unix

package devservices_test

import (
	"bytes"
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/devservices"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	server := start(t, devservices.PostgresConfig{Settings: map[string]string{"work_mem": "5MB"}, Log: &log})
	require.Equal(t, 1, strings.Count(log.String(), "\n"))
	dir := dataFolder(log.String())
	require.DirExists(t, dir)

	var encoding, connections, fsync, commit, workMem string
	var superuser bool
	require.NoError(t, connect(t, server.URL()).QueryRow(t.Context(), `
		SELECT current_setting('server_encoding'), current_setting('max_connections'), current_setting('fsync'),
			current_setting('synchronous_commit'), current_setting('work_mem'), rolsuper FROM pg_roles WHERE rolname = current_user`,
	).Scan(&encoding, &connections, &fsync, &commit, &workMem, &superuser))
	require.Equal(t, []string{"UTF8", "200", "off", "on", "5MB"}, []string{encoding, connections, fsync, commit, workMem})
	require.True(t, superuser)

	_, err := pgx.Connect(t.Context(), withoutPassword(t, server.URL()))
	require.Error(t, err, "other users of the machine must not get in")

	require.NoError(t, server.Close())
	require.NoError(t, server.Close(), "Close is idempotent")
	require.NoDirExists(t, dir)
	require.False(t, listens(t, server.URL()))
}

func TestPostgresNamedFolder(t *testing.T) {
	t.Parallel()
	config := devservices.PostgresConfig{Dir: filepath.Join(folder(t), "deeper", "data"), Durable: true}
	first := start(t, config)
	conn := connect(t, first.URL())
	_, err := conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 42 AS n, current_setting('fsync') AS fsync")
	require.NoError(t, err)

	_, err = devservices.StartPostgres(t.Context(), config)
	require.ErrorContains(t, err, "postmaster.pid", "the log says why")
	require.NoError(t, conn.Ping(t.Context()), "the refused start must leave the running server alone")
	require.NoError(t, first.Close())

	var n int
	var fsync string
	require.NoError(t, connect(t, start(t, config).URL()).QueryRow(t.Context(), "TABLE kept").Scan(&n, &fsync))
	require.Equal(t, 42, n)
	require.Equal(t, "on", fsync)
}

func TestPostgresRefusesForeignFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600))
	_, err := devservices.StartPostgres(t.Context(), devservices.PostgresConfig{Dir: dir})
	require.ErrorContains(t, err, "neither empty nor one of ours")
}

func TestPostgresCancelledStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := devservices.StartPostgres(ctx, devservices.PostgresConfig{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestPostgresLostPort(t *testing.T) {
	t.Parallel()
	winner, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, winner.Close()) }()
	_, err = devservices.StartPostgresOn(t.Context(), devservices.PostgresConfig{}, winner.Addr().(*net.TCPAddr).Port)
	require.ErrorIs(t, err, devservices.ErrPortTaken)
}

func TestPostgresReportsItsLog(t *testing.T) {
	t.Parallel()
	_, err := devservices.StartPostgres(t.Context(), devservices.PostgresConfig{Settings: map[string]string{"no_such_setting": "1"}})
	require.ErrorContains(t, err, `unrecognized configuration parameter "no_such_setting"`)
}

// Not parallel: it changes PATH.
func TestPostgresNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	devservices.ForgetPlaces(t)
	_, err := devservices.StartPostgres(t.Context(), devservices.PostgresConfig{})
	require.ErrorIs(t, err, devservices.ErrNotInstalled)
	require.NotContains(t, err.Error(), "\n")
	require.ErrorIs(t, devservices.InstallPostgres(t.Context(), &bytes.Buffer{}), devservices.ErrNotInstalled, "there is no apt-get")
}

// Not parallel: it changes TMPDIR.
func TestPostgresInFoldersOfRoot(t *testing.T) {
	closed := filepath.Join(folder(t), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	if os.Geteuid() != 0 { // the server is of who starts it, and the folder is, too
		require.NoError(t, start(t, devservices.PostgresConfig{Dir: filepath.Join(closed, "data")}).Close())
		return
	}
	_, err := devservices.StartPostgres(t.Context(), devservices.PostgresConfig{Dir: filepath.Join(closed, "data")})
	require.ErrorContains(t, err, filepath.Join(closed, "data"))

	t.Setenv("TMPDIR", closed)
	var log bytes.Buffer
	require.NoError(t, start(t, devservices.PostgresConfig{Log: &log}).Close())
	require.Equal(t, "/tmp", filepath.Dir(dataFolder(log.String())))
	entries, err := os.ReadDir(closed)
	require.NoError(t, err)
	require.Len(t, entries, 1, "only the refused named folder")
}

func TestNewestFirst(t *testing.T) {
	t.Parallel()
	require.Equal(t,
		[]string{"/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/9.6/bin", "/opt/postgresql/bin"},
		devservices.NewestFirst([]string{"/opt/postgresql/bin", "/usr/lib/postgresql/9.6/bin", "/usr/lib/postgresql/17/bin"}))
}

func start(t *testing.T, config devservices.PostgresConfig) *devservices.Postgres {
	t.Helper()
	server, err := devservices.StartPostgres(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

func requireNothingLeft(t *testing.T, dir string) {
	t.Helper()
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(dir)
		return err == nil && len(entries) == 0
	}, patience, 5*time.Millisecond)
}

// folder is a temporary folder that every user can use.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "devservices-test-") //nolint:usetesting // others cannot pass t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}

func dataFolder(log string) string {
	_, dir, _ := strings.Cut(strings.TrimSpace(log), "data in ")
	return dir
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func withoutPassword(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	parsed.User = url.UserPassword(parsed.User.Username(), "wrong")
	return parsed.String()
}

func listens(t *testing.T, address string) bool {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	conn, err := net.Dial("tcp4", parsed.Host)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}
