package eventsourced_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	t.Run("applies the event, keeps it as pending and says whose it is and when it was", func(t *testing.T) {
		t.Parallel()
		a := newAccount()
		require.NoError(t, eventsourced.Replay(a, accountID))
		before := time.Now().Truncate(time.Microsecond)
		require.NoError(t, a.Deposit(5))
		require.NoError(t, a.Withdraw(2))
		after := time.Now()
		require.Equal(t, 3, a.balance)
		require.Len(t, a.Pending(), 2)
		for _, event := range a.Pending() {
			require.Equal(t, accountID, event.AggregateID())
			at := event.OccurredAt()
			require.Equal(t, time.UTC, at.Location())
			require.Equal(t, at.Truncate(time.Microsecond), at)
			require.False(t, at.Before(before), "%s is before %s", at, before)
			require.False(t, at.After(after), "%s is after %s", at, after)
		}
		require.Zero(t, a.Version(), "only what is stored counts")
		require.Zero(t, a.Position())
	})
	t.Run("keeps a time that it is given, in the log's form", func(t *testing.T) {
		t.Parallel()
		a := newAccount()
		given := time.Date(2026, 7, 4, 22, 30, 0, 123456789, time.FixedZone("CEST", 2*60*60))
		event := &Deposited{BaseEvent: eventsourced.BaseEvent{EventTime: given}, Amount: 1}
		require.NoError(t, eventsourced.Record(a, event))
		require.Equal(t, time.Date(2026, 7, 4, 20, 30, 0, 123456000, time.UTC), event.OccurredAt())
	})
	t.Run("replaces an aggregate id that is another's", func(t *testing.T) {
		t.Parallel()
		a := newAccount()
		require.NoError(t, eventsourced.Replay(a, accountID))
		event := &Deposited{BaseEvent: eventsourced.BaseEvent{EventAggregateId: "another"}}
		require.NoError(t, eventsourced.Record(a, event))
		require.Equal(t, accountID, event.AggregateID())
	})
	t.Run("refuses more events than one append may have and changes nothing", func(t *testing.T) {
		t.Parallel()
		a := newAccount()
		for range eventsourced.MaxEvents {
			require.NoError(t, a.Deposit(1))
		}
		event := &Deposited{Amount: 1}
		err := eventsourced.Record(a, event)
		require.ErrorIs(t, err, eventsourced.ErrTooManyEvents)
		require.ErrorIs(t, err, eventsourced.ErrInvalid)
		require.EqualError(t, err, "invalid: more than 1000 events in one append")
		require.Equal(t, eventsourced.MaxEvents, a.balance)
		require.Len(t, a.Pending(), eventsourced.MaxEvents)
		require.Equal(t, &Deposited{Amount: 1}, event)
	})
	t.Run("refuses no event at all", func(t *testing.T) {
		t.Parallel()
		a := newAccount()
		require.EqualError(t, eventsourced.Record(a, nil), "eventsourced: record a nil event")
		require.EqualError(t, eventsourced.Record(a, (*Deposited)(nil)), "eventsourced: record a nil event")
		require.Empty(t, a.Pending())
	})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	a := newAccount()
	require.Empty(t, a.ID())
	first := &Deposited{Amount: 5}
	require.NoError(t, eventsourced.Replay(a, accountID, first, &Withdrawn{Amount: 2}))
	require.Equal(t, accountID, a.ID())
	require.Equal(t, accountID, first.AggregateID())
	require.EqualValues(t, 2, a.Version())
	require.Equal(t, 3, a.balance)
	require.Empty(t, a.Pending())
}
