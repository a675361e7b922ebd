package messaging_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
)

func TestRegisteredConsumers(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	relays, err := b.positions.Relays(t.Context(), b.store)
	require.NoError(t, err)
	require.Empty(t, relays, "none has ever run")
	_, err = b.pool.Exec(t.Context(), `INSERT INTO consumers (name, topic, error, failed_at) VALUES
		('second', '$relay', NULL, NULL), ('first', '$relay', 'broker is down', now()), ('mails', '$reactor', NULL, NULL), ('group', '$all', NULL, NULL)`)
	require.NoError(t, err)

	relays, err = b.positions.Relays(t.Context(), b.store)
	require.NoError(t, err)
	require.Len(t, relays, 2)
	require.Equal(t, []string{"first", "second"}, []string{relays[0].Name, relays[1].Name})
	require.Equal(t, "broker is down", relays[0].Failure.Error)
	require.Nil(t, relays[1].Failure)
	reactors, err := b.positions.Reactors(t.Context(), b.store)
	require.NoError(t, err)
	require.Len(t, reactors, 1)
	require.Equal(t, "mails", reactors[0].Name)

	_, err = b.pool.Exec(t.Context(), "DROP TABLE consumers")
	require.NoError(t, err)
	_, err = b.positions.Relays(t.Context(), b.store)
	require.ErrorContains(t, err, "messaging.Migrate")
	require.ErrorContains(t, err, messaging.Consumer{Group: "all", Topic: "$relay"}.String())
}
