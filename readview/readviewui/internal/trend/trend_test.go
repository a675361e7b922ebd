package trend_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview/readviewui/internal/trend"
)

func TestTrend(t *testing.T) {
	t.Parallel()
	const step = 30 * time.Second
	noon := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	newTrend := func() *trend.Trend[string, int] {
		return trend.New[string](step, 4, 2, func(earlier, later int) int { return max(earlier, later) })
	}
	of := func(tr *trend.Trend[string, int], thing string, at time.Time) (all []int) {
		for _, v := range tr.Of(thing, at) {
			if v == nil {
				all = append(all, -1)
			} else {
				all = append(all, *v)
			}
		}
		return all
	}
	t.Run("values of one step are merged, and steps without one are gaps", func(t *testing.T) {
		tr := newTrend()
		tr.Add(noon, "a", 1)
		tr.Add(noon.Add(step/2), "a", 3)
		tr.Add(noon.Add(step-1), "a", 2)
		tr.Add(noon.Add(2*step), "a", 5)
		require.Equal(t, []int{-1, 3, -1, 5}, of(tr, "a", noon.Add(2*step)))
		require.Equal(t, []int{-1, 5, -1, -1}, of(tr, "a", noon.Add(4*step)), "time goes on")
		require.Equal(t, []int{-1, -1, -1, -1}, of(tr, "a", noon.Add(100*step)))
		require.Equal(t, []int{-1, -1, -1, -1}, of(tr, "b", noon))
	})
	t.Run("what is older than the steps is gone", func(t *testing.T) {
		tr := newTrend()
		for i := range 6 {
			tr.Add(noon.Add(time.Duration(i)*step), "a", i)
		}
		require.Equal(t, []int{2, 3, 4, 5}, of(tr, "a", noon.Add(5*step)))
		tr.Add(noon, "a", 9)
		require.Equal(t, []int{2, 3, 4, 5}, of(tr, "a", noon.Add(5*step)), "it comes too late")
		tr.Add(noon.Add(3*step), "a", 9)
		require.Equal(t, []int{2, 9, 4, 5}, of(tr, "a", noon.Add(5*step)))
		tr.Add(noon.Add(1000*step), "a", 7)
		require.Equal(t, []int{-1, -1, -1, 7}, of(tr, "a", noon.Add(1000*step)))
	})
	t.Run("there is room for so many things", func(t *testing.T) {
		tr := newTrend()
		tr.Add(noon, "a", 1)
		tr.Add(noon.Add(step), "b", 2)
		tr.Add(noon.Add(step), "c", 3)
		require.Equal(t, []int{-1, -1, -1, -1}, of(tr, "c", noon.Add(step)))
		tr.Add(noon.Add(4*step), "c", 3)
		require.Equal(t, []int{-1, -1, -1, -1}, of(tr, "a", noon.Add(4*step)), "nothing has come of it")
		require.Equal(t, []int{2, -1, -1, -1}, of(tr, "b", noon.Add(4*step)))
		require.Equal(t, []int{-1, -1, -1, 3}, of(tr, "c", noon.Add(4*step)))
	})
	t.Run("what is returned is the caller's", func(t *testing.T) {
		tr := newTrend()
		tr.Add(noon, "a", 1)
		*tr.Of("a", noon)[3] = 7
		require.Equal(t, []int{-1, -1, -1, 1}, of(tr, "a", noon))
	})
}
