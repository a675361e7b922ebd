//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

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
	c := &child{t: t, command: exec.CommandContext(t.Context(), os.Args[0], args...), stderr: newOutput(), ended: make(chan struct{})}
	c.command.Env = append(os.Environ(), isChild+"=1")
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
			require.Equal(t, exitDone, c.wait(), c.stderr)
			require.Equal(t, "standby", d.status()["band"].State, "it let go of the projections")
		})
	}
	t.Run("end at the second one what waits for its input", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		stdin, writer, err := os.Pipe()
		require.NoError(t, err)
		t.Cleanup(func() {
			require.NoError(t, stdin.Close())
			require.NoError(t, writer.Close())
		})
		c := spawn(t, stdin, "import", "-", "--database-url", d.URL+"&application_name="+d.Schema)
		// It has looked at the log, and reads the listing next.
		require.Eventually(t, func() bool {
			return d.number("SELECT count(*) FROM pg_stat_activity WHERE application_name = '"+d.Schema+"' AND state = 'idle' AND query ~ 'events'") > 0
		}, patience, patience/1000)
		require.Eventually(t, func() bool {
			_ = c.command.Process.Signal(syscall.SIGINT)
			select {
			case <-c.ended:
				return true
			default:
				return false
			}
		}, patience, patience/1000)
		require.NotEqual(t, exitDone, c.wait())
	})
	t.Run("are not needed for wrong usage, which is the exit code too", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, exitUsage, spawn(t, nil, "nonsense").wait())
		require.Equal(t, exitDone, spawn(t, nil, "help").wait())
		require.Equal(t, exitFailed, spawn(t, nil, "migrate", "up", "--database-url", nowhere).wait())
	})
}
