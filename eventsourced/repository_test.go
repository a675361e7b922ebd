package eventsourced_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

func newRepository(store eventsourced.Store, config ...eventsourced.RepositoryConfig) *eventsourced.Repository[Account] {
	return eventsourced.NewRepository[Account](store, aggregateName, append(config, eventsourced.RepositoryConfig{})[0])
}

func depositing(amount int) func(*Account) error {
	return func(a *Account) error { return a.Deposit(amount) }
}

func TestLoad(t *testing.T) {
	t.Parallel()
	t.Run("of nothing is ErrNotFound", func(t *testing.T) {
		t.Parallel()
		a, err := newRepository(newSpy(t)).Load(t.Context(), accountID)
		require.ErrorIs(t, err, eventsourced.ErrNotFound)
		require.EqualError(t, err, "load test.Account/acc-1: no such aggregate")
		require.Nil(t, a)
	})
	t.Run("gives the aggregate as its events say", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		position := deposit(t, store, 5, 7)
		a, err := newRepository(store).Load(t.Context(), accountID)
		require.NoError(t, err)
		require.Equal(t, accountID, a.ID())
		require.Equal(t, 12, a.balance)
		require.EqualValues(t, 2, a.Version())
		require.Equal(t, position, a.Position())
		require.Empty(t, a.Pending())
	})
	t.Run("does not mix aggregates of one id and two names", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		deposit(t, store, 5)
		_, err := eventsourced.NewRepository[Account](store, "test.Other", eventsourced.RepositoryConfig{}).Load(t.Context(), accountID)
		require.ErrorIs(t, err, eventsourced.ErrNotFound)
	})
	t.Run("of a stream with a gap is an error", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		deposit(t, store, 1, 2, 3)
		store.skip = 2
		_, err := newRepository(store).Load(t.Context(), accountID)
		require.EqualError(t, err, "load test.Account/acc-1: the stream is damaged: version 3 follows version 1")
		_, err = newRepository(store).Update(t.Context(), accountID, depositing(1))
		require.ErrorContains(t, err, "the stream is damaged")
	})
	t.Run("of a stream with an unknown event names everything", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		deposit(t, store, 1)
		unknown := valid()
		unknown.Name = "Mystery"
		position, err := store.Append(t.Context(), accountStream, eventsourced.Any, []eventsourced.EventData{unknown})
		require.NoError(t, err)
		_, loadErr := newRepository(store).Load(t.Context(), accountID)
		_, updateErr := newRepository(store).Update(t.Context(), accountID, depositing(1))
		for _, err := range []error{loadErr, updateErr} {
			require.ErrorIs(t, err, eventsourced.ErrUnknownEvent)
			var decode *eventsourced.DecodeError
			require.ErrorAs(t, err, &decode)
			require.Equal(t, "Mystery", decode.Event.Name)
			require.Equal(t, accountStream, decode.Event.Stream)
			require.EqualValues(t, 2, decode.Event.Version)
			require.Equal(t, position, decode.Event.Position)
		}
	})
	t.Run("passes the store's error on", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newRepository(newSpy(t)).Load(ctx, accountID)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, eventsourced.ErrNotFound)
	})
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	t.Run("creates what is not there", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		position, err := newRepository(store).Update(t.Context(), accountID, func(a *Account) error {
			require.Zero(t, a.Version())
			require.Equal(t, accountID, a.ID())
			return errors.Join(a.Deposit(5), a.Withdraw(3))
		})
		require.NoError(t, err)
		events := stored(t, store)
		require.Len(t, events, 2)
		require.Equal(t, []string{"Deposited", "Withdrawn"}, []string{events[0].Name, events[1].Name})
		require.Equal(t, position, events[1].Position)
	})
	t.Run("returns the position of the last event, also when nothing was recorded", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		nothing := func(*Account) error { return nil }
		position, err := newRepository(store).Update(t.Context(), accountID, nothing)
		require.NoError(t, err)
		require.Zero(t, position)
		last := deposit(t, store, 1, 2)
		position, err = newRepository(store).Update(t.Context(), accountID, nothing)
		require.NoError(t, err)
		require.Equal(t, last, position)
		require.Len(t, stored(t, store), 2)
	})
	t.Run("returns the error of act as it is and stores nothing", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		calls := 0
		position, err := newRepository(store).Update(t.Context(), accountID, func(a *Account) error {
			calls++
			return errors.Join(a.Deposit(1), a.Withdraw(2))
		})
		require.EqualError(t, err, errOverdrawn.Error())
		require.ErrorIs(t, err, errOverdrawn)
		require.Zero(t, position)
		require.Equal(t, 1, calls)
		require.Empty(t, stored(t, store))

		_, err = newRepository(store).Update(t.Context(), accountID, func(*Account) error { return errOverdrawn })
		require.Equal(t, errOverdrawn, err)
	})
	t.Run("decides again on the new state after a lost race", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		deposit(t, store, 10)
		store.beforeAppend = func() error {
			store.beforeAppend = nil
			deposit(t, store, 100)
			return nil
		}
		var seen []int
		position, err := newRepository(store).Update(t.Context(), accountID, func(a *Account) error {
			seen = append(seen, a.balance)
			return a.Withdraw(a.balance)
		})
		require.NoError(t, err)
		require.Equal(t, []int{10, 110}, seen)
		events := stored(t, store)
		require.Len(t, events, 3)
		require.JSONEq(t, `{"amount": 110}`, string(events[2].Payload))
		require.Equal(t, events[2].Position, position)
	})
	t.Run("gives up after the last attempt", func(t *testing.T) {
		t.Parallel()
		for name, c := range map[string]struct {
			config   eventsourced.RepositoryConfig
			attempts int
		}{
			"of three":               {eventsourced.RepositoryConfig{Attempts: 3}, 3},
			"of the default":         {eventsourced.RepositoryConfig{}, eventsourced.DefaultAttempts},
			"which is the first one": {eventsourced.RepositoryConfig{Attempts: 1}, 1},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				store, calls := newSpy(t), 0
				store.beforeAppend = func() error {
					deposit(t, store.Store, 1)
					return nil
				}
				_, err := newRepository(store, c.config).Update(t.Context(), accountID, func(a *Account) error {
					calls++
					return a.Deposit(1000)
				})
				require.ErrorIs(t, err, eventsourced.ErrConflict)
				var conflict *eventsourced.ConflictError
				require.ErrorAs(t, err, &conflict)
				require.Equal(t, eventsourced.ConflictError{
					Stream:   accountStream,
					Expected: eventsourced.AtVersion(eventsourced.Version(c.attempts - 1)),
					Actual:   eventsourced.Version(c.attempts),
				}, *conflict)
				require.Equal(t, c.attempts, calls)
				require.Len(t, stored(t, store), c.attempts, "the others' events only")
			})
		}
	})
	t.Run("does not try again after any other error", func(t *testing.T) {
		t.Parallel()
		store, calls, broken := newSpy(t), 0, errors.New("disk on fire")
		store.beforeAppend = func() error { return broken }
		_, err := newRepository(store).Update(t.Context(), accountID, func(a *Account) error {
			calls++
			return a.Deposit(1)
		})
		require.ErrorIs(t, err, broken)
		require.Equal(t, 1, calls)
	})
	t.Run("by fifty at once applies each exactly once", func(t *testing.T) {
		t.Parallel()
		const writers = 50
		store := memstore.New(accountRegistry(t))
		repository := newRepository(store, eventsourced.RepositoryConfig{Attempts: 1000})
		positions, errs := make([]eventsourced.Position, writers), make([]error, writers)
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() { positions[i], errs[i] = repository.Update(t.Context(), accountID, depositing(1<<i)) })
		}
		all.Wait()
		require.NoError(t, errors.Join(errs...))
		a, err := repository.Load(t.Context(), accountID)
		require.NoError(t, err)
		require.Equal(t, 1<<writers-1, a.balance, "each amount is in the sum once")
		require.EqualValues(t, writers, a.Version())
		var inLog []eventsourced.Position
		for _, event := range stored(t, store) {
			inLog = append(inLog, event.Position)
		}
		require.ElementsMatch(t, inLog, positions)
	})
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	lost := &eventsourced.ConflictError{Stream: accountStream}
	t.Run("ends with the context", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			store := newSpy(t)
			store.beforeAppend = func() error { return lost }
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() {
				_, err := newRepository(store, eventsourced.RepositoryConfig{Attempts: 1000}).Update(ctx, accountID, depositing(1))
				result <- err
			}()
			synctest.Wait() // until it backs off
			require.Empty(t, result)
			cancel()
			err := <-result
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, eventsourced.ErrConflict)
		})
	})
	t.Run("is short, and longer after each attempt", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			store := newSpy(t)
			store.beforeAppend = func() error { return lost }
			var pauses []time.Duration
			last := time.Now()
			_, err := newRepository(store, eventsourced.RepositoryConfig{Attempts: 20}).Update(t.Context(), accountID, func(a *Account) error {
				pauses, last = append(pauses, time.Since(last)), time.Now()
				return a.Deposit(1)
			})
			require.ErrorIs(t, err, eventsourced.ErrConflict)
			require.Len(t, pauses, 20)
			require.Zero(t, pauses[0])
			var sum time.Duration
			for i, pause := range pauses[1:] {
				require.Less(t, pause, min(time.Millisecond<<i, 128*time.Millisecond))
				sum += pause
			}
			require.Positive(t, sum)
		})
	})
}

func TestSave(t *testing.T) {
	t.Parallel()
	t.Run("keeps events pending until they are committed", func(t *testing.T) {
		t.Parallel()
		store, broken := newSpy(t), errors.New("connection lost")
		deposit(t, store, 10)
		repository := newRepository(store)
		a, err := repository.Load(t.Context(), accountID)
		require.NoError(t, err)
		before := a.Position()
		require.NoError(t, a.Deposit(1))
		require.NoError(t, a.Withdraw(4))

		store.beforeAppend = func() error { return broken }
		_, err = repository.Save(t.Context(), a)
		require.ErrorIs(t, err, broken)
		require.Len(t, a.Pending(), 2)
		require.EqualValues(t, 1, a.Version())
		require.Equal(t, before, a.Position())
		require.Len(t, stored(t, store), 1)

		store.beforeAppend = nil
		position, err := repository.Save(t.Context(), a)
		require.NoError(t, err)
		require.Empty(t, a.Pending())
		require.EqualValues(t, 3, a.Version())
		require.Equal(t, position, a.Position())
		events := stored(t, store)
		require.Len(t, events, 3)
		require.Equal(t, position, events[2].Position)

		again, err := repository.Save(t.Context(), a)
		require.NoError(t, err)
		require.Equal(t, position, again, "there was nothing to save")
		require.NoError(t, a.Deposit(1))
		_, err = repository.Save(t.Context(), a)
		require.NoError(t, err, "the aggregate can be used further")
		require.Len(t, stored(t, store), 4)
	})
	t.Run("keeps events pending after a lost race", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		deposit(t, store, 10)
		repository := newRepository(store)
		a, err := repository.Load(t.Context(), accountID)
		require.NoError(t, err)
		require.NoError(t, a.Deposit(1))
		deposit(t, store, 1)
		_, err = repository.Save(t.Context(), a)
		require.EqualError(t, err, "append to test.Account/acc-1: stream has changed: expected version 1, found version 2")
		require.Len(t, a.Pending(), 1)
	})
	t.Run("refuses an event that is not registered and keeps all pending", func(t *testing.T) {
		t.Parallel()
		store := newSpy(t)
		_, err := newRepository(store).Update(t.Context(), accountID, func(a *Account) error {
			return errors.Join(a.Deposit(1), eventsourced.Record(a, &Gone{}))
		})
		require.ErrorIs(t, err, eventsourced.ErrUnknownEvent)
		require.Empty(t, stored(t, store))
	})
}
