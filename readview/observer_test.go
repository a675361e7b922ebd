package readview_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// told notes what an observer is told.
type told struct {
	consumer.NoObserver
	mu       sync.Mutex
	handled  []consumer.Progress
	failures []consumer.Failure
	stalls   []consumer.Failure
	standbys []error
	resets   int
	ids      map[consumer.ID]bool
}

func (o *told) Handled(_ context.Context, progress consumer.Progress) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.handled = append(o.handled, progress)
	o.ids[progress.ID] = true
}

func (o *told) Failed(_ context.Context, id consumer.ID, failure consumer.Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failures = append(o.failures, failure)
	o.ids[id] = true
}

func (o *told) Stalled(_ context.Context, _ consumer.ID, failure consumer.Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stalls = append(o.stalls, failure)
}

func (o *told) Standby(_ context.Context, _ consumer.ID, cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.standbys = append(o.standbys, cause)
}

func (o *told) Reset(context.Context, consumer.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.resets++
}

// A handler that does not return makes a projection stalled, here and elsewhere, with the event.
func TestAHandlerThatDoesNotReturnStalls(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	position := b.deposit(1)
	observer, other, hang := &told{ids: map[consumer.ID]bool{}}, &told{ids: map[consumer.ID]bool{}}, make(chan struct{})
	config := fast()
	config.Observer, config.HangTimeout = observer, time.Minute
	manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		<-hang
		return onDeposited(ctx, tx, e)
	})))
	b.start(router)
	defer b.waitFor(manager, position)
	defer close(hang)
	config.Observer = other
	elsewhere, otherRouter := b.manager(config, balances())
	for _, m := range []*readview.Manager{manager, elsewhere} {
		b.eventually("it shows", func() bool { return b.status(m, "balances").State == consumer.Stalled })
		failure := b.status(m, "balances").Failure
		require.True(t, failure.Stalled)
		require.Empty(t, failure.Blockers)
		require.Equal(t, position, failure.Position)
		require.Contains(t, failure.Error, "the handler has not returned yet")
		require.Zero(t, failure.Attempts)
	}
	b.start(otherRouter)
	b.eventually("the other node stands by", func() bool {
		other.mu.Lock()
		defer other.mu.Unlock()
		return len(other.standbys) == 1
	})
	observer.mu.Lock()
	defer observer.mu.Unlock()
	require.Len(t, observer.stalls, 1)
	require.Equal(t, position, observer.stalls[0].Position)
	require.Equal(t, []error{nil}, other.standbys)
	require.Empty(t, observer.standbys)
}

func TestObserverIsToldOfResets(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	observer := &told{ids: map[consumer.ID]bool{}}
	config := fast()
	config.Observer = observer
	manager, _ := b.manager(config, balances())
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	require.Equal(t, 1, observer.resets)
	b.exec("DROP TABLE journal")
	require.Error(t, manager.ResetProjection(t.Context(), "balances"))
	require.Equal(t, 1, observer.resets)
}

func TestObserverIsToldWhatAProjectionDoes(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	last := b.deposit(20)
	poisoned := b.record("account-9", &Deposited{Amount: 99})
	observer := &told{ids: map[consumer.ID]bool{}}
	config := fast()
	config.PageEvents, config.Attempts, config.Observer = 7, 2, observer
	manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if e.Amount == 99 {
			return errors.New("poison")
		}
		return onDeposited(ctx, tx, e)
	})))
	b.start(router)
	b.eventually("the projection fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })

	observer.mu.Lock()
	defer observer.mu.Unlock()
	require.Equal(t, map[consumer.ID]bool{{Kind: consumer.KindProjection, Name: "balances"}: true}, observer.ids)
	events, before := 0, consumer.Progress{}
	for _, progress := range observer.handled {
		require.Greater(t, progress.Position, before.Position)
		require.Positive(t, progress.Took)
		events, before = events+progress.Events, progress
	}
	require.Equal(t, last, before.Position)
	require.Equal(t, 20, events, "what is taken back was not handled")
	require.Len(t, observer.failures, 2, "each try")
	for _, failure := range observer.failures {
		require.Equal(t, poisoned, failure.Position)
		require.Contains(t, failure.Error, "poison")
	}
}
