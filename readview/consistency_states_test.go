package readview_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

// Each of these would wait for an hour.
func TestConsistencyDoesNotWaitInVain(t *testing.T) {
	t.Parallel()
	// prepare returns a manager, and a position that its projection won't reach.
	for name, c := range map[string]struct {
		prepare func(b *bank) (*readview.Manager, eventsourced.Position)
		state   consumer.State
	}{
		"for a projection that is paused": {paused, consumer.Paused},
		"for one that has failed":         {failed, consumer.Failed},
		"for one that is ahead of the log, though its position is above the token's": {ahead, consumer.Ahead},
		"for one that is being rebuilt after a reset":                                {rebuilding, consumer.CatchingUp},
		"for one that has passed over events":                                        {passedOver, consumer.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			manager, position := c.prepare(b)
			consistency := b.consistency(manager, b.pool, time.Hour)
			result, err := consistency.Wait(t.Context(), consistency.Token(position), "balances")
			require.NoError(t, err)
			require.False(t, result.Satisfied)
			require.Equal(t, c.state, result.Projections[0].State)
			require.ErrorIs(t, result.Err(), readview.ErrConsistencyTimeout)
			require.ErrorContains(t, result.Err(), "balances is "+string(c.state))
		})
	}
}

func paused(b *bank) (*readview.Manager, eventsourced.Position) {
	manager, router := b.manager(fast(), balances())
	b.start(router)
	require.NoError(b.t, manager.Pause(b.t.Context(), "balances"))
	return manager, b.deposit(1)
}

func failed(b *bank) (*readview.Manager, eventsourced.Position) {
	config := fast()
	config.RetryFor = time.Millisecond
	manager, router := b.manager(config, balances())
	b.start(router)
	position := b.record("anna", &Deposited{Amount: 2_000_000})
	b.eventually("it has failed", func() bool { return b.status(manager, "balances").State == consumer.Failed })
	return manager, position
}

func ahead(b *bank) (*readview.Manager, eventsourced.Position) {
	manager, router := b.manager(fast(), balances())
	position := b.deposit(1)
	stop := b.start(router)
	last := b.deposit(1)
	b.waitFor(manager, last)
	stop()
	b.exec(`DELETE FROM events WHERE tstamp = $1`, int64(last))
	manager, router = b.manager(fast(), balances())
	b.start(router)
	b.eventually("it is noticed", func() bool {
		return b.status(manager, "balances").State == consumer.Ahead && b.int(`SELECT count(*) FROM readview_states WHERE status = 'ahead'`) == 1
	})
	return manager, position
}

// rebuilding is a projection whose handler is slow after the reset. Its events are young.
func rebuilding(b *bank) (*readview.Manager, eventsourced.Position) {
	var slow atomic.Bool
	release := make(chan struct{})
	manager, router := b.manager(fast(), balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if slow.Load() {
			<-release
		}
		return onDeposited(ctx, tx, e)
	})))
	b.start(router)
	b.t.Cleanup(func() { close(release) }) // before the router is stopped
	b.waitFor(manager, b.deposit(5))
	slow.Store(true)
	require.NoError(b.t, manager.ResetProjection(b.t.Context(), "balances"))
	return manager, b.deposit(1)
}

func passedOver(b *bank) (*readview.Manager, eventsourced.Position) {
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	position := b.record("anna", &Deposited{Amount: 1}, &Audited{})
	b.waitFor(manager, position)
	stop()
	both := balances(readview.On(onDeposited), readview.On(onAudited))
	manager, router = b.manager(fast(), both)
	b.start(router)
	return manager, position
}

// What is late for longer than the limit is reported too, in a moment.
func TestConsistencyDoesNotWaitForWhatIsLateForLong(t *testing.T) {
	t.Parallel()
	const limit = 3 * time.Second
	t.Run("catching up on old events", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		release := make(chan struct{})
		manager, router := b.manager(fast(), balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			<-release
			return onDeposited(ctx, tx, e)
		})))
		b.exec(`UPDATE events SET tstamp = tstamp - 3600000000 WHERE tstamp = $1`, int64(b.deposit(1)))
		b.start(router)
		b.t.Cleanup(func() { close(release) })
		position := b.deposit(1)
		b.eventually("it is applied here", func() bool { return b.status(manager, "balances").Node != "" })
		c := b.consistency(manager, b.pool, time.Minute)
		result, err := c.Wait(t.Context(), c.Token(position))
		require.NoError(t, err)
		require.Equal(t, consumer.CatchingUp, result.Projections[0].State)
	})
	t.Run("retrying", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		config := fast()
		config.RetryFor = time.Hour
		manager, router := b.manager(config, balances(readview.On(func(context.Context, readview.Tx, *Deposited) error {
			return context.DeadlineExceeded
		})))
		b.start(router)
		position := b.deposit(1)
		b.eventually("it has tried for a while", func() bool {
			failure := b.status(manager, "balances").Failure
			return failure != nil && time.Since(failure.Since) > limit
		})
		c := b.consistency(manager, b.pool, limit)
		ctx, cancel := context.WithTimeout(t.Context(), limit*2/3)
		defer cancel()
		result, err := c.Wait(ctx, c.Token(position))
		require.NoError(t, err, "before the limit")
		require.False(t, result.Satisfied)
		require.Equal(t, consumer.Retrying, result.Projections[0].State)
	})
}

// A reset that is through leaves nothing behind: reads wait again, and are not told that they can't.
func TestConsistencyAfterAReset(t *testing.T) {
	t.Parallel()
	for name, position := range map[string]func(b *bank, last eventsourced.Position){
		"of a projection as it should be": func(*bank, eventsourced.Position) {},
		"of one that was ahead of the log": func(b *bank, last eventsourced.Position) {
			b.exec(`UPDATE readviews SET position = $1`, int64(last)+3_600_000_000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			manager, router := b.manager(fast(), balances())
			last := b.deposit(3)
			stop := b.start(router)
			b.waitFor(manager, last)
			stop()
			position(b, last)
			manager, router = b.manager(fast(), balances())
			require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
			b.start(router)
			b.waitFor(manager, last)
			c := b.consistency(manager, b.pool, time.Minute)
			result, err := c.Wait(t.Context(), c.Token(b.deposit(1)))
			require.NoError(t, err)
			require.True(t, result.Satisfied, "%v", result.Projections)
		})
	}
}

// One projection that does not come is enough: the others are not waited for.
func TestConsistencyOfSeveralProjections(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances(), audits())
	b.start(router)
	c := b.consistency(manager, b.pool, time.Hour)
	require.NoError(t, manager.Pause(t.Context(), "audits"))
	token := c.Token(b.deposit(1))

	result, err := c.Wait(t.Context(), token, "balances", "balances")
	require.NoError(t, err)
	require.True(t, result.Satisfied)
	require.Len(t, result.Projections, 1, "each once")

	result, err = c.Wait(t.Context(), token)
	require.NoError(t, err)
	require.False(t, result.Satisfied)
	require.Equal(t, "audits", result.Projections[0].Name)
	require.Equal(t, "balances", result.Projections[1].Name)
	require.NotContains(t, result.Err().Error(), "balances")

	require.NoError(t, manager.Resume(t.Context(), "audits"))
	result, err = c.Wait(t.Context(), token)
	require.NoError(t, err)
	require.True(t, result.Satisfied)
}

// silent is a subscriber that nothing comes to.
type silent struct{}

func (silent) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	messages := make(chan *message.Message)
	context.AfterFunc(ctx, func() { close(messages) })
	return messages, nil
}

func (silent) Close() error { return nil }

// Positions of another context's log are not those of the token.
func TestConsistencyOfARemoteProjection(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), audits())
	require.NoError(t, manager.AddRemote(balances(), readview.Feed{Registry: registry(), Subscriber: silent{}, Topic: "bank"}))
	b.start(router)
	c := b.consistency(manager, b.pool, time.Minute)
	token := c.Token(b.deposit(1))
	_, err := c.Wait(t.Context(), token, "balances")
	require.ErrorIs(t, err, readview.ErrOtherLog)
	result, err := c.Wait(t.Context(), token)
	require.NoError(t, err)
	require.True(t, result.Satisfied)
	require.Len(t, result.Projections, 1, "all of the own log's")
}
