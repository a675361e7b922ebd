package eventsourced_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// tally is a store in memory for many goroutines that counts, and lets a test step in after an append.
type tally struct {
	*memstore.Store
	reads, conflicts atomic.Int64
	afterAppend      func()
}

func newTally(t testing.TB) *tally {
	t.Helper()
	return &tally{Store: memstore.New(accountRegistry(t))}
}

func (s *tally) ReadStream(ctx context.Context, stream eventsourced.Stream, after eventsourced.Version) iter.Seq2[eventsourced.Recorded, error] {
	s.reads.Add(1)
	return s.Store.ReadStream(ctx, stream, after)
}

func (s *tally) Append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (eventsourced.Position, error) {
	position, err := s.Store.Append(ctx, stream, expected, events)
	if errors.Is(err, eventsourced.ErrConflict) {
		s.conflicts.Add(1)
	}
	if s.afterAppend != nil {
		s.afterAppend()
	}
	return position, err
}

// crowd has writers change the account in turns: the first one's command has begun when the others come, and
// ends when they all wait.
type crowd struct {
	store    *tally
	accounts *eventsourced.Repository[Account]
	group    sync.WaitGroup
	finish   chan struct{}
	log      *bytes.Buffer
}

func newCrowd(t *testing.T, store *tally) *crowd {
	t.Helper()
	c := &crowd{store: store, finish: make(chan struct{}), log: &bytes.Buffer{}}
	c.accounts = newRepository(store, eventsourced.RepositoryConfig{Attempts: 1, Logger: slog.New(slog.NewTextHandler(c.log, nil))})
	c.start(t, func(a *Account) error {
		<-c.finish
		return a.Deposit(1)
	})
	return c
}

// start starts an update, and returns when it waits.
func (c *crowd) start(t *testing.T, act func(*Account) error) {
	t.Helper()
	c.group.Go(func() {
		_, err := c.accounts.Update(t.Context(), accountID, act)
		if err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
}

func (c *crowd) end() {
	close(c.finish)
	c.group.Wait()
}
