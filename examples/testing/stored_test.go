package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// What is stored once is read for ever, by every later version of the program. A change here wants an upcaster.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	registry := registry()
	require.Equal(t, []string{"Deposited", "Withdrawn"}, registry.Names())
	for want, event := range map[string]eventsourced.Event{
		`Deposited {"Amount":5}`: &Deposited{Amount: 5},
		`Withdrawn {"Amount":3}`: &Withdrawn{Amount: 3},
	} {
		stored, err := registry.Encode(t.Context(), event)
		require.NoError(t, err)
		require.Equal(t, want, stored[0].Name+" "+string(stored[0].Payload))
	}
}
