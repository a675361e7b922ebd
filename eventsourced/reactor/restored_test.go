package reactor_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

func TestParkedEventThatIsGone(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	events := []eventsourced.Recorded{b.RecordFor("a", &consumertest.Deposited{Amount: 1}), b.RecordFor("b", &consumertest.Deposited{Amount: 1})}
	logger, logged := consumertest.LogSignal("parked event not tried again")
	config := consumertest.Reacting()
	config.OnFailure, config.Logger = reactor.ParkFailures, logger
	it, _ := b.Reactor(config, reactor.On(func(context.Context, *consumertest.Deposited) error { return consumertest.ErrBroken }))
	b.Becomes(it, "both are parked", func(s consumer.Status) bool { return s.Parked == 2 })
	_, err := b.Pool.Exec(t.Context(), `DELETE FROM events WHERE tstamp = $1`, int64(events[0].Position))
	require.NoError(t, err)
	require.NoError(t, it.Resume(t.Context()))
	b.Wait(logged, "it is logged")
	b.Eventually("nothing is due", func() (none bool) {
		require.NoError(t, b.Pool.QueryRow(t.Context(), `SELECT NOT bool_or(due) FROM parked_events`).Scan(&none))
		return none
	})
	parked, err := it.Parked(t.Context())
	require.NoError(t, err)
	require.Len(t, parked, 2)
	require.Equal(t, "the event is not in the log any more", parked[0].Error)
	require.Equal(t, events[0].ID, parked[0].EventID)
	require.Equal(t, "broken", parked[1].Error)
}
