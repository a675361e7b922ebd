package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

// patience is how long tests wait for what should come soon.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	_ = os.Setenv("VERIFY_EVERY", "0") // for what is no test of it
	readviewtest.Main(m)
}

// result is what a command leaves.
type result struct {
	code     int
	out, err string
}

// dancefinder runs a command.
func dancefinder(t *testing.T, args ...string) result {
	t.Helper()
	return dancefinderReads(t, "", args...)
}

// dancefinderReads runs a command that reads from standard input.
func dancefinderReads(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := operate.Run(t.Context(), rootCommand(), args, strings.NewReader(stdin), &out, &err)
	return result{code, out.String(), err.String()}
}

// database is one for DanceFinder.
type database struct {
	*readviewtest.Database
	t *testing.T
}

// newDatabase returns an empty database.
func newDatabase(t *testing.T) *database {
	t.Helper()
	return &database{readviewtest.NewDatabase(t), t}
}

// newTables returns a database with DanceFinder's tables.
func newTables(t *testing.T) *database {
	t.Helper()
	d := newDatabase(t)
	d.done("migrate", "up")
	return d
}

// args adds the database to a command.
func (d *database) args(args []string) []string {
	return append([]string{"--database-url", d.URL}, args...)
}

func (d *database) run(args ...string) result {
	d.t.Helper()
	return dancefinder(d.t, d.args(args)...)
}

// done requires that a command works, and returns what it prints.
func (d *database) done(args ...string) string {
	d.t.Helper()
	result := d.run(args...)
	require.Equal(d.t, operate.ExitDone, result.code, result.err)
	return result.out
}

func (d *database) number(query string) (n int64) {
	d.t.Helper()
	require.NoError(d.t, d.Pool.QueryRow(d.t.Context(), query).Scan(&n))
	return n
}

// process is a command that runs until it is stopped.
type process struct {
	t        *testing.T
	out, err *output
	cancel   context.CancelFunc
	ended    chan struct{}
	code     int // once ended is closed
}

// start starts a command in the background. It is stopped with the test at the
// latest.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &process{t: t, out: newOutput(), err: newOutput(), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.code = operate.Run(ctx, rootCommand(), args, strings.NewReader(""), p.out, p.err)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.ended
	})
	return p
}

// program builds the program as users have it, once: the race detector makes an import
// several times as slow, and a start too. Nobody debugs it (-s -w), which makes linking cheaper. It is
// beside the test binary, and goes with it.
var program = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs(filepath.Join(filepath.Dir(os.Args[0]), "child.test"))
	if err != nil {
		return "", err
	}
	said, err := exec.Command("go", "build", "-race=false", "-ldflags=-s -w", "-o", path, ".").CombinedOutput() //nolint:noctx // it ends by itself
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, said)
	}
	return path, nil
})

func built(t *testing.T) string {
	t.Helper()
	path, err := program()
	require.NoError(t, err)
	return path
}

// startBuilt is start for the built program, in a process of its own.
func startBuilt(t *testing.T, args ...string) *process {
	t.Helper()
	return startBuiltWith(t, nil, args...)
}

// startBuiltWith is startBuilt with more of an environment.
func startBuiltWith(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &process{t: t, out: newOutput(), err: newOutput(), cancel: cancel, ended: make(chan struct{})}
	command := exec.CommandContext(ctx, built(t), args...)
	command.Env = append(os.Environ(), env...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Stdout, command.Stderr = p.out, p.err
	require.NoError(t, command.Start())
	go func() {
		defer close(p.ended)
		_ = command.Wait() // its exit code tells
		p.code = command.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		cancel()
		<-p.ended
	})
	return p
}

// stop ends the command as a signal does and returns its exit code.
func (p *process) stop() int {
	p.t.Helper()
	p.cancel()
	return p.wait(patience)
}

// wait waits for the end of the command and returns its exit code.
func (p *process) wait(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		require.FailNow(p.t, "the command does not end", "output:\n%s%s", p.out, p.err)
	}
	return p.code
}

// output is what a running command writes.
type output struct {
	mu     sync.Mutex
	text   bytes.Buffer
	growth chan struct{} // closed and replaced when there is more
}

var _ io.Writer = (*output)(nil)

func newOutput() *output { return &output{growth: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.growth)
	o.growth = make(chan struct{})
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await returns what was written so far once it has text in it.
func (p *process) await(o *output, text string, limit time.Duration) string {
	p.t.Helper()
	deadline := time.After(limit)
	for {
		o.mu.Lock()
		written, growth := o.text.String(), o.growth
		o.mu.Unlock()
		if strings.Contains(written, text) {
			return written
		}
		select {
		case <-growth:
		case <-p.ended:
			require.Contains(p.t, o.String(), text, "the command has ended with exit code %d:\n%s%s", p.code, p.out, p.err)
		case <-deadline:
			require.FailNow(p.t, "the command does not write "+text, "output:\n%s%s", p.out, p.err)
		}
	}
}
