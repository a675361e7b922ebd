package operate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

// bounded is a bounded context with one projection.
type bounded struct {
	t          *testing.T
	db         *readviewtest.Database
	store      *pgstore.Store
	projection readview.Projection
	others     []readview.Projection
}

func newBounded(t *testing.T) *bounded {
	t.Helper()
	db := readviewtest.NewDatabase(t)
	require.NoError(t, migrate.Run(t.Context(), db.Pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations()))
	_, err := db.Pool.Exec(t.Context(), `CREATE TABLE deposit (position BIGINT PRIMARY KEY, amount BIGINT NOT NULL)`)
	require.NoError(t, err)
	store := pgstore.New(db.Pool, bank.Registry(), pgstore.Config{})
	t.Cleanup(store.Close)
	return &bounded{t: t, db: db, store: store, projection: readview.Projection{
		Name: "deposits", Tables: []string{"deposit"}, Version: 1,
		Handlers: readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, e *bank.Deposited) error {
			return readview.Exec(ctx, tx, `INSERT INTO deposit VALUES ($1, $2)`, int64(eventsourced.FromContext(ctx).Position), e.Amount)
		})},
	}}
}

func (b *bounded) manager() *readview.Manager {
	b.t.Helper()
	manager, err := readview.NewManager(nil, b.store, b.db.Pool, readview.Config{}, append([]readview.Projection{b.projection}, b.others...)...)
	require.NoError(b.t, err)
	return manager
}

// live runs the projection until it has applied a deposit of each amount.
func (b *bounded) live(amounts ...int64) {
	b.t.Helper()
	var last eventsourced.Position
	var err error
	for _, amount := range amounts {
		last, err = bank.Accounts(b.store).Update(b.t.Context(), "anna", func(a *bank.Account) error {
			return eventsourced.Record(a, &bank.Deposited{Amount: amount})
		})
		require.NoError(b.t, err)
	}
	ctx, stop := context.WithCancel(b.t.Context())
	manager, ran := b.manager(), make(chan error, 1)
	go func() { ran <- manager.Run(ctx) }()
	require.NoError(b.t, manager.WaitFor(b.t.Context(), last))
	stop()
	require.NoError(b.t, <-ran)
}

// The status of a relay that stands at an event says how to leave it out, and of one without its broker not.
func TestAdviceForARelay(t *testing.T) {
	t.Parallel()
	commands := operate.New(func(*cobra.Command, func(operate.System) error) error { return nil }, operate.Config{Program: "bank"})
	stands := consumer.Status{Kind: consumer.KindRelay, Name: "relay", State: consumer.Retrying,
		Failure: &consumer.Failure{Error: "relay Deposited of bank.Account/anna, position 7: an odd name", Position: 7, EventName: "Deposited"}}
	require.Contains(t, operate.Advice(commands, stands), "'bank relay skip --position 7 --reason TEXT'")
	stands.State, stands.Failure.Error = consumer.Stalled, "Translate or Topic has not ended after 30s"
	require.Contains(t, operate.Advice(commands, stands), "restart the process that runs it. If that event can't be mended: 'bank relay skip --position 7")
	stands.Failure.Error = "publish to events: connection refused"
	require.NotContains(t, operate.Advice(commands, stands), "skip")
	refused := consumer.Status{Kind: consumer.KindReactor, Name: "tithes", State: consumer.Failed, Failure: &consumer.Failure{Error: "another topic"}}
	require.Contains(t, operate.Advice(commands, refused), "or have all received again: 'bank readviews reset tithes'.")
}

// What a reactor was asked to do with the event that it fails at is told until it has.
func TestStatusOfAReactorThatWasAsked(t *testing.T) {
	t.Parallel()
	commands := operate.New(func(*cobra.Command, func(operate.System) error) error { return nil }, operate.Config{Program: "bank"})
	var out strings.Builder
	require.NoError(t, commands.WriteStatus(t.Context(), operate.System{}, &out, []consumer.Status{
		{Kind: consumer.KindReactor, Name: "mails", State: consumer.Retrying, Asked: "skip", Failure: &consumer.Failure{Error: "no address", EventName: "Deposited", Position: 7}},
	}))
	require.Contains(t, out.String(), "mails was asked to skip that event: it does when the event fails once more")
}

// Whoever checks is told when nobody knows how far something is behind, whatever it is, and not of what is about to be known.
func TestCheckOfWhatNobodyKnows(t *testing.T) {
	t.Parallel()
	for _, kind := range []consumer.Kind{consumer.KindProjection, consumer.KindReactor, consumer.KindRelay, consumer.KindSubscriber} {
		failing := func(since time.Duration) *consumer.Failure {
			return &consumer.Failure{Error: "no answer", Since: time.Now().Add(-since)}
		}
		require.ErrorContains(t, operate.Check(consumer.Status{Kind: kind, Name: "x", State: consumer.Standby, Behind: -1}),
			string(kind)+" x (standby): nobody knows how many events wait: nobody runs it")
		require.ErrorContains(t, operate.Check(consumer.Status{Kind: kind, Name: "x", State: consumer.Retrying, Behind: -1, Failure: failing(time.Hour)}),
			string(kind)+" x (retrying): nobody knows how many events wait: no answer")
		require.NoError(t, operate.Check(
			consumer.Status{Kind: kind, Name: "x", State: consumer.Standby},
			consumer.Status{Kind: kind, Name: "x", State: consumer.Paused, Behind: -1},
			consumer.Status{Kind: kind, Name: "x", State: consumer.CatchingUp, Behind: -1, Node: "n"},
			consumer.Status{Kind: kind, Name: "x", State: consumer.Retrying, Behind: -1, Failure: failing(time.Second)},
		))
	}
}

// A check finds rows that differ, but not what debt explains.
func TestCheckOfWhatDiffers(t *testing.T) {
	t.Parallel()
	verified := func(equal bool, different int64) consumer.Status {
		return consumer.Status{Kind: consumer.KindProjection, Name: "x", State: consumer.Live, Node: "n", Skipped: 1,
			Verify: &consumer.Replay{Equal: &equal, Different: different, Told: time.Unix(0, 0)}}
	}
	require.ErrorContains(t, operate.Check(verified(false, 2)), "projection x differs from what its events make in 2 rows, as the verification of 1970-01-01T00:00:00Z has found")
	require.NoError(t, operate.Check(verified(true, 0), verified(false, 0)))
}

// root is the program of the bounded context: these are the few lines that it needs.
func (b *bounded) root() *cobra.Command {
	commands := operate.New(func(_ *cobra.Command, do func(operate.System) error) error {
		return do(operate.System{Manager: b.manager(), Log: b.store, Pool: b.db.Pool})
	}, operate.Config{Program: "bank"})
	root := &cobra.Command{Use: "bank"}
	root.AddCommand(commands.Readviews())
	return root
}

func (b *bounded) run(line string) (code int, out, err string) {
	var stdout, stderr bytes.Buffer
	code = operate.Run(b.t.Context(), b.root(), strings.Fields(line), strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// done requires that a command works, and returns what it prints.
func (b *bounded) done(line string) string {
	b.t.Helper()
	code, out, err := b.run(line)
	require.Equal(b.t, operate.ExitDone, code, "%s\n%s", out, err)
	return out
}

func TestAnyProgramMountsTheCommands(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	b.live(5, 7)
	require.Regexp(t, `^NAME .* NODE +VERSION\ndeposits +projection +standby +(\d+) +(\d+) +0 +0s +- +1\n$`, b.done("readviews status"))
	require.Equal(t, "paused deposits\n", b.done("readviews pause deposits"))
	require.JSONEq(t, `[{"name": "deposits", "kind": "projection", "done": "resumed"}]`, b.done("readviews resume deposits --json"))
	var last int64
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT max(position) FROM deposit`).Scan(&last))
	code, out, said := b.run(fmt.Sprint("readviews dry-run deposits --position ", last)) // which it is past
	require.Equal(t, operate.ExitFound, code)
	require.Regexp(t, fmt.Sprintf(`\n  Detail: Key \("?position"?\)=\(%d\) already exists\.\n`, last), out)
	require.NotContains(t, said, "Key (", "an error that is passed around has no values of rows")
	var would []map[string]any
	require.NoError(t, json.Unmarshal([]byte(b.done("readviews reset deposits --dry-run --json")), &would))
	require.Len(t, would, 1)
	require.EqualValues(t, 2, would[0]["rows"])
	require.JSONEq(t, `[{"name": "deposits", "kind": "projection", "done": "reset"}]`, b.done("readviews reset --all --json"))
	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(b.done("readviews status --json")), &all))
	require.Len(t, all, 1)
	for name, want := range map[string]any{"version": 1.0, "behind": 2.0, "estimate": 2.0, "rate": 0.0, "left_seconds": 0.0, "position": 0.0, "rebuild": nil, "verify": nil, "failure": nil, "skipped": 0.0} {
		require.Equal(t, want, all[0][name], name)
	}
	for line, says := range map[string]string{
		"":                                        "no command given",
		"readviews":                               `"bank readviews" needs to know what to do`,
		"readviews reset":                         "name at least one projection: 'bank readviews status' lists them",
		"readviews reset nobody":                  `unknown projection "nobody", want one of: deposits`,
		"readviews reset nobody --dry-run":        `unknown projection "nobody"`,
		"readviews pause nobody":                  `unknown name "nobody"`,
		"readviews status --watch --check":        "--watch, or --check: choose one",
		"readviews status --interval 1s":          "--interval goes with --watch",
		"readviews status --watch --interval 1ms": "--interval 1ms: want 100ms or more",
	} {
		code, _, err := b.run(line)
		require.Equal(t, operate.ExitUsage, code, line)
		require.Contains(t, err, "bank: "+says)
		require.Regexp(t, `Try 'bank[a-z ]* --help'\.\n$`, err)
	}
}

// A deployment asks whether it may go live, and the exit code answers.
func TestReady(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	require.Regexp(t, `\ndeposits +new +0 +1 +-\n$`, b.done("readviews ready"))
	b.live(5)
	require.Regexp(t, `\ndeposits +ready +1 +1 +-\n$`, b.done("readviews ready"))
	b.projection.Version = 2
	code, out, err := b.run("readviews ready")
	require.Equal(t, operate.ExitFound, code)
	require.Regexp(t, `\ndeposits +refused +1 +2 +.*what version 1 made`, out)
	require.Contains(t, err, "1 projection would not just go on with this program")
	b.projection.WhenChanged = readview.RebuildWhenChanged
	code, out, _ = b.run("readviews ready --json")
	require.Equal(t, operate.ExitFound, code)
	var all []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	require.Equal(t, "rebuild", all[0]["verdict"])
	require.Equal(t, false, all[0]["ready"])
	b.projection.Version = 0
	code, out, _ = b.run("readviews ready")
	require.Equal(t, operate.ExitFound, code)
	require.Contains(t, out, "standby")
	require.Contains(t, b.done("readviews ready --help"), "3    one is not")
}

// lines is a writer that tells when something was written.
type lines struct {
	mu      sync.Mutex
	text    string
	changed chan struct{}
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += string(b)
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (l *lines) await(t *testing.T, what string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		l.mu.Lock()
		seen := strings.Contains(l.text, what)
		l.mu.Unlock()
		if seen {
			return
		}
		select {
		case <-l.changed:
		case <-limit:
			require.Fail(t, "not seen: "+what, l.text)
		}
	}
}

func TestStatusIsWatchedUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	b.live(5)
	ctx, interrupt := context.WithCancelCause(t.Context())
	out, errOut, code := &lines{changed: make(chan struct{}, 1)}, &lines{changed: make(chan struct{}, 1)}, make(chan int, 1)
	go func() {
		code <- operate.Run(ctx, b.root(), []string{"readviews", "status", "--watch", "--interval", "100ms"}, strings.NewReader(""), out, errOut)
	}()
	out.await(t, "standby")
	b.done("readviews pause deposits")
	out.await(t, "paused")
	_, err := b.db.Pool.Exec(t.Context(), `ALTER TABLE readview_states RENAME TO gone`)
	require.NoError(t, err)
	out.await(t, "readview_states")
	_, err = b.db.Pool.Exec(t.Context(), `ALTER TABLE gone RENAME TO readview_states`)
	require.NoError(t, err)
	b.done("readviews resume deposits")
	interrupt(operate.ErrInterrupted)
	require.Equal(t, operate.ExitDone, <-code)
	require.Empty(t, errOut.text)
	require.NotContains(t, out.text, "\x1b", "it is no terminal")
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		code int
		says string
	}{
		"of what works":          {nil, operate.ExitDone, ""},
		"of what fails":          {errors.New("no"), operate.ExitFailed, "bank: no\n"},
		"of wrong usage":         {operate.UsageError{Err: errors.New("no")}, operate.ExitUsage, "bank: no\nTry 'bank do --help'.\n"},
		"of its own":             {operate.ExitError{Err: errors.New("no"), Code: 7}, 7, "bank: no\n"},
		"with a hint":            {operate.HintedError{Err: errors.New("no"), Hint: "Do that."}, operate.ExitFailed, "bank: no\nDo that.\n"},
		"without what is for us": {errors.New("no table (readviews and others are made by migrate.Run with readview.Migrations)"), operate.ExitFailed, "bank: no table\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := &cobra.Command{Use: "bank"}
			root.AddCommand(&cobra.Command{Use: "do", RunE: func(*cobra.Command, []string) error { return c.err }})
			var out, errOut bytes.Buffer
			require.Equal(t, c.code, operate.Run(t.Context(), root, []string{"do"}, strings.NewReader(""), &out, &errOut))
			require.Equal(t, c.says, errOut.String())
		})
	}
	t.Run("of what is interrupted", func(t *testing.T) {
		t.Parallel()
		ctx, interrupt := context.WithCancelCause(t.Context())
		root := &cobra.Command{Use: "bank"}
		root.AddCommand(&cobra.Command{Use: "do", RunE: func(cmd *cobra.Command, _ []string) error {
			interrupt(operate.ErrInterrupted)
			return cmd.Context().Err()
		}})
		var out, errOut bytes.Buffer
		require.Equal(t, operate.ExitInterrupted, operate.Run(ctx, root, []string{"do"}, strings.NewReader(""), &out, &errOut))
		require.Equal(t, "bank: interrupted\n", errOut.String())
	})
}

func TestNewWithoutOpenPanics(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, "operate.New: open is nil", func() { operate.New(nil, operate.Config{}) })
}
