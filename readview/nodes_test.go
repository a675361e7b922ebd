package readview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/soak"
)

func TestNodesComeAndGo(t *testing.T) {
	t.Parallel()
	for name, c := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodesComeAndGo(newBank(t), c)
		})
	}
}

func nodesComeAndGo(b *bank, c way) {
	t := b.t
	ctx, cancel := context.WithTimeout(t.Context(), soak.For(4*time.Second, time.Minute))
	defer cancel()
	var work sync.WaitGroup
	work.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_, err := b.accounts.Update(t.Context(), fmt.Sprintf("account-%d", i%5), func(a *Account) error {
				return eventsourced.Record(a, &Deposited{Amount: 1})
			})
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	nodes := []*exec.Cmd{b.spawn(c.environment), b.spawn(c.environment)}
	for ctx.Err() == nil { // two to five nodes, one more or one less each time
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.IntN(200)) * time.Millisecond):
		}
		if len(nodes) < 5 && (len(nodes) == 2 || rand.IntN(2) == 0) {
			nodes = append(nodes, b.spawn(c.environment))
			continue
		}
		victim := rand.IntN(len(nodes))
		signal := []os.Signal{syscall.SIGTERM, syscall.SIGKILL}[rand.IntN(2)]
		require.NoError(t, nodes[victim].Process.Signal(signal))
		nodes = append(nodes[:victim], nodes[victim+1:]...)
	}
	work.Wait()
	last := b.deposit(1)
	tool, _ := b.manager(fast(), c.projection)
	b.waitFor(tool, last)
	c.require(b, last)
}

func TestStoppedNodeIsTakenOverAndDoesNoHarm(t *testing.T) {
	t.Parallel()
	// The 150th event: the server has some of the page's statements by then.
	for name, c := range ways() {
		points := []string{"locked 1", "applied 1", "applied 150", "advanced 1", "committed 1"}
		if name != "statement by statement" && !soak.On {
			points = points[2:3] // the others are of the page, whichever way its statements go
		}
		for _, point := range points {
			t.Run("stopped when "+point+", "+name, func(t *testing.T) {
				t.Parallel()
				stoppedNode(newBank(t), c, point)
			})
		}
	}
}

func stoppedNode(b *bank, c way, point string) {
	t := b.t
	page := 7
	b.deposit(20)
	if point == "applied 150" {
		page = 1000
		b.deposit(180)
	}
	stopped := b.spawn(c.environment, childDies+"=SIGSTOP "+point, fmt.Sprint(childPage, "=", page))
	b.eventually("the node is stopped", func() bool { return processState(t, stopped.Process.Pid) == "T" })

	manager, router := b.manager(fast(), c.projection)
	b.start(router)
	last := b.deposit(5)
	b.waitFor(manager, last) // past what the stopped one holds
	c.require(b, last)

	require.NoError(t, stopped.Process.Signal(syscall.SIGCONT))
	b.eventually("the node goes on", func() bool { return processState(t, stopped.Process.Pid) != "T" })
	last = b.deposit(30)
	b.waitFor(manager, last)
	c.require(b, last)
	require.NoError(t, stopped.Process.Signal(syscall.SIGTERM))
	require.NoError(t, stopped.Wait(), "it ends in order")
	c.require(b, last)
}

// processState returns the letter of a process's state in the kernel's words.
func processState(t *testing.T, pid int) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-o", "state=", "-p", fmt.Sprint(pid)).Output()
	require.NoError(t, err)
	return string(out[:1])
}

func TestStandbyTakesOverWithinThePollInterval(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := fast()
	config.PollInterval = 2 * time.Second
	first, firstRouter := b.manager(config, balances())
	stop := b.start(firstRouter)
	b.waitFor(first, b.deposit(1))
	second, secondRouter := b.manager(config, balances())
	b.start(secondRouter)
	require.Equal(t, consumer.Live, b.status(first, "balances").State)
	require.Equal(t, consumer.Standby, b.status(second, "balances").State)
	b.waitFor(second, b.deposit(3))
	require.Equal(t, consumer.Standby, b.status(second, "balances").State, "one applies, the other stands by")

	stop()
	before := time.Now()
	last := b.deposit(3)
	b.waitFor(second, last)
	require.Less(t, time.Since(before), config.PollInterval)
	b.requireExact(last)
	require.Equal(t, consumer.Live, b.status(second, "balances").State)
}
