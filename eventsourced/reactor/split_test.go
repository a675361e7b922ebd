package reactor_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	shared "github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// toParts notes the parts of people that are handled; each Relocated is first given to relocate.
func toParts(seen *consumertest.Handled, relocate func(context.Context) error) []reactor.Reaction {
	return []reactor.Reaction{
		reactor.On(func(ctx context.Context, _ *shared.Named) error { seen.Note(ctx); return nil }),
		reactor.On(func(ctx context.Context, _ *shared.Relocated) error {
			if err := relocate(ctx); err != nil {
				return err
			}
			seen.Note(ctx)
			return nil
		}),
	}
}

func TestPartsOfAnEventAreAllHandled(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	stored := b.Evolve(shared.Old("Registered", `{"Name": "Ann", "Town": "Mora"}`), shared.Old("Moved", `{"Town": "Falun"}`), shared.Old("Registered", `{}`))
	var want []string
	for _, event := range stored {
		parts, err := shared.Evolved().Upcast(t.Context(), event)
		require.NoError(t, err)
		want = append(want, consumertest.IDsOf(parts)...)
	}
	require.Len(t, want, 3)
	t.Run("in order, and what is nothing today moves the position", func(t *testing.T) {
		t.Parallel()
		b := b.With(t)
		var seen consumertest.Handled
		config := consumertest.Reacting()
		config.Name = "all"
		it, _ := b.Reactor(config, toParts(&seen, func(context.Context) error { return nil })...)
		b.Becomes(it, "it is live", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == stored[2].Position })
		require.Equal(t, want, seen.All())
	})
	t.Run("again when one fails, until all have succeeded", func(t *testing.T) {
		t.Parallel()
		b := b.With(t)
		var seen consumertest.Handled
		var tries atomic.Int64
		config := consumertest.Reacting()
		config.Name, config.Attempts = "failing", 5
		it, _ := b.Reactor(config, toParts(&seen, func(context.Context) error {
			if tries.Add(1) < 3 {
				return consumertest.ErrBroken
			}
			return nil
		})...)
		b.Becomes(it, "it is live", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == stored[2].Position })
		require.Equal(t, append([]string{want[0], want[0]}, want...), seen.All())
	})
	t.Run("by the next process when one ends between them", func(t *testing.T) {
		t.Parallel()
		b := b.With(t)
		var seen consumertest.Handled
		config := consumertest.Reacting()
		config.Name = "ending"
		between := make(chan struct{}, 1)
		_, stop := b.Reactor(config, toParts(&seen, func(ctx context.Context) error {
			between <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})...)
		b.Wait(between, "the second part is being handled")
		stop()
		it, _ := b.Reactor(config, toParts(&seen, func(context.Context) error { return nil })...)
		b.Becomes(it, "it is live", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == stored[2].Position })
		require.Equal(t, append([]string{want[0]}, want...), seen.All())
	})
	t.Run("or the event is parked as a whole", func(t *testing.T) {
		t.Parallel()
		b := b.With(t)
		var seen consumertest.Handled
		var cured atomic.Bool
		config := consumertest.Reacting()
		config.Name, config.Attempts, config.OnFailure = "parking", 1, reactor.ParkFailures
		it, _ := b.Reactor(config, toParts(&seen, func(ctx context.Context) error {
			if eventsourced.FromContext(ctx).Position == stored[0].Position && !cured.Load() {
				return consumertest.ErrBroken
			}
			return nil
		})...)
		b.Becomes(it, "it goes on", func(s consumer.Status) bool { return s.Position == stored[2].Position })
		parked, err := it.Parked(t.Context())
		require.NoError(t, err)
		require.Len(t, parked, 3, "with what comes after it in its stream")
		require.Equal(t, stored[0].ID, parked[0].EventID)
		require.Equal(t, "Registered", parked[0].EventName)
		cured.Store(true)
		require.NoError(t, it.Resume(t.Context()))
		b.Eventually("it is handled again", func() bool { return len(seen.All()) == 4 })
		require.Equal(t, append([]string{want[0]}, want...), seen.All())
	})
}
