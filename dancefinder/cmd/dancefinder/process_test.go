//go:build unix

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/stretchr/testify/require"
)

// child is DanceFinder in a process of its own.
type child struct {
	t       *testing.T
	command *exec.Cmd
	stderr  *output
	ended   chan struct{}
}

// spawn starts a process that reads from stdin. It is killed with the test at the
// latest.
func spawn(t *testing.T, stdin io.Reader, args ...string) *child {
	t.Helper()
	return spawnBy(t, stdin, append([]string{built(t)}, args...)...)
}

// spawnBy is spawn with the whole command line.
func spawnBy(t *testing.T, stdin io.Reader, line ...string) *child {
	t.Helper()
	c := &child{t: t, command: exec.CommandContext(t.Context(), line[0], line[1:]...), stderr: newOutput(), ended: make(chan struct{})}
	c.command.Stdin, c.command.Stderr, c.command.Stdout = stdin, c.stderr, &bytes.Buffer{}
	require.NoError(t, c.command.Start())
	go func() {
		defer close(c.ended)
		_ = c.command.Wait()
	}()
	t.Cleanup(func() {
		_ = c.command.Process.Kill()
		<-c.ended
	})
	return c
}

// wait returns the exit code, -1 if a signal ended the process.
func (c *child) wait() int {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		require.FailNow(c.t, "the process does not end", c.stderr)
	}
	return c.command.ProcessState.ExitCode()
}

func TestSignals(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run("end a projector in order: "+signal.String(), func(t *testing.T) {
			t.Parallel()
			d := newTables(t)
			d.imports(july)
			c := spawn(t, nil, d.args([]string{"projector"})...)
			require.NoError(t, d.app().project(t))
			require.NoError(t, c.command.Process.Signal(signal))
			require.Equal(t, operate.ExitDone, c.wait(), c.stderr)
			require.Equal(t, "standby", d.status()["band"].State, "it let go of the projections")
		})
	}
	for name, shell := range map[string][]string{
		"":                               nil,
		" when its shell ignores SIGINT": {"/bin/sh", "-c", `trap "" INT; exec "$0" "$@"`},
	} {
		t.Run("end what waits for its input"+name, func(t *testing.T) {
			t.Parallel()
			d := newTables(t)
			stdin, writer, err := os.Pipe()
			require.NoError(t, err)
			c := spawnBy(t, stdin, append(shell, built(t), "import", "-", "--database-url", d.URL)...)
			require.NoError(t, stdin.Close(), "the child has it")
			t.Cleanup(func() { require.NoError(t, writer.Close()) })
			// More than a pipe holds: when all is written, it was read, and there is no more.
			_, err = writer.WriteString(header + strings.Repeat("2026-07-04,21.00,Ej fastställt,Parken,Malung,Malung-Sälen,Dalarna,\n", 10_000))
			require.NoError(t, err, c.stderr)
			require.NoError(t, c.command.Process.Signal(syscall.SIGINT))
			require.Equal(t, operate.ExitInterrupted, c.wait(), c.stderr)
			require.Regexp(t, `(^|\n)dancefinder: interrupted\n$`, c.stderr.String())
			require.NotContains(t, c.stderr.String(), "context canceled")
		})
	}
	t.Run("are not needed for wrong usage, which is the exit code too", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, operate.ExitUsage, spawn(t, nil, "nonsense").wait())
		require.Equal(t, operate.ExitDone, spawn(t, nil, "help").wait())
		require.Equal(t, operate.ExitFailed, spawn(t, nil, "migrate", "up", "--database-url", nowhere).wait())
	})
}

// A pipe to which nobody writes keeps nobody from stopping an import of it.
func TestImportOfASilentPipeCanBeStopped(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, checkListing(pipe))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	file, size, err := (&importRun{}).open(ctx, pipe)
	require.NoError(t, err)
	require.EqualValues(t, -1, size)
	_, err = file.Read(make([]byte, 1))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	writer, err := os.OpenFile(pipe, os.O_RDWR, 0) // lets go who waits for one
	require.NoError(t, err)
	require.NoError(t, writer.Close())
}
