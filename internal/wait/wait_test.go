package wait_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/internal/wait"
)

func TestSleep(t *testing.T) {
	t.Parallel()
	began := time.Now()
	require.True(t, wait.Sleep(t.Context(), 10*time.Millisecond))
	require.GreaterOrEqual(t, time.Since(began), 10*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, wait.Sleep(ctx, time.Hour))
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	b := wait.BackOff{First: 10 * time.Millisecond, Last: 70 * time.Millisecond}
	for failures, limit := range map[int]time.Duration{
		1: 10 * time.Millisecond, 2: 20 * time.Millisecond, 3: 40 * time.Millisecond, 4: 70 * time.Millisecond, 1_000_000: 70 * time.Millisecond,
	} {
		require.Equal(t, limit, b.Limit(failures))
		different := map[time.Duration]bool{}
		for range 100 {
			after := b.After(failures)
			require.GreaterOrEqual(t, after, limit/2)
			require.LessOrEqual(t, after, limit)
			different[after] = true
		}
		require.Greater(t, len(different), 1, "those who fail together do not meet again")
	}
	require.Zero(t, wait.BackOff{}.After(1))
	require.Equal(t, time.Duration(1), wait.BackOff{First: time.Hour, Last: 1}.After(7))
}

func TestRecover(t *testing.T) {
	t.Parallel()
	err := func() (err error) {
		defer wait.Recover(&err)
		panic("no")
	}()
	require.EqualError(t, err, "panic: no")
	var panicked *wait.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Contains(t, string(panicked.Stack), "TestRecover")
	require.NoError(t, func() (err error) {
		defer wait.Recover(&err)
		return nil
	}())
}
