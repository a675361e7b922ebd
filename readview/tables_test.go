package readview_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// table returns a projection with tables and a reset handler.
func table(name string, reset readview.ResetHandler, tables ...string) readview.Projection {
	return readview.Projection{Name: name, Handlers: readview.Handlers{readview.On(onAudited)}, Reset: reset, Tables: tables}
}

func TestTablesAreChecked(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	for name, test := range map[string]struct {
		projections []readview.Projection
		want        []string
	}{
		"two projections write one table": {
			[]readview.Projection{table("a", nil, "x", "y"), table("b", nil, "y")},
			[]string{`projection "b": its table "y" is one of projection "a", too`, "give each its own, or make one projection of both"},
		},
		"two reset it": {
			[]readview.Projection{table("a", nil, "x"), table("b", readview.Truncate("x"))},
			[]string{`projection "b": its table "x" is one of projection "a", too`},
		},
		"a reset leaves one out": {
			[]readview.Projection{table("a", readview.Truncate("x"), "x", "y")},
			[]string{`its Reset does not empty "y"`, "leave Reset out"},
		},
		"a reset empties another": {
			[]readview.Projection{table("a", readview.Truncate("x", "z"), "x")},
			[]string{`its Reset empties "z", which is not one of its Tables: add it`},
		},
		"one twice, one without a name, and all of it at once": {
			[]readview.Projection{table("a", nil, "x", "x", " "), table("b", readview.Truncate("x"), "y")},
			[]string{`projection "a"`, `its Tables have "x" twice`, "Tables[2] is empty", `projection "b"`, `its Reset does not empty "y"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readview.NewManager(nil, b.store, b.pool, readview.Config{PageEvents: -1}, test.projections...)
			for _, want := range append(test.want, "PageEvents is negative") {
				require.ErrorContains(t, err, want)
			}
			manager, err := readview.NewManager(nil, b.store, b.pool, readview.Config{})
			require.NoError(t, err)
			var problem error
			for _, projection := range test.projections {
				if err := manager.Add(projection); err != nil {
					problem = err
				}
			}
			require.ErrorContains(t, problem, test.want[len(test.want)-1], "one after the other, too")
		})
	}
}

// Without a reset handler all tables are emptied.
func TestTablesAreResetByDefault(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	projection := balances()
	projection.Reset = nil
	manager, router := b.manager(fast(), projection)
	b.start(router)
	last := b.deposit(5)
	b.waitFor(manager, last)
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	b.waitFor(manager, last)
	b.requireExact(last)
}

func TestTablesThatAreMissing(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`ALTER TABLE balance RENAME TO other; ALTER TABLE journal RENAME TO another`)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	last := b.deposit(3)
	b.eventually("it says what is missing", func() bool { return b.status(manager, "balances").Failure != nil })
	status := b.status(manager, "balances")
	require.Equal(t, consumer.Retrying, status.State)
	require.Contains(t, status.Failure.Error, `tables are missing: "balance", "journal", of projection balances: make them by a migration, or correct its Tables`)
	require.ErrorIs(t, manager.ResetProjection(t.Context(), "balances"), readview.ErrNoTable)
	b.exec(`ALTER TABLE other RENAME TO balance; ALTER TABLE another RENAME TO journal`)
	b.waitFor(manager, last)
	b.requireExact(last)
}

// What a reset handler empties is compared with Tables when it has run, and a reset that is wrong
// changes nothing.
func TestResetsThatEmptyTheWrongTables(t *testing.T) {
	t.Parallel()
	empty := func(statements string) readview.ResetHandler {
		return readview.ResetFunc(func(ctx context.Context, tx readview.Tx) error { return readview.Exec(ctx, tx, statements) })
	}
	for name, test := range map[string]struct{ statements, want string }{
		"too few":                 {`DELETE FROM balance`, `its Reset has left rows in "journal", which is one of its Tables`},
		"too many":                {`DELETE FROM balance; DELETE FROM journal; TRUNCATE audit`, `its Reset has emptied "audit", a table of projection "audits"`},
		"too many, row by row":    {`DELETE FROM balance; DELETE FROM journal; DELETE FROM audit`, `its Reset has emptied "audit", a table of projection "audits"`},
		"too many, by a cascade":  {`TRUNCATE balance, journal CASCADE`, `its Reset has emptied "audit", a table of projection "audits"`},
		"the right ones, control": {`DELETE FROM balance; TRUNCATE journal`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.exec(`ALTER TABLE audit ADD account TEXT REFERENCES balance`)
			projection := balances()
			projection.Reset = empty(test.statements)
			manager, router := b.manager(fast(), projection, audits())
			b.start(router)
			last := b.record("account-1", &Deposited{Amount: 1}, &Audited{})
			b.waitFor(manager, last)
			err := manager.ResetProjection(t.Context(), "balances")
			if test.want == "" {
				require.NoError(t, err)
				b.waitFor(manager, last)
			} else {
				require.ErrorContains(t, err, test.want)
			}
			b.requireExact(last)
			require.EqualValues(t, 1, b.int(`SELECT count(*) FROM audit`))
		})
	}
}

// A router without handlers does not end by itself.
func TestManagerWithoutProjectionsEnds(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	own, err := readview.NewManager(nil, b.store, b.pool, fast())
	require.NoError(t, err)
	given, _ := b.manager(fast())
	for _, manager := range []*readview.Manager{own, given} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- manager.Run(ctx) }()
		cancel()
		require.NoError(t, <-done)
	}
}

// A manager without a router of the application's has one of its own.
func TestManagerRuns(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, err := readview.NewManager(nil, b.store, b.pool, fast(), balances(), audits())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- manager.Run(ctx) }()
	last := b.deposit(3)
	b.waitFor(manager, last)
	b.requireExact(last)
	cancel()
	require.NoError(t, <-done)

	with, router := b.manager(fast(), balances())
	ctx, cancel = context.WithCancel(t.Context())
	go func() { done <- with.Run(ctx) }()
	last = b.deposit(3)
	b.waitFor(with, last)
	require.True(t, router.IsRunning(), "the application's is run")
	cancel()
	require.NoError(t, <-done)
}
