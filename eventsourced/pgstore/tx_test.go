package pgstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

func TestUpdateInTheCallersTransaction(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	repository := eventsourced.NewRepository[notes](store, "test.Note", eventsourced.RepositoryConfig{})
	note := func(n *notes) error { return eventsourced.Record(n, &storetest.Noted{Text: "x"}) }

	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	first, err := repository.UpdateTx(t.Context(), store.Tx(tx), "a", note)
	require.NoError(t, err)
	position, err := repository.UpdateTx(t.Context(), store.Tx(tx), "a", func(n *notes) error {
		require.Equal(t, 1, n.count, "the transaction sees its own")
		return note(n)
	})
	require.NoError(t, err)
	require.Greater(t, position, first)
	_, err = repository.Load(t.Context(), "a")
	require.ErrorIs(t, err, eventsourced.ErrNotFound, "nobody sees it before the commit")
	require.NoError(t, tx.Commit(t.Context()))
	n, err := repository.Load(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, position, n.Position())
	require.EqualValues(t, 2, n.Version())

	tx, err = db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = repository.UpdateTx(t.Context(), store.Tx(tx), "b", note)
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))
	_, err = repository.Load(t.Context(), "b")
	require.ErrorIs(t, err, eventsourced.ErrNotFound, "it is gone with the rollback")

	tx, err = db.Pool.Begin(t.Context())
	require.NoError(t, err)
	calls := 0
	_, err = repository.UpdateTx(t.Context(), store.Tx(tx), "a", func(n *notes) error {
		calls++
		_, err := repository.Update(t.Context(), "a", note) // somebody else is faster
		require.NoError(t, err)
		return note(n)
	})
	require.ErrorIs(t, err, eventsourced.ErrConflict)
	require.Equal(t, 1, calls)
	var one int
	require.NoError(t, tx.QueryRow(t.Context(), "SELECT 1").Scan(&one), "a conflict leaves the transaction usable")
	require.NoError(t, tx.Rollback(t.Context()))
	n, err = repository.Load(t.Context(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 3, n.Version())
	require.PanicsWithValue(t, "pgstore.Store.Tx: the transaction is nil", func() { store.Tx(nil) })
}
