package eventsourced_test

import (
	"context"
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
		accounts := newRepository(store, eventsourced.RepositoryConfig{SnapshotEvery: 1, SnapshotSchema: 1})
		command := func() context.Context {
			return eventsourced.WithCommand(t.Context(), eventsourced.CommandID(cause, "test"))
		}
		twice := func(a *Account) error { return errors.Join(a.Deposit(5), a.Deposit(6)) }
		first, err := accounts.Update(command(), accountID, twice)
		require.NoError(t, err)
		deposit(t, store, 7)
		for range 3 {
			again, err := accounts.Update(command(), accountID, twice)
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
		command := repeatable(t)
		first, err := accounts.Update(command(), accountID, withdraw)
		require.NoError(t, err)
		again, err := accounts.Update(command(), accountID, withdraw)
		require.NoError(t, err)
		require.Equal(t, first, again)
		_, err = accounts.Update(t.Context(), accountID, withdraw)
		require.Error(t, err, "another command is")
	})
	t.Run("that would decide more the second time are done already", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newRepository(store)
		command := repeatable(t)
		first, err := accounts.Update(command(), accountID, depositing(1))
		require.NoError(t, err)
		again, err := accounts.Update(command(), accountID, func(a *Account) error { return errors.Join(a.Deposit(1), a.Deposit(2)) })
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.Len(t, stored(t, store), 1)
	})
	t.Run("that would decide less the second time return the position of the first", func(t *testing.T) {
		t.Parallel()
		accounts := newRepository(newSpy(t))
		command := repeatable(t)
		first, err := accounts.Update(command(), accountID, func(a *Account) error { return errors.Join(a.Deposit(1), a.Deposit(2)) })
		require.NoError(t, err)
		again, err := accounts.Update(command(), accountID, depositing(1))
		require.NoError(t, err)
		require.Equal(t, first, again)
	})
	t.Run("spoil no snapshot when somebody else carries them out meanwhile", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newRepository(store, eventsourced.RepositoryConfig{SnapshotEvery: 1, SnapshotSchema: 1})
		deposit(t, store, 1)
		command := repeatable(t)
		meanwhile := func() {
			deposit(t, store, 100)
			_, err := newRepository(store).Update(command(), accountID, depositing(5))
			require.NoError(t, err)
		}
		_, err := accounts.Update(command(), accountID, func(a *Account) error {
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

// repeatable returns contexts for the executions of one command.
func repeatable(t *testing.T) func() context.Context {
	id := eventsourced.NewEventID()
	return func() context.Context { return eventsourced.WithCommand(t.Context(), id) }
}

// In one execution of a command a stream is changed once, and never is a second change
// taken for a repetition of the first.
func TestSecondChangeUnderOneCommand(t *testing.T) {
	t.Parallel()
	command := func(t *testing.T) context.Context {
		return eventsourced.WithCommand(t.Context(), eventsourced.NewEventID())
	}
	for name, first := range map[string]func(*Account) error{
		"after one that is stored":       depositing(5),
		"after one that records nothing": func(*Account) error { return nil },
		"after one that is refused":      func(a *Account) error { return a.Withdraw(1000) },
	} {
		t.Run("is refused "+name, func(t *testing.T) {
			t.Parallel()
			store := newSpy(t)
			ctx := command(t)
			accounts := newRepository(store)
			_, firstErr := accounts.Update(ctx, accountID, first)
			before := len(stored(t, store))
			_, err := accounts.Update(eventsourced.WithActor(ctx, "åsa"), accountID, depositing(6))
			require.ErrorIs(t, err, eventsourced.ErrCommandUsed)
			require.ErrorContains(t, err, "WithStep")
			require.NotErrorIs(t, firstErr, eventsourced.ErrCommandUsed)
			require.Len(t, stored(t, store), before)
			_, err = accounts.Update(ctx, "another", depositing(6))
			require.NoError(t, err, "of another stream it is not the second one")
		})
	}
	t.Run("is refused to Save, too", func(t *testing.T) {
		t.Parallel()
		ctx, accounts := command(t), newRepository(newSpy(t))
		_, err := accounts.Update(t.Context(), accountID, depositing(1))
		require.NoError(t, err)
		for i := range 2 {
			a, err := accounts.Load(ctx, accountID)
			require.NoError(t, err)
			_, err = accounts.Save(ctx, a)
			require.NoError(t, err, "of nothing")
			require.NoError(t, a.Deposit(1))
			_, err = accounts.Save(ctx, a)
			require.Equal(t, i == 1, errors.Is(err, eventsourced.ErrCommandUsed), "%v", err)
		}
	})
	t.Run("is refused while the first one is under way", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		ctx, accounts := command(t), newRepository(store)
		_, err := accounts.Update(ctx, accountID, func(a *Account) error {
			_, err := accounts.Update(ctx, accountID, depositing(1))
			require.ErrorIs(t, err, eventsourced.ErrCommandUsed)
			return a.Deposit(5)
		})
		require.NoError(t, err)
		require.Len(t, stored(t, store), 1)
	})
	t.Run("is the first one, if that failed for other reasons", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		ctx, accounts := command(t), newRepository(store, eventsourced.RepositoryConfig{Attempts: 1})
		lost := errors.New("connection lost")
		for _, broken := range []error{lost, eventsourced.ErrConflict} {
			store.beforeAppend = func() error { return broken }
			_, err := accounts.Update(ctx, accountID, depositing(5))
			require.ErrorIs(t, err, broken)
		}
		store.beforeAppend = nil
		_, err := accounts.Update(ctx, accountID, depositing(5))
		require.NoError(t, err)
	})
	t.Run("is made in a step of its own, once however often all is repeated, and whatever was done of it", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newRepository(store)
		id := eventsourced.NewEventID()
		execute := func(steps ...string) {
			ctx := eventsourced.WithCommand(t.Context(), id)
			_, err := accounts.Update(ctx, accountID, depositing(5))
			require.NoError(t, err)
			for _, step := range steps {
				_, err := accounts.Update(eventsourced.WithStep(ctx, step), accountID, depositing(6))
				require.NoError(t, err)
			}
		}
		execute()                  // and the process dies
		execute("fee")             // and again
		execute("fee", "interest") // at last
		execute("fee", "interest") // and the position was not saved
		require.Len(t, stored(t, store), 3)
		ctx := eventsourced.WithCommand(t.Context(), eventsourced.NewEventID())
		_, err := accounts.Update(eventsourced.WithStep(ctx, "fee"), accountID, depositing(1))
		require.NoError(t, err)
		_, err = accounts.Update(eventsourced.WithStep(ctx, "fee"), accountID, depositing(1))
		require.ErrorIs(t, err, eventsourced.ErrCommandUsed)
		require.Equal(t, t.Context(), eventsourced.WithStep(t.Context(), "fee"), "without a command there is nothing to tell apart")
	})
	t.Run("without an id would all be one, and are refused", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		accounts := newRepository(store)
		var missing eventsourced.EventID
		for _, ctx := range []context.Context{
			eventsourced.WithCommand(t.Context(), missing),
			eventsourced.WithStep(eventsourced.WithCommand(t.Context(), missing), "fee"),
		} {
			_, err := accounts.Update(ctx, accountID, depositing(1))
			require.ErrorIs(t, err, eventsourced.ErrInvalid)
			require.ErrorContains(t, err, "its id is zero")
		}
		require.Empty(t, stored(t, store))
	})
	t.Run("is noticed in an attempt that names its command twice", func(t *testing.T) {
		t.Parallel()
		accounts := newRepository(newSpy(t))
		id := eventsourced.NewEventID()
		for range 2 {
			ctx := eventsourced.WithExecution(t.Context())
			_, err := accounts.Update(eventsourced.WithCommand(ctx, id), accountID, depositing(1))
			require.NoError(t, err)
			_, err = accounts.Update(eventsourced.WithCommand(ctx, id), accountID, depositing(2))
			require.ErrorIs(t, err, eventsourced.ErrCommandUsed)
		}
	})
}

// These ids never change: after an upgrade every reactor would act twice.
func TestGoldenIDs(t *testing.T) {
	t.Parallel()
	id, err := eventsourced.ParseEventID("01890a5d-ac96-774b-bcce-b302099a8057")
	require.NoError(t, err)
	command := eventsourced.CommandID(&eventsourced.Recorded{EventData: eventsourced.EventData{ID: id}}, "billing")
	require.Equal(t, "099ad3ee-4657-836f-9b3a-2bb1f6798753", command.String())
	store := newSpy(t)
	ctx := eventsourced.WithCommand(t.Context(), command)
	_, err = newRepository(store).Update(ctx, accountID, func(a *Account) error { return errors.Join(a.Deposit(1), a.Deposit(2)) })
	require.NoError(t, err)
	_, err = newRepository(store).Update(eventsourced.WithStep(ctx, "fee"), accountID, depositing(3))
	require.NoError(t, err)
	var ids []string
	for _, event := range stored(t, store) {
		ids = append(ids, event.ID.String())
	}
	require.Equal(t, []string{"946d028a-34a9-80d0-b3c7-e09621fa5643", "89ae5aae-2fa8-8116-93f2-2df91656701e", "c0db1d35-e9ad-8538-8c09-2d1d0afc716d"}, ids)
}
