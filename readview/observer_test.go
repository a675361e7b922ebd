package readview_test

import (
	"context"
	"errors"
	"sync"
	"testing"

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
