package readview_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// When Pause has returned, no page is being applied.
func TestPauseWaitsForThePage(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	entered, release := make(chan struct{}), make(chan struct{})
	n := 0
	manager, router := b.manager(fast(), balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if n++; n == 2 {
			close(entered)
			<-release
		}
		return onDeposited(ctx, tx, e)
	})))
	last := b.deposit(3)
	b.start(router)
	<-entered
	paused := make(chan error, 1)
	go func() { paused <- manager.Pause(context.WithoutCancel(t.Context()), "balances") }()
	b.eventually("the pause waits for the page's lock", func() bool {
		return b.int(`SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = '`+b.application+`'`) > 0
	})
	require.Empty(t, paused)
	close(release)
	require.NoError(t, <-paused)
	b.requireExact(last)
	b.deposit(2)
	require.Equal(t, consumer.Paused, b.status(manager, "balances").State)
	b.requireExact(last)
}

// A page that was read before something changed is dropped: another program's handlers,
// a reset, a pause, a position set back by hand.
func TestPageInHand(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(b *bank, tool *readview.Manager){
		"while the handlers change": func(b *bank, _ *readview.Manager) {
			b.exec(`UPDATE readview_states SET handled = '{Audited,Deposited,Other}', generation = generation + 1`)
		},
		"while it is reset": func(b *bank, tool *readview.Manager) {
			require.NoError(b.t, tool.ResetProjection(b.t.Context(), "balances"))
		},
		"while it is paused": func(b *bank, tool *readview.Manager) { require.NoError(b.t, tool.Pause(b.t.Context(), "balances")) },
		"while it is set back": func(b *bank, _ *readview.Manager) {
			b.exec(`UPDATE readviews SET position = 0`)
			b.exec(`TRUNCATE balance, journal`)
		},
		"while its row is removed": func(b *bank, _ *readview.Manager) { b.exec(`DELETE FROM readviews`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			manager, router := b.manager(fast(), balances())
			held, goOn, passed := make(chan struct{}), make(chan struct{}), make(chan struct{})
			var armed atomic.Bool
			router.AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
				return func(msg *message.Message) ([]*message.Message, error) {
					if armed.CompareAndSwap(true, false) {
						close(held)
						<-goOn
						defer close(passed)
						produced, err := next(msg)
						if entries := b.int(`SELECT count(*) FROM journal WHERE entry > 3`); entries > 0 {
							t.Errorf("%d events of a page in hand were applied", entries)
						}
						return produced, err
					}
					return next(msg)
				}
			})
			b.start(router)
			b.waitFor(manager, b.deposit(3))
			armed.Store(true)
			b.deposit(2)
			<-held
			tool, _ := b.manager(fast(), balances())
			change(b, tool)
			close(goOn)
			<-passed
		})
	}
}

// What is in the way of TRUNCATE is named before anything is done.
func TestResetThatAForeignKeyForbids(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), balances())
	require.NoError(t, manager.CheckReset(t.Context(), "balances"))
	b.exec(`CREATE TABLE child (account TEXT CONSTRAINT of_account REFERENCES balance)`)
	require.ErrorContains(t, manager.CheckReset(t.Context(), "balances"), "the foreign key of_account of child refers to balance")
	require.ErrorContains(t, manager.ResetProjection(t.Context(), "balances"), "the foreign key of_account of child refers to balance")
	require.ErrorIs(t, manager.CheckReset(t.Context(), "nobody"), readview.ErrUnknownProjection)
}

// One forgotten foreign key and TRUNCATE CASCADE would empty the tables of others. A
// reset fails instead, and nothing has changed.
func TestResetDoesNotCascade(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	b.start(router)
	last := b.deposit(5)
	b.waitFor(manager, last)
	b.exec(`CREATE TABLE favourite (account TEXT REFERENCES balance (account)); INSERT INTO favourite SELECT account FROM balance`)
	err := manager.ResetProjection(t.Context(), "balances")
	require.ErrorContains(t, err, "foreign key")
	require.EqualValues(t, 5, b.int(`SELECT count(*) FROM favourite`))
	b.requireExact(last)
	require.Equal(t, last, b.status(manager, "balances").Position)
}

// The error of a reset says which table is missing, and blames the framework's own only
// when it is one of those.
func TestResetOfATableThatIsMissing(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), balances())
	b.exec(`DROP TABLE journal`)
	err := manager.ResetProjection(t.Context(), "balances")
	require.ErrorIs(t, err, readview.ErrNoTable)
	require.ErrorContains(t, err, `"journal", of projection balances`)
	require.NotContains(t, err.Error(), "readview.Migrations")
	b.exec(`DROP TABLE readview_states`)
	require.ErrorContains(t, manager.ResetProjection(t.Context(), "balances"), "readview.Migrations")
	b.exec(`DROP TABLE readviews`)
	manager, _ = b.manager(fast(), balances())
	require.ErrorContains(t, manager.ResetProjection(t.Context(), "balances"), "readview.Migrations")
}

// A config that says nothing has limits all the same: for a handler that falls silent,
// and for a reset that waits for a lock.
func TestDefaultLimits(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`CREATE TABLE setting (name TEXT, value TEXT)`)
	const note = `INSERT INTO setting SELECT name, current_setting(name) FROM unnest(ARRAY['idle_in_transaction_session_timeout', 'lock_timeout']) AS name`
	projection := balances(readview.On(func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
		_, err := tx.ExecContext(ctx, note)
		return err
	}))
	projection.Reset = readview.ResetFunc(func(ctx context.Context, tx readview.Tx) error {
		_, err := tx.ExecContext(ctx, note)
		return err
	})
	manager, router := b.manager(readview.Config{Config: consumer.Config{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}}, projection)
	last := b.deposit(1)
	b.start(router)
	b.waitFor(manager, last)
	require.Equal(t, []string{"30s"}, b.rows(`SELECT value FROM setting WHERE name = 'idle_in_transaction_session_timeout'`))
	b.exec(`TRUNCATE setting`)
	require.NoError(t, manager.Pause(t.Context(), "balances"))
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	require.Equal(t, []string{"10s"}, b.rows(`SELECT value FROM setting WHERE name = 'lock_timeout'`))
}

// A reset that can't have its locks gives up with nothing changed.
func TestResetThatWaitsForALock(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := fast()
	config.LockTimeout = 100 * time.Millisecond
	manager, router := b.manager(config, balances())
	b.start(router)
	last := b.deposit(5)
	b.waitFor(manager, last)
	end := b.hold(`LOCK TABLE journal IN ACCESS SHARE MODE`)
	require.ErrorContains(t, manager.ResetProjection(t.Context(), "balances"), "Config.LockTimeout")
	end()
	b.requireExact(last)
}

// A table that is mended while the projection is failed is found mended.
func TestCuresByDDL(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]string{
		"ALTER TABLE":     {`ALTER TABLE journal ALTER amount TYPE SMALLINT`, `ALTER TABLE journal ALTER amount TYPE BIGINT`},
		"DROP and CREATE": {`ALTER TABLE journal ADD CHECK (amount < 99999)`, `CREATE TEMP TABLE kept AS SELECT * FROM journal; DROP TABLE journal; CREATE TABLE journal (entry BIGINT GENERATED ALWAYS AS IDENTITY, position BIGINT NOT NULL, amount BIGINT NOT NULL); INSERT INTO journal (position, amount) SELECT position, amount FROM kept ORDER BY entry; DROP TABLE kept`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			manager, router := b.manager(fast(), balances())
			b.start(router)
			b.waitFor(manager, b.deposit(20))
			b.exec(c[0])
			before := b.deposit(5)
			b.record("account-9", &Deposited{Amount: 99999})
			last := b.deposit(5)
			b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
			b.requireExact(before)
			b.exec(c[1])
			require.NoError(t, manager.Resume(t.Context(), "balances"))
			b.waitFor(manager, last)
			b.requireExact(last)
		})
	}
}

// A table of the same name in another schema of the path is another table.
func TestTablesOfTheSameName(t *testing.T) {
	t.Parallel()
	b := newFilled(t, 8, `CREATE TABLE filled (n BIGINT, m BIGINT)`)
	other := b.db.Schema + "_other"
	b.exec(fmt.Sprintf(`CREATE SCHEMA %[1]s; CREATE TABLE %[1]s.filled (n BIGINT, m BIGINT);
		CREATE FUNCTION rows() RETURNS BIGINT LANGUAGE sql STABLE AS 'SELECT count(*) FROM %[1]s.filled'; ALTER TABLE %[1]s.filled ALTER m SET DEFAULT rows() + 1`, other))
	t.Cleanup(func() { _, _ = b.pool.Exec(context.Background(), `DROP SCHEMA `+other+` CASCADE`) })
	manager := playFilled(b, 1000, func(ctx context.Context, tx readview.Tx, e *Filled) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO `+other+`.filled (n) VALUES ($1)`, e.N)
		return err
	})
	b.waitFor(manager, 1008, "filled")
	require.Equal(t, []string{"1 1", "2 2", "3 3", "4 4", "5 5", "6 6", "7 7", "8 8"}, b.rows(`SELECT n || ' ' || m FROM `+other+`.filled ORDER BY n`))
}
