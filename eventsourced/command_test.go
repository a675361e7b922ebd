package eventsourced_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	cause := &eventsourced.Recorded{EventData: eventsourced.EventData{ID: eventsourced.NewEventID()}}

	t.Run("have an id that follows from the event and the issuer", func(t *testing.T) {
		t.Parallel()
		id := eventsourced.CommandID(cause, "billing")
		require.Equal(t, id, eventsourced.CommandID(cause, "billing"))
		require.NotEqual(t, id, eventsourced.CommandID(cause, "shipping"))
		require.NotEqual(t, id, eventsourced.CommandID(&eventsourced.Recorded{EventData: eventsourced.EventData{ID: eventsourced.NewEventID()}}, "billing"))
	})
	t.Run("append once, however often they are repeated", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newRepository(store, eventsourced.SnapshotEvery(1, 1))
		ctx := eventsourced.WithCommand(t.Context(), eventsourced.CommandID(cause, "test"))
		twice := func(a *Account) error { return errors.Join(a.Deposit(5), a.Deposit(6)) }
		first, err := accounts.Update(ctx, accountID, twice)
		require.NoError(t, err)
		deposit(t, store, 7)
		for range 3 {
			again, err := accounts.Update(ctx, accountID, twice)
			require.NoError(t, err)
			require.Equal(t, first, again)
		}
		a, err := accounts.Load(t.Context(), accountID)
		require.NoError(t, err)
		require.Equal(t, 18, a.balance, "neither the stream nor a snapshot has it twice")
		require.EqualValues(t, 3, a.Version())
	})
	t.Run("are not refused when their repetition would be", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		deposit(t, store, 5)
		accounts := newRepository(store)
		withdraw := func(a *Account) error { return a.Withdraw(5) }
		ctx := eventsourced.WithCommand(t.Context(), eventsourced.NewEventID())
		first, err := accounts.Update(ctx, accountID, withdraw)
		require.NoError(t, err)
		again, err := accounts.Update(ctx, accountID, withdraw)
		require.NoError(t, err)
		require.Equal(t, first, again)
		_, err = accounts.Update(t.Context(), accountID, withdraw)
		require.Error(t, err, "another command is")
	})
	t.Run("that would decide more the second time are done already", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newRepository(store)
		ctx := eventsourced.WithCommand(t.Context(), eventsourced.NewEventID())
		first, err := accounts.Update(ctx, accountID, depositing(1))
		require.NoError(t, err)
		again, err := accounts.Update(ctx, accountID, func(a *Account) error { return errors.Join(a.Deposit(1), a.Deposit(2)) })
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.Len(t, stored(t, store), 1)
	})
	t.Run("that would decide less the second time return the position of the first", func(t *testing.T) {
		t.Parallel()
		accounts := newRepository(newSpy(t))
		ctx := eventsourced.WithCommand(t.Context(), eventsourced.NewEventID())
		first, err := accounts.Update(ctx, accountID, func(a *Account) error { return errors.Join(a.Deposit(1), a.Deposit(2)) })
		require.NoError(t, err)
		again, err := accounts.Update(ctx, accountID, depositing(1))
		require.NoError(t, err)
		require.Equal(t, first, again)
	})
	t.Run("spoil no snapshot when somebody else carries them out meanwhile", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newRepository(store, eventsourced.SnapshotEvery(1, 1))
		deposit(t, store, 1)
		ctx := eventsourced.WithCommand(t.Context(), eventsourced.NewEventID())
		meanwhile := func() {
			deposit(t, store, 100)
			_, err := newRepository(store).Update(ctx, accountID, depositing(5))
			require.NoError(t, err)
		}
		_, err := accounts.Update(ctx, accountID, func(a *Account) error {
			if meanwhile != nil {
				meanwhile()
				meanwhile = nil
			}
			return a.Deposit(5)
		})
		require.NoError(t, err)
		a, err := accounts.Load(t.Context(), accountID)
		require.NoError(t, err)
		require.Equal(t, 106, a.balance)
		require.EqualValues(t, 3, a.Version())
	})
	t.Run("change several streams", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newRepository(store)
		ctx := eventsourced.WithCommand(t.Context(), eventsourced.NewEventID())
		for _, id := range []string{"from", "to"} {
			_, err := accounts.Update(ctx, id, depositing(1))
			require.NoError(t, err)
			a, err := accounts.Load(ctx, id)
			require.NoError(t, err)
			require.Equal(t, 1, a.balance)
		}
	})
}
