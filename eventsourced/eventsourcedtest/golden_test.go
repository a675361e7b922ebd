package eventsourcedtest_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

// It sets the environment, and is not parallel.
func TestGolden(t *testing.T) {
	t.Setenv(eventsourcedtest.UpdateVariable, "")
	dir := t.TempDir()
	registry := eventsourced.MustRegistry(eventsourced.Type[started]("started"), eventsourced.Type[stopped]("was/stopped"))
	golden := func(registry *eventsourced.Registry, events ...eventsourced.Event) *fakeTest {
		return runFake(t, func(t testing.TB) { eventsourcedtest.Golden(t, registry, dir, events...) })
	}
	got := golden(registry, &started{At: 1}, &stopped{})
	require.True(t, got.failed, "there are no files yet")
	require.Contains(t, got.log, "UPDATE_GOLDEN=1")

	t.Setenv(eventsourcedtest.UpdateVariable, "1")
	require.False(t, golden(registry, &started{At: 1}, &stopped{}).failed)
	t.Setenv(eventsourcedtest.UpdateVariable, "")
	require.False(t, golden(registry, &started{At: 1}, &stopped{}).failed)
	written, err := os.ReadFile(dir + "/started.1.json")
	require.NoError(t, err)
	require.Equal(t, "{\n  \"At\": 1\n}\n", string(written))

	got = golden(registry, &started{At: 2}, &stopped{})
	require.True(t, got.failed, "it is stored in another way")
	require.Contains(t, got.log, "add an upcaster")
	got = golden(registry, &started{At: 1})
	require.True(t, got.failed, "one was not given")
	require.Contains(t, got.log, "was/stopped")
	got = golden(registry, &started{At: 1}, &started{At: 2}, &stopped{})
	require.True(t, got.failed, "one was given twice")
	require.Contains(t, got.log, "two events are named started")

	// A later version: the file of the first one stays, and is still read.
	t.Setenv(eventsourcedtest.UpdateVariable, "1")
	later := func(upcast eventsourced.UpcastFunc) *eventsourced.Registry {
		return eventsourced.MustRegistry(eventsourced.Type[started]("started", eventsourced.Upcast(1, upcast)), eventsourced.Type[stopped]("was/stopped"))
	}
	same := func(_ context.Context, event eventsourced.Stored) (json.RawMessage, error) { return event.Payload, nil }
	require.False(t, golden(later(same), &started{At: 3}, &stopped{}).failed)
	written, err = os.ReadFile(dir + "/started.1.json")
	require.NoError(t, err)
	require.Equal(t, "{\n  \"At\": 1\n}\n", string(written))
	broken := func(context.Context, eventsourced.Stored) (json.RawMessage, error) { return nil, errOther }
	got = golden(later(broken), &started{At: 3}, &stopped{})
	require.True(t, got.failed)
	require.Contains(t, got.log, "started.1.json")
}
