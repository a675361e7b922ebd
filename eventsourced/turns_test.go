package eventsourced_test

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	inBubble := func(t *testing.T, name string, f func(*testing.T)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, f)
		})
	}
	inBubble(t, "make no conflicts, and read once for all who wait", func(t *testing.T) {
		c := newCrowd(t, newTally(t))
		var came []int
		for i := range 50 {
			c.start(t, func(a *Account) error {
				came = append(came, i)
				require.Equal(t, 1+i, a.balance)
				require.EqualValues(t, 1+i, a.Version())
				require.NotZero(t, a.Position())
				return a.Deposit(1)
			})
		}
		c.end()
		require.IsIncreasing(t, came, "who comes first is first")
		require.Len(t, came, 50)
		require.Zero(t, c.store.conflicts.Load())
		require.EqualValues(t, 2, c.store.reads.Load(), "by the one for whom nobody waited, and by the next")
		require.Zero(t, eventsourced.Streams(c.accounts), "nothing is left")
	})
	inBubble(t, "end at once for who waits when his context ends", func(t *testing.T) {
		c := newCrowd(t, newTally(t))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		started := time.Now()
		_, err := c.accounts.Update(ctx, accountID, depositing(1))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "wait for the turn to change test.Account/acc-1: context deadline exceeded")
		require.Equal(t, 100*time.Millisecond, time.Since(started))
		c.end()
		require.Len(t, stored(t, c.store), 1)
		require.Zero(t, eventsourced.Streams(c.accounts))
	})
	inBubble(t, "end with a command that fails, panics or ends its goroutine", func(t *testing.T) {
		store := newTally(t)
		accounts := newRepository(store)
		for _, fail := range []func(*Account) error{
			func(*Account) error { return errOverdrawn },
			func(*Account) error { panic("oh") },
			func(*Account) error { runtime.Goexit(); return nil }, // as FailNow does
		} {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				_, _ = accounts.Update(t.Context(), accountID, fail)
			}()
			<-done
			started := time.Now()
			_, err := accounts.Update(t.Context(), accountID, depositing(1))
			require.NoError(t, err)
			require.Zero(t, time.Since(started))
		}
		require.Zero(t, eventsourced.Streams(accounts))
	})
	inBubble(t, "are of a stream: others don't wait", func(t *testing.T) {
		c := newCrowd(t, newTally(t))
		_, err := c.accounts.Update(t.Context(), "another", depositing(1))
		require.NoError(t, err)
		c.end()
	})
	inBubble(t, "refuse nothing that is allowed by now, in another process", func(t *testing.T) {
		store := newTally(t)
		c := newCrowd(t, store)
		c.start(t, depositing(1)) // the next one goes on from it
		appends := 0
		store.afterAppend = func() {
			if appends++; appends == 2 {
				deposit(t, store.Store, 100)
			}
		}
		calls := 0
		c.start(t, func(a *Account) error {
			calls++
			return a.Withdraw(102)
		})
		c.start(t, depositing(7))
		c.end()
		require.Equal(t, 2, calls, "it was refused, and then not")
		a, err := c.accounts.Load(t.Context(), accountID)
		require.NoError(t, err)
		require.Equal(t, 7, a.balance)
	})
	inBubble(t, "pass on what is committed, and nothing else that a command did to its aggregate", func(t *testing.T) {
		c := newCrowd(t, newTally(t))
		seen := map[*Account]bool{}
		for i := range 10 {
			c.start(t, func(a *Account) error {
				require.Equal(t, 1+i, a.balance)
				require.False(t, seen[a], "it was somebody else's")
				seen[a] = true
				err := a.Deposit(1)
				a.balance, a.Pending()[0].(*Deposited).EventTime = 1_000_000, time.Time{}
				return err
			})
		}
		c.end()
	})
	inBubble(t, "that a command gives itself are not waited for longer than a second", func(t *testing.T) {
		var log bytes.Buffer
		store := newTally(t)
		accounts := newRepository(store, eventsourced.RepositoryConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		calls := 0
		started := time.Now()
		_, err := accounts.Update(t.Context(), accountID, func(a *Account) error {
			if calls++; calls == 1 {
				if _, err := accounts.Update(t.Context(), accountID, depositing(10)); err != nil {
					return err
				}
				require.Equal(t, time.Second, time.Since(started).Round(time.Second))
			}
			return a.Deposit(1)
		})
		require.NoError(t, err)
		require.Equal(t, 2, calls, "the inner one makes a conflict for the outer one")
		require.Len(t, stored(t, store), 2)
		require.Contains(t, log.String(), "level=WARN")
		require.Contains(t, log.String(), "stream=test.Account/acc-1")
		require.Zero(t, eventsourced.Streams(accounts))
	})
	inBubble(t, "are waited for as long as the store takes", func(t *testing.T) {
		store, slow := newTally(t), make(chan struct{})
		c := newCrowd(t, store)
		store.afterAppend = func() { <-slow }
		c.start(t, depositing(1))
		close(c.finish)
		time.Sleep(time.Minute) // of the bubble
		close(slow)
		c.group.Wait()
		require.Zero(t, store.conflicts.Load())
		require.Empty(t, c.log.String())
	})
	inBubble(t, "are not for who has a transaction", func(t *testing.T) {
		c := newCrowd(t, newTally(t))
		started := time.Now()
		_, err := c.accounts.UpdateTx(t.Context(), c.store.Store, "another", depositing(1))
		require.NoError(t, err)
		_, err = c.accounts.UpdateTx(t.Context(), c.store.Store, accountID, func(*Account) error { return nil })
		require.NoError(t, err)
		require.Zero(t, time.Since(started))
		c.end()
	})
	inBubble(t, "leave time to another process, which has to read first, and get theirs", func(t *testing.T) {
		store := &remote{newTally(t), make(chan struct{}, 1)}
		update := func(accounts *eventsourced.Repository[Account], group *sync.WaitGroup, done *atomic.Int64, more func() bool) {
			group.Go(func() {
				for more() {
					if _, err := accounts.Update(t.Context(), accountID, depositing(1)); err != nil {
						t.Error(err)
						return
					}
					done.Add(1)
				}
			})
		}
		var crowd, alone sync.WaitGroup
		var ofCrowd, ofAlone atomic.Int64
		var ended atomic.Bool
		accounts := newRepository(store)
		for range 4 {
			update(accounts, &crowd, &ofCrowd, func() bool { return !ended.Load() })
		}
		update(newRepository(store), &alone, &ofAlone, func() bool { return ofAlone.Load() < 3 || ofCrowd.Load() < 70 })
		alone.Wait()
		ended.Store(true)
		crowd.Wait()
	})
}

// remote is a store whose server is half a millisecond away, and takes a millisecond for a commit, one after the other.
type remote struct {
	*tally
	committing chan struct{}
}

const away = 500 * time.Microsecond

func (s *remote) ReadStream(ctx context.Context, stream eventsourced.Stream, after eventsourced.Version) iter.Seq2[eventsourced.Recorded, error] {
	time.Sleep(away)
	events := s.tally.ReadStream(ctx, stream, after)
	return func(yield func(eventsourced.Recorded, error) bool) {
		var all []eventsourced.Recorded
		for event := range events {
			all = append(all, event)
		}
		time.Sleep(away)
		for _, event := range all {
			if !yield(event, nil) {
				return
			}
		}
	}
}

func (s *remote) Append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (eventsourced.Position, error) {
	time.Sleep(away)
	defer time.Sleep(away)
	s.committing <- struct{}{}
	defer func() { <-s.committing }()
	var last eventsourced.Version
	for event := range s.Store.ReadStream(ctx, stream, 0) {
		last = event.Version
	}
	if expected.Allows(last) {
		time.Sleep(time.Millisecond)
	}
	return s.tally.Append(ctx, stream, expected, events)
}
