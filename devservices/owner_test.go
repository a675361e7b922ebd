//go:build unix

package devservices_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dancefinder/eventsourcing/devservices"
)

const (
	ownerVariable = "DEVSERVICES_TEST_OWNER"
	patience      = 30 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(ownerVariable) != "" {
		beOwner()
	}
	goleak.VerifyTestMain(m)
}

// beOwner is the child process of TestPostgresOwnerKilled.
func beOwner() {
	server, err := devservices.StartPostgres(context.Background(), devservices.PostgresConfig{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(server.URL())
	select {}
}

func TestPostgresOwnerKilled(t *testing.T) {
	t.Parallel()
	t.Run("while the cluster is made", func(t *testing.T) {
		t.Parallel()
		owner, dir, _ := startOwner(t)
		var initialising []string
		require.Eventually(t, func() bool {
			initialising, _ = filepath.Glob(filepath.Join(dir, "*", "data.new", "PG_VERSION"))
			return len(initialising) == 1
		}, patience, time.Millisecond)
		require.NoError(t, owner.Kill())
		requireNothingLeft(t, dir)
	})
	t.Run("while the server runs", func(t *testing.T) {
		t.Parallel()
		owner, dir, output := startOwner(t)
		address, err := output.ReadString('\n')
		require.NoError(t, err)
		address = strings.TrimSpace(address)
		connect(t, address)
		pids, err := filepath.Glob(filepath.Join(dir, "*", "data", "postmaster.pid"))
		require.NoError(t, err)
		require.Len(t, pids, 1)
		content, err := os.ReadFile(pids[0])
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.SplitN(string(content), "\n", 2)[0])
		require.NoError(t, err)

		require.NoError(t, owner.Kill())
		requireNothingLeft(t, dir)
		require.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
		require.False(t, listens(t, address))
	})
}

// startOwner starts a process that owns a server whose folder is made in dir.
func startOwner(t *testing.T) (owner *os.Process, dir string, output *bufio.Reader) {
	t.Helper()
	dir = folder(t)
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), ownerVariable+"=1", "TMPDIR="+dir)
	pipe, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	return command.Process, dir, bufio.NewReader(pipe)
}
