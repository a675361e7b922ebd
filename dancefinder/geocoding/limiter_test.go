package geocoding_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	a := newApp(t)

	t.Run("limiters of one provider share its slots", func(t *testing.T) {
		t.Parallel()
		const each, limiters = 10, 4
		var mu sync.Mutex
		var slots []time.Time
		var all sync.WaitGroup
		for range limiters {
			limiter := geocoding.NewLimiter(a.pool, "shared", 200*time.Millisecond)
			all.Go(func() {
				for range each {
					slot, err := limiter.Reserve(t.Context())
					if err != nil {
						t.Errorf("reserve: %v", err)
						return
					}
					mu.Lock()
					slots = append(slots, slot.At)
					mu.Unlock()
				}
			})
		}
		all.Wait()
		require.Len(t, slots, each*limiters)
		slices.SortFunc(slots, time.Time.Compare)
		for i := 1; i < len(slots); i++ {
			require.GreaterOrEqual(t, slots[i].Sub(slots[i-1]), 200*time.Millisecond)
		}
	})
	t.Run("providers don't share slots", func(t *testing.T) {
		t.Parallel()
		for _, provider := range []string{"one", "another"} {
			slot, err := geocoding.NewLimiter(a.pool, provider, time.Hour).Reserve(t.Context())
			require.NoError(t, err)
			require.Zero(t, slot.Wait)
		}
	})
	t.Run("who is late waits for nobody's slot", func(t *testing.T) {
		t.Parallel()
		limiter := geocoding.NewLimiter(a.pool, "late", time.Second)
		_, err := limiter.Reserve(t.Context())
		require.NoError(t, err)
		a.exec(`UPDATE geocoding_limit SET next_at = clock_timestamp() - interval '1 hour' WHERE provider = 'late'`)
		slot, err := limiter.Reserve(t.Context())
		require.NoError(t, err)
		require.Zero(t, slot.Wait)
		slot, err = limiter.Reserve(t.Context())
		require.NoError(t, err)
		require.Positive(t, slot.Wait, "slots that nobody used can't be used later")
	})
	t.Run("a long queue grows no longer", func(t *testing.T) {
		t.Parallel()
		limiter := geocoding.NewLimiter(a.pool, "long", time.Minute)
		_, err := limiter.Reserve(t.Context())
		require.NoError(t, err)
		for range 3 {
			_, err = limiter.Reserve(t.Context())
			requireRateLimited(t, err, 40*time.Second, 50*time.Second)
		}
		requireSlotIn(t, a, "long", time.Minute)
	})
	t.Run("a slot after the deadline is not taken", func(t *testing.T) {
		t.Parallel()
		limiter := geocoding.NewLimiter(a.pool, "deadline", 8*time.Second)
		_, err := limiter.Reserve(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = limiter.Reserve(ctx)
		require.ErrorIs(t, err, geocoding.ErrRateLimited)
		requireSlotIn(t, a, "deadline", 8*time.Second)
	})
	t.Run("in a pause there are no slots, for anybody", func(t *testing.T) {
		t.Parallel()
		one, other := geocoding.NewLimiter(a.pool, "paused", time.Millisecond), geocoding.NewLimiter(a.pool, "paused", time.Millisecond)
		require.NoError(t, one.Pause(t.Context(), time.Hour))
		require.NoError(t, one.Pause(t.Context(), time.Minute), "a shorter one changes nothing")
		for _, limiter := range []*geocoding.Limiter{one, other} {
			_, err := limiter.Reserve(t.Context())
			requireRateLimited(t, err, 59*time.Minute, time.Hour)
			requireRateLimited(t, limiter.Wait(t.Context()), 59*time.Minute, time.Hour)
		}
		a.exec(`UPDATE geocoding_limit SET paused_until = clock_timestamp() WHERE provider = 'paused'`)
		require.NoError(t, other.Wait(t.Context()), "the pause is over")
	})
	t.Run("a pause revokes the slots before it", func(t *testing.T) {
		t.Parallel()
		limiter := geocoding.NewLimiter(a.pool, "revoked", 3*time.Second)
		_, err := limiter.Reserve(t.Context())
		require.NoError(t, err)
		waited := make(chan error, 1)
		go func() { waited <- limiter.Wait(context.WithoutCancel(t.Context())) }()
		a.eventually(func() bool { // until it has its slot
			var taken bool
			require.NoError(t, a.pool.QueryRow(t.Context(), `SELECT next_at > clock_timestamp() + interval '3 s' FROM geocoding_limit WHERE provider = 'revoked'`).Scan(&taken))
			return taken || len(waited) > 0
		}, "waiting for a slot")
		require.NoError(t, limiter.Pause(t.Context(), time.Hour))
		requireRateLimited(t, <-waited, 59*time.Minute, time.Hour)
	})
	t.Run("what a clock that went back has left holds up nobody", func(t *testing.T) {
		t.Parallel()
		limiter := geocoding.NewLimiter(a.pool, "ahead", time.Millisecond)
		require.NoError(t, limiter.Wait(t.Context()))
		a.exec(`UPDATE geocoding_limit SET next_at = clock_timestamp() + interval '1 year', paused_until = clock_timestamp() + interval '1 year' WHERE provider = 'ahead'`)
		require.NoError(t, limiter.Wait(t.Context()))
		require.NoError(t, limiter.Pause(t.Context(), time.Hour))
		_, err := limiter.Reserve(t.Context())
		requireRateLimited(t, err, 59*time.Minute, time.Hour)
	})
	t.Run("waiting ends with the context", func(t *testing.T) {
		t.Parallel()
		limiter := geocoding.NewLimiter(a.pool, "cancelled", 9*time.Second)
		_, err := limiter.Reserve(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		waited := make(chan error, 1)
		go func() { waited <- limiter.Wait(ctx) }()
		cancel()
		require.ErrorIs(t, <-waited, context.Canceled)
	})
	t.Run("waiting lasts until the slot", func(t *testing.T) {
		t.Parallel()
		limiter := geocoding.NewLimiter(a.pool, "waits", 100*time.Millisecond)
		start := time.Now()
		for range 3 {
			require.NoError(t, limiter.Wait(t.Context()))
		}
		require.GreaterOrEqual(t, time.Since(start), 195*time.Millisecond, "two intervals, less what two clocks may differ")
	})
}

func requireRateLimited(t *testing.T, err error, least, most time.Duration) {
	t.Helper()
	require.ErrorIs(t, err, geocoding.ErrRateLimited)
	var limited *geocoding.RateLimitedError
	require.ErrorAs(t, err, &limited)
	require.True(t, least <= limited.RetryAfter && limited.RetryAfter <= most, "%s is not between %s and %s", limited.RetryAfter, least, most)
}

// requireSlotIn checks that the provider's next slot is at most so far ahead.
func requireSlotIn(t *testing.T, a *app, provider string, most time.Duration) {
	t.Helper()
	var ahead time.Duration
	require.NoError(t, a.pool.QueryRow(t.Context(), `SELECT next_at - clock_timestamp() FROM geocoding_limit WHERE provider = $1`, provider).Scan(&ahead))
	require.LessOrEqual(t, ahead, most)
}
