package consumer_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func isPaused(s consumer.Status) bool { return s.State == consumer.Paused }

func TestPause(t *testing.T) {
	t.Parallel()
	for name, start := range consumers() {
		t.Run(name+" stops until it is resumed, also after a restart", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			before := b.Deposit(1)
			c := start(b)
			live := b.Becomes(c, "it runs", func(s consumer.Status) bool {
				return consumertest.IsLive(s) && s.Position == before[0].Position
			})
			require.NoError(t, b.Consumers.Pause(t.Context(), live.ID()))
			b.Becomes(c, "it says so", isPaused)
			c.stop()
			c = start(b)
			b.Becomes(c, "a restart changes nothing", func(s consumer.Status) bool { return isPaused(s) && s.Node != "" })
			more := b.Deposit(1)
			b.Becomes(c, "it has seen that there are more", func(s consumer.Status) bool { return isPaused(s) && s.Behind == 1 })
			all, err := b.Consumers.Status(t.Context(), b.Store)
			require.NoError(t, err)
			require.Equal(t, consumer.Paused, all[0].State)
			require.Empty(t, c.seen(), "it has handled nothing")
			require.NoError(t, c.resume(t.Context()))
			b.Becomes(c, "it goes on", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == more[0].Position })
			require.Equal(t, consumertest.IDsOf(more), c.seen())
		})
		t.Run(name+" that is busy stops within a second, and has done what it had begun", func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			c := start(b)
			live := b.Becomes(c, "it runs", consumertest.IsLive)
			stop := make(chan struct{})
			appending := make(chan int)
			go func() {
				n := 0
				for {
					select {
					case <-stop:
						appending <- n
						return
					default:
						b.Deposit(1)
						n++
					}
				}
			}()
			b.Eventually("it handles events", func() bool { return len(c.seen()) > 10 })
			require.NoError(t, b.Consumers.Pause(t.Context(), live.ID()))
			paused := time.Now()
			last := paused
			for n := len(c.seen()); time.Since(paused) < 1500*time.Millisecond; {
				if now := len(c.seen()); now != n {
					n, last = now, time.Now()
				}
			}
			close(stop)
			n := <-appending
			require.Less(t, last.Sub(paused), time.Second)
			require.Less(t, len(c.seen()), n)
			require.NoError(t, b.Consumers.Resume(t.Context(), live.ID()))
			b.Eventually("all is handled", func() bool { return len(c.seen()) >= n })
			require.Len(t, c.seen(), n, "nothing twice")
		})
	}
	t.Run("what has never run can't be paused or resumed by its name", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		id := consumer.ID{Kind: consumer.KindRelay, Name: "nobody"}
		require.ErrorIs(t, b.Consumers.Pause(t.Context(), id), consumer.ErrUnknown)
		require.ErrorIs(t, b.Consumers.Resume(t.Context(), id), consumer.ErrUnknown)
	})
}
