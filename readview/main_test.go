package readview_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testchild"
	"github.com/dancefinder/eventsourcing/internal/testdb"
	"github.com/dancefinder/eventsourcing/readview"
)

// The environment of a child process: this package's test binary, run as a node.
const (
	childURL    = "READVIEW_TEST_URL"  // of the database; makes the binary a child
	childDies   = "READVIEW_TEST_DIES" // "SIGKILL applied 3": of that signal, when it passes that point for the third time
	thisProgram = "this"               // for which the children pass, too

	childDoes = "READVIEW_TEST_DOES" // "reset", "rebuild apply", "rollback swap" or "verify" instead of running the projection
	childPage = "READVIEW_TEST_PAGE" // events in a page, 7 if it is not set
	childBulk = "READVIEW_TEST_BULK" // "yes": its rows go together, see entries
)

// foreignLeaks are goroutines that others leave behind in some tests: database/sql, which
// waits for ever for rows after a panic in a Scan.
var foreignLeaks = []goleak.Option{
	goleak.IgnoreAnyFunction("database/sql.(*Rows).awaitDone"),
	goleak.IgnoreAnyFunction("database/sql.(*Tx).awaitDone"),
}

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := child(url); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testdb.Main(m, foreignLeaks...)
}

// child is a node that runs the projection until it gets SIGTERM.
func child(url string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	config := fast()
	config.PageEvents = 7
	if n, err := strconv.Atoi(os.Getenv(childPage)); err == nil {
		config.PageEvents = n
	}
	store := pgstore.New(pool, registry(), pgstore.Config{})
	defer store.Close()
	manager, err := readview.NewManager(router, store, pool, config)
	if err != nil {
		return err
	}
	projection := balances()
	if os.Getenv(childBulk) == "yes" {
		projection = entries()
	}
	command := strings.Fields(os.Getenv(childDoes))
	if len(command) > 0 && command[0] != "reset" {
		projection = ledger()
	}
	readview.SetExecutable(manager, thisProgram)
	if err := manager.Add(projection); err != nil {
		return err
	}
	if plan := strings.Fields(os.Getenv(childDies)); len(plan) >= 3 {
		readview.SetFailpoint(manager, die(plan[0], strings.Join(plan[1:len(plan)-1], " "), plan[len(plan)-1]))
	}
	if len(command) == 0 {
		return router.Run(ctx)
	}
	return carryOut(ctx, manager, command)
}

func carryOut(ctx context.Context, manager *readview.Manager, command []string) (err error) {
	switch command[0] {
	case "reset":
		return manager.ResetProjection(ctx, "balances")
	case "rebuild":
		_, err = manager.Rebuild(ctx, "ledger", readview.RebuildOptions{How: readview.How(command[1])})
	case "rollback":
		_, err = manager.Rollback(ctx, "ledger", readview.RebuildOptions{How: readview.How(command[1])})
	case "verify":
		_, err = manager.Verify(ctx, "ledger", readview.VerifyOptions{})
	}
	return err
}

func die(name, at, times string) func(string) {
	left, _ := strconv.Atoi(times)
	var passed atomic.Int64
	return func(point string) {
		if point == at && passed.Add(1) == int64(left) {
			_ = syscall.Kill(os.Getpid(), map[string]syscall.Signal{"SIGKILL": syscall.SIGKILL, "SIGSTOP": syscall.SIGSTOP}[name])
			if name == "SIGKILL" {
				select {} // nothing more happens in this process
			}
		}
	}
}

// spawn starts a child on the bank's database. It is killed when the test ends.
func (b *bank) spawn(environment ...string) *exec.Cmd {
	b.t.Helper()
	node := exec.Command(testchild.Path(b.t)) //nolint:noctx // the test ends it
	node.Env = append(os.Environ(), append(environment, childURL+"="+b.db.URL)...)
	node.Stderr = os.Stderr
	require.NoError(b.t, node.Start())
	b.t.Cleanup(func() {
		_ = node.Process.Kill()
		_ = node.Wait()
	})
	return node
}

// pageSizes notes the largest page that passes the router.
func pageSizes(largest *int) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			var page struct{ Events int }
			if err := json.Unmarshal(msg.Payload, &page); err != nil {
				return nil, err
			}
			*largest = max(*largest, page.Events)
			return next(msg)
		}
	}
}

// pageCount counts the pages that pass the router.
func pageCount(pages *int) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			*pages++
			return next(msg)
		}
	}
}
