package main

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

// TestMain has the tests share one server, TEST_DATABASE_URL or a private one.
func TestMain(m *testing.M) { readviewtest.Main(m) }

// A projection is tested from the command to the row, on a real database that nobody else has.
func TestBalances(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	db := readviewtest.NewDatabase(t)
	bank, err := open(ctx, db.Pool)
	require.NoError(t, err)
	defer func() { require.NoError(t, bank.close()) }()

	_, err = bank.accounts.Update(ctx, "bo", func(a *Account) error { return a.Deposit(7) })
	require.NoError(t, err)
	position, err := bank.accounts.Update(ctx, "anna", func(a *Account) error {
		if err := a.Deposit(100); err != nil {
			return err
		}
		return a.Withdraw(30)
	})
	require.NoError(t, err)
	require.NoError(t, bank.balances.WaitFor(ctx, position)) // no sleep
	want := []string{"anna 70", "bo 7"}
	require.Equal(t, want, rows(t, db))

	// The table can be made again from the log, and is the same.
	require.NoError(t, bank.balances.ResetProjection(ctx, "balances"))
	require.NoError(t, bank.balances.WaitFor(ctx, position))
	require.Equal(t, want, rows(t, db))
}

func rows(t *testing.T, db *readviewtest.Database) []string {
	t.Helper()
	found, err := db.Pool.Query(t.Context(), `SELECT account || ' ' || amount FROM balance ORDER BY account`)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(found, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), readviewtest.NewDatabase(t).URL, &out))
	require.Equal(t, "anna has 100\n", out.String())
}
