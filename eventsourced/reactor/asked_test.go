package reactor_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// Somebody need not wait until a reactor gives an event up.
func TestWaysPastAnEventThatFails(t *testing.T) {
	t.Parallel()
	t.Run("one that is tried again in an hour is parked at once, with its stream", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		s := newSick("a")
		config := consumertest.Reacting()
		config.RetryFor, config.BackOff, config.MaxBackOff, config.MaxDelay = time.Hour, time.Hour, time.Hour, time.Hour
		it, _ := b.Reactor(config, s.reaction())
		last := b.deposits(1, 2, "a", "b")
		var failure *consumer.Failure
		b.Becomes(it, "it tries", func(s consumer.Status) bool {
			failure = s.Failure
			return s.State == consumer.Retrying && failure.Attempts == 1
		})
		stored := b.stored(config.Name)
		require.Equal(t, failure.EventID, stored.EventID)
		parking := reactor.NewParking(b.Consumers, config.Name)
		require.ErrorIs(t, parking.ParkFailing(t.Context(), last.ID, "not that one"), reactor.ErrNotThere)
		require.NoError(t, parking.ParkFailing(t.Context(), failure.EventID, "mended tomorrow"))
		b.Becomes(it, "it goes on", parkedIs(2))
		require.Equal(t, []int64{1, 2}, s.of("b"))
		all, err := b.Consumers.Operations(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, []string{"park", "park"}, []string{all[0].Command, all[1].Command})
		require.Equal(t, consumer.OutcomeFailed, all[0].Outcome)
		require.Equal(t, "mended tomorrow", all[1].Arguments["reason"])
		require.Equal(t, "it fails again", all[1].Arguments["when"], "what is done is that it was asked for")
		s.cure("a")
		require.NoError(t, it.Resume(t.Context()))
		b.Becomes(it, "all is handled", parkedIs(0))
		require.Equal(t, []int64{1, 2}, s.of("a"))
		var asked int
		require.NoError(t, b.Pool.QueryRow(t.Context(), `SELECT count(*) FROM reactor_asked`).Scan(&asked))
		require.Zero(t, asked, "it was asked for once")
	})
	t.Run("one at which it has stopped is skipped", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		s := newSick("a")
		config := consumertest.Reacting()
		it, _ := b.Reactor(config, s.reaction())
		b.deposits(1, 1, "a", "b")
		b.Becomes(it, "it stops", func(s consumer.Status) bool { return s.State == consumer.Failed })
		parking, at := reactor.NewParking(b.Consumers, config.Name), b.stored(config.Name)
		b.Exec(fmt.Sprintf(`INSERT INTO reactor_done (name, position) VALUES ('%s', %d)`, config.Name, at.Position))
		require.ErrorIs(t, parking.SkipFailing(t.Context(), at.EventID, "late"), reactor.ErrNotThere, "it is done, and the failure about to be forgotten")
		b.Exec(`DELETE FROM reactor_done`)
		require.NoError(t, parking.ParkFailing(t.Context(), at.EventID, "a test"))
		require.NoError(t, parking.SkipFailing(t.Context(), at.EventID, "a test"), "another mind")
		require.ErrorIs(t, parking.SkipFailing(t.Context(), at.EventID, "again"), reactor.ErrAlreadyAsked)
		status, err := it.Status(t.Context())
		require.NoError(t, err)
		require.Equal(t, "skip", status.Asked)
		require.NoError(t, it.Resume(t.Context()))
		b.Becomes(it, "it goes on", parkedIs(0))
		require.Equal(t, []int64{1}, s.of("b"))
		skipped, err := it.Skipped(t.Context())
		require.NoError(t, err)
		require.Len(t, skipped, 1)
		require.Equal(t, "a test: broken", skipped[0].Error)
	})
}

// stored waits until the failure of a reactor is on record, and returns it.
func (b *bank) stored(name string) (failure *consumer.Failure) {
	b.T.Helper()
	b.Eventually("the failure is on record", func() bool {
		all, err := b.Consumers.Status(b.T.Context(), b.Store)
		require.NoError(b.T, err)
		for _, s := range all {
			if s.Name == name {
				failure = s.Failure
			}
		}
		return failure != nil && failure.EventID != (eventsourced.EventID{})
	})
	return failure
}
