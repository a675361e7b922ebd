//go:build unix

package main

import (
	"bufio"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const commandVariable = "SERVICES_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args []string
		code int
	}{
		"done":       {[]string{"--", "true"}, 0},
		"failed":     {[]string{"--", "sh", "-c", "exit 7"}, 7},
		"killed":     {[]string{"--", "sh", "-c", "kill -KILL $$"}, 137},
		"no program": {[]string{"--", "./no-such-program"}, 1},
		"no command": {nil, 2},
		"installs":   {[]string{"-install"}, 0},
		"bad flag":   {[]string{"-nonsense"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := services(t, test.args...)
			command.Env = append(command.Env, "DATABASE_URL=postgres://elsewhere/")
			_ = command.Run()
			require.Equal(t, test.code, command.ProcessState.ExitCode())
		})
	}
}

func TestServerOfTheEnvironmentWins(t *testing.T) {
	t.Parallel()
	for name, variables := range map[string][]string{
		"TEST_DATABASE_URL before DATABASE_URL": {"DATABASE_URL=postgres://other/", "TEST_DATABASE_URL=postgres://mine/"},
		"DATABASE_URL alone":                    {"DATABASE_URL=postgres://mine/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := services(t, "--", "sh", "-c", "echo $TEST_DATABASE_URL")
			command.Env = append(command.Env, variables...)
			output, err := command.CombinedOutput()
			require.NoError(t, err)
			require.Equal(t, "postgres://mine/\n", string(output))
		})
	}
}

func TestSignalStopsEverything(t *testing.T) {
	t.Parallel()
	// The child of the command has to get the signal too.
	const child = `trap "echo stopped; exit" TERM; echo $TEST_DATABASE_URL; while :; do sleep 0.01; done`
	command := services(t, "--", "sh", "-c", "sh -c '"+child+"'; exit 9")
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	var stderr strings.Builder
	command.Stderr = &stderr
	require.NoError(t, command.Start())
	output := bufio.NewReader(stdout)
	line, err := output.ReadString('\n')
	require.NoError(t, err)
	server, err := url.Parse(strings.TrimSpace(line))
	require.NoError(t, err)
	conn, err := net.DialTimeout("tcp4", server.Host, time.Second)
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	line, err = output.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "stopped\n", line)
	_ = command.Wait()
	require.Equal(t, 143, command.ProcessState.ExitCode(), stderr.String())
	require.Contains(t, stderr.String(), "started PostgreSQL")
	_, err = net.DialTimeout("tcp4", server.Host, time.Second)
	require.Error(t, err)
}

// services is this test binary as the services command, with no server in its environment.
func services(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], args...)
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); name != "TEST_DATABASE_URL" && name != "DATABASE_URL" {
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, commandVariable+"=1")
	return command
}
