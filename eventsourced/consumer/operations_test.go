package consumer_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

func TestOperatorLog(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	ctx := eventsourced.WithActor(t.Context(), "anna@desk")
	id := consumer.ID{Kind: consumer.KindRelay, Name: "relay"}
	require.ErrorIs(t, b.Consumers.Pause(ctx, id), consumer.ErrUnknown)
	_, err := b.Consumers.Acquire(ctx, id, "node", consumer.DefaultPollInterval)
	require.NoError(t, err)
	require.NoError(t, b.Consumers.Pause(ctx, id))
	errNo := errors.New("no")
	require.ErrorIs(t, b.Consumers.Operate(ctx, id, "skip", map[string]string{"position": "7"}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE consumers SET paused = false`)
		return errors.Join(err, errNo)
	}), errNo)
	all, err := b.Consumers.Operations(ctx, 10)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "pause relay relay anna@desk done", all[0].Command+" "+string(all[0].Kind)+" "+all[0].Name+" "+all[0].Actor+" "+string(all[0].Outcome))
	require.Equal(t, "skip failed: no 7", all[1].Command+" "+string(all[1].Outcome)+": "+all[1].Detail+" "+all[1].Arguments["position"])
	status, err := b.Consumers.Status(ctx, b.Store)
	require.NoError(t, err)
	require.Equal(t, consumer.Paused, status[0].State, "what failed has changed nothing")

	_, err = b.Pool.Exec(ctx, `ALTER TABLE consumer_operations ADD CHECK (command <> 'resume')`)
	require.NoError(t, err)
	require.Error(t, b.Consumers.Resume(ctx, id))
	status, err = b.Consumers.Status(ctx, b.Store)
	require.NoError(t, err)
	require.Equal(t, consumer.Paused, status[0].State, "nothing is done that is not on record")
}
