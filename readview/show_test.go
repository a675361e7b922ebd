package readview_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview"
)

func TestShow(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	first := b.deposit(1)
	position := b.record("account-1", &Deposited{Amount: 99})
	manager, router := b.manager(fast(), poisoned(new(atomic.Bool), func(context.Context, readview.Tx, *Deposited) error { panic("poison") }))
	_, err := manager.Show(t.Context(), "balances", 0)
	require.ErrorIs(t, err, readview.ErrNotThere)
	b.start(router)
	b.failed(manager, "balances")

	shown, err := manager.Show(t.Context(), "balances", 0)
	require.NoError(t, err)
	require.Equal(t, position, shown.Position)
	require.Equal(t, 3, shown.Failure.Attempts)
	require.Contains(t, shown.Failure.Stack, "show_test.go")
	require.Len(t, shown.Recorded, 1)
	require.Equal(t, b.eventID(position), shown.Recorded[0].ID.String())
	require.Len(t, shown.Parts, 1)
	require.JSONEq(t, `{"Amount": 99}`, string(shown.Parts[0].Payload))
	require.JSONEq(t, `{"Amount": 99}`, string(shown.Parts[0].Decoded))
	require.True(t, shown.Parts[0].Handled)
	require.Empty(t, shown.Problem)
	require.False(t, shown.Applied)

	shown, err = manager.Show(t.Context(), "balances", first)
	require.NoError(t, err)
	require.Nil(t, shown.Failure)
	require.True(t, shown.Applied)

	b.exec(`UPDATE events SET payload = '{"Amount": "many"}' WHERE tstamp = $1`, int64(position))
	shown, err = manager.Show(t.Context(), "balances", 0)
	require.NoError(t, err)
	require.Contains(t, shown.Problem, "cannot unmarshal")
	require.JSONEq(t, `{"Amount": "many"}`, string(shown.Parts[0].Payload))

	require.NoError(t, manager.Park(t.Context(), "balances", position, "later"))
	shown, err = manager.Show(t.Context(), "balances", position)
	require.NoError(t, err)
	require.True(t, shown.Parked)
	require.Contains(t, shown.Failure.Error, "poison")
	parked, err := manager.Parked(t.Context(), "balances")
	require.NoError(t, err)
	require.Equal(t, "later", parked[0].Reason)
	require.Equal(t, b.rows(`SELECT actor FROM readview_operations WHERE command = 'park'`)[0], parked[0].Actor)

	shown, err = manager.Show(t.Context(), "balances", position+1)
	require.NoError(t, err)
	require.Contains(t, shown.Problem, "no such event")
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	const insert = `INSERT INTO journal (position, amount) VALUES ($1, $2)`
	for name, c := range map[string]struct {
		handler    readview.Handler
		statements []string
		changes    []string
		err        string
		detail     string
		unseen     string
	}{
		"an event that would be applied": {
			handler:    readview.On(onDeposited),
			statements: []string{"INSERT INTO balance AS b [account-1 99 2] 1", insert + " [{position} 99] 1"},
			changes:    []string{`UPDATE balance {"amount":1,"version":1} {"amount":100,"version":2}`, `INSERT journal null {"amount":99}`},
		},
		"an error of the handler": {
			handler: readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
				return errors.Join(onDeposited(ctx, tx, e), errPoison)
			}),
			statements: []string{"INSERT INTO balance AS b [account-1 99 2] 1", insert + " [{position} 99] 1"},
			changes:    []string{`UPDATE balance {"amount":1,"version":1} {"amount":100,"version":2}`, `INSERT journal null {"amount":99}`},
			err:        "poison",
		},
		"a statement that fails, and what was done before it": {
			handler: readview.On(func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
				if _, err := tx.ExecContext(ctx, `DELETE FROM balance WHERE account = $1`, "account-1"); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, `SELECT 1 / 0`)
				return err
			}),
			statements: []string{"DELETE FROM balance WHERE account = $1 [account-1] 1", "SELECT 1 / 0 [] 0: ERROR: division by zero (SQLSTATE 22012)"},
			changes:    []string{`DELETE balance {"amount":1,"version":1} null`},
			err:        "division by zero",
		},
		"what only the commit would find": {
			handler: readview.On(func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
				return readview.Exec(ctx, tx, `INSERT INTO deferred VALUES (1)`)
			}),
			statements: []string{"INSERT INTO deferred VALUES (1) [] 1"},
			err:        "violates foreign key constraint",
			detail:     `Key (id)=(1) is not present in table "parent".`,
			unseen:     `changes of rows of "deferred", which is not one of the projection's Tables`,
		},
		"a handler of pgx": {
			handler: readview.OnPgx(func(ctx context.Context, tx pgx.Tx, e *Deposited) error {
				_, err := tx.Exec(ctx, `UPDATE balance SET amount = $1`, e.Amount)
				return err
			}),
			statements: []string{"UPDATE balance SET amount = $1 [99] 1"},
			changes:    []string{`UPDATE balance {"amount":1,"version":1} {"amount":99,"version":1}`},
		},
		"a handler that panics": {
			handler: readview.On(func(context.Context, readview.Tx, *Deposited) error { panic("poison") }),
			err:     "panic: poison",
		},
		"a handler that leaves another role and path": {
			handler: readview.On(func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
				if err := readview.Exec(ctx, tx, `SET LOCAL client_min_messages = error`); err != nil {
					return err
				}
				if err := readview.Exec(ctx, tx, `TRUNCATE balance`); err != nil {
					return err
				}
				return readview.Exec(ctx, tx, `SET LOCAL search_path = pg_catalog`)
			}),
			statements: []string{"SET LOCAL client_min_messages = error [] 0", "TRUNCATE balance [] 0", "SET LOCAL search_path = pg_catalog [] 0"},
			changes:    []string{`TRUNCATE balance null null`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.exec(`CREATE TABLE parent (id INT PRIMARY KEY); CREATE TABLE deferred (id INT REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`)
			b.exec(`ALTER TABLE journal DROP COLUMN entry`)
			b.exec(`INSERT INTO balance VALUES ('account-1', 1, 1)`)
			b.record("account-1", &Deposited{Amount: 1})
			position := b.record("account-1", &Deposited{Amount: 99})
			manager, _ := b.manager(fast(), balances(c.handler))
			rehearsal, err := manager.DryRun(t.Context(), "balances", position)
			require.NoError(t, err)
			var statements, changes []string
			for _, s := range rehearsal.Statements {
				line := fmt.Sprintf("%s %v %d", s.SQL, s.Args, s.Rows)
				if len(s.SQL) > 50 && s.SQL[:24] == "INSERT INTO balance AS b" {
					line = fmt.Sprintf("%.24s %v %d", s.SQL, s.Args, s.Rows)
				}
				if s.Error != "" {
					line += ": " + s.Error
				}
				statements = append(statements, line)
			}
			for i := range c.statements {
				c.statements[i] = replace(c.statements[i], "{position}", fmt.Sprint(position))
			}
			require.Equal(t, c.statements, statements)
			for _, change := range rehearsal.Changes {
				changes = append(changes, fmt.Sprintf("%s %s %s %s", change.Op, change.Table, without(t, change.Before), without(t, change.After)))
			}
			require.Equal(t, c.changes, changes)
			if c.err == "" {
				require.Empty(t, rehearsal.Error)
			}
			require.Contains(t, rehearsal.Error, c.err)
			require.Equal(t, c.detail, rehearsal.Detail)
			require.Equal(t, c.unseen, join(rehearsal.Unseen))
			require.False(t, rehearsal.Applied)

			require.Equal(t, []string{"account-1 1"}, b.rows(`SELECT account || ' ' || amount FROM balance`), "nothing has changed")
			require.Zero(t, b.int(`SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_readview%' AND tgrelid = 'balance'::regclass`))
			require.Zero(t, b.int(`SELECT count(*) FROM readviews WHERE position > 0`))
		})
	}
}

func TestDryRunOfWhatCannotBeTried(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	position := b.record("account-1", &Deposited{Amount: 99}, &Audited{})
	manager, router := b.manager(fast(), poisoned(new(atomic.Bool), failing))
	_, err := manager.DryRun(t.Context(), "balances", 0)
	require.ErrorIs(t, err, readview.ErrNotThere)
	_, err = manager.DryRun(t.Context(), "balances", 1)
	require.ErrorContains(t, err, "no such event")
	_, err = manager.DryRun(t.Context(), "balances", position)
	require.ErrorContains(t, err, "does not handle Audited")
	b.start(router)
	b.failed(manager, "balances")
	rehearsal, err := manager.DryRun(t.Context(), "balances", 0)
	require.NoError(t, err)
	require.Equal(t, "poison", rehearsal.Error)
}

func replace(s, old, with string) string { return strings.ReplaceAll(s, old, with) }

func join(texts []string) string { return strings.Join(texts, "; ") }

// without returns a row without its key.
func without(t *testing.T, row json.RawMessage) string {
	t.Helper()
	var columns map[string]any
	require.NoError(t, json.Unmarshal(row, &columns))
	if columns == nil {
		return "null"
	}
	delete(columns, "account")
	delete(columns, "position")
	text, err := json.Marshal(columns)
	require.NoError(t, err)
	return string(text)
}
