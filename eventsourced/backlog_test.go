package eventsourced_test

import (
	"context"
	"iter"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// waiting is a log in which one event waits.
type waiting struct{ event eventsourced.Recorded }

func (w waiting) Head(context.Context) (eventsourced.Position, error) { return w.event.Position, nil }

func (w waiting) CountLog(context.Context, eventsourced.LogQuery) (int64, error) { return 1, nil }

func (w waiting) ReadLog(context.Context, eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) { yield(w.event, nil) }
}

func TestBacklogOfAClockThatWentBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		appended, occurred time.Duration // ago
		lag                time.Duration
		fromFuture         bool
	}{
		"an event of the past":                       {time.Hour, 2 * time.Hour, time.Hour, false},
		"one that was appended in the future":        {-time.Hour, 2 * time.Hour, 2 * time.Hour, true},
		"one that occurred in the future as well":    {-time.Hour, -time.Hour, 0, true},
		"one that is new, by a clock a little ahead": {-100 * time.Millisecond, 10000 * time.Hour, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			backlog, err := eventsourced.BacklogAfter(t.Context(), waiting{eventsourced.Recorded{
				EventData: eventsourced.EventData{Time: now.Add(-test.occurred)},
				Position:  eventsourced.Position(now.Add(-test.appended).UnixMicro()),
			}}, eventsourced.LogQuery{})
			require.NoError(t, err)
			require.EqualValues(t, 1, backlog.Behind)
			require.InDelta(t, test.lag, backlog.Lag, float64(time.Minute))
			require.Equal(t, test.fromFuture, backlog.FromFuture)
		})
	}
}

func TestBacklogIsBoundedAndOfWhatIsHandled(t *testing.T) {
	t.Parallel()
	store := memstore.New(accountRegistry(t))
	encoded, err := store.Registry().Encode(t.Context(), &Withdrawn{Amount: 1})
	require.NoError(t, err)
	first, err := store.Append(t.Context(), accountStream, eventsourced.NoStream, encoded)
	require.NoError(t, err)
	head := deposit(t, store, 1, 2, 3)
	for name, test := range map[string]struct {
		query eventsourced.LogQuery
		text  string
	}{
		"all":                       {eventsourced.LogQuery{}, "4"},
		"above a position":          {eventsourced.LogQuery{After: first}, "3"},
		"what it handles":           {eventsourced.LogQuery{Names: []string{"Withdrawn"}}, "1"},
		"what it has handled":       {eventsourced.LogQuery{Names: []string{"Withdrawn"}, After: first}, "0"},
		"as many as the bound":      {eventsourced.LogQuery{Names: []string{"Deposited"}, Limit: 3}, "3"},
		"more than the bound":       {eventsourced.LogQuery{Names: []string{"Deposited"}, Limit: 2}, "2+"},
		"the largest bound of all":  {eventsourced.LogQuery{Limit: math.MaxInt}, "4"},
		"backwards is the same way": {eventsourced.LogQuery{Backwards: true, Limit: 3}, "3+"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backlog, err := eventsourced.BacklogAfter(t.Context(), store, test.query)
			require.NoError(t, err)
			require.Equal(t, test.text, backlog.String())
			require.Equal(t, head, backlog.Head)
		})
	}
}

// counting notes how far a log is asked to count.
type counting struct {
	*memstore.Store
	limit int
}

func (c *counting) CountLog(ctx context.Context, query eventsourced.LogQuery) (int64, error) {
	c.limit = query.Limit
	return c.Store.CountLog(ctx, query)
}

func TestBacklogIsNotCountedToItsEnd(t *testing.T) {
	t.Parallel()
	log := &counting{Store: memstore.New(accountRegistry(t))}
	_, err := eventsourced.BacklogAfter(t.Context(), log, eventsourced.LogQuery{})
	require.NoError(t, err)
	require.Equal(t, eventsourced.MaxBacklog+1, log.limit)
}
