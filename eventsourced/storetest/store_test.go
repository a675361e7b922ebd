package storetest_test

import (
	"context"
	"iter"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
	"github.com/dancefinder/eventsourcing/eventsourced/storetest"
)

// narrow is a store that lacks something, and says so.
type narrow struct{ *memstore.Store }

func (n narrow) refuses(query eventsourced.LogQuery) bool {
	return query.Correlation != "" || query.Backwards || !query.Until.IsZero()
}

func (n narrow) ReadLog(ctx context.Context, query eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	if n.refuses(query) {
		return func(yield func(eventsourced.Recorded, error) bool) {
			yield(eventsourced.Recorded{}, eventsourced.ErrUnsupported)
		}
	}
	return n.Store.ReadLog(ctx, query)
}

func (n narrow) CountLog(ctx context.Context, query eventsourced.LogQuery) (int64, error) {
	if n.refuses(query) {
		return 0, eventsourced.ErrUnsupported
	}
	return n.Store.CountLog(ctx, query)
}

// careless passes over what it lacks.
type careless struct{ *memstore.Store }

func (c careless) ReadLog(ctx context.Context, query eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	query.Until = time.Time{}
	return c.Store.ReadLog(ctx, query)
}

func TestStoreThatLacksSomething(t *testing.T) {
	t.Parallel()
	storetest.TestStore(t, func(*testing.T) eventsourced.LogStore {
		return narrow{memstore.New(storetest.Registry())}
	}, storetest.Correlation, storetest.Backwards, storetest.Until)
}

// Each of these fails in a process of its own.
func TestStoreThatIsFoundOut(t *testing.T) {
	t.Parallel()
	const variable = "STORETEST_STORE"
	for name, test := range map[string]struct {
		open  func(*testing.T) eventsourced.LogStore
		lacks []storetest.Feature
	}{
		"it passes over a field":               {func(*testing.T) eventsourced.LogStore { return careless{memstore.New(storetest.Registry())} }, nil},
		"and declares that it lacks it":        {func(*testing.T) eventsourced.LogStore { return careless{memstore.New(storetest.Registry())} }, []storetest.Feature{storetest.Until}},
		"it refuses what it has not declared":  {func(*testing.T) eventsourced.LogStore { return narrow{memstore.New(storetest.Registry())} }, []storetest.Feature{storetest.Until}},
		"it declares what it can do after all": {func(*testing.T) eventsourced.LogStore { return memstore.New(storetest.Registry()) }, []storetest.Feature{storetest.Streams}},
	} {
		if os.Getenv(variable) == name {
			storetest.TestStore(t, test.open, test.lacks...)
			return
		}
		if os.Getenv(variable) != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStoreThatIsFoundOut$")
			command.Env = append(os.Environ(), variable+"="+name)
			output, err := command.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", output)
			require.Contains(t, string(output), "--- FAIL: TestStoreThatIsFoundOut/each_selection_alone_and_with_others_is_exact,_or_refused")
		})
	}
}
