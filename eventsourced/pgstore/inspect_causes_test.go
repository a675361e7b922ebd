package pgstore_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// The causes of an event are found however far back they are, and its effects as a tree.
func TestInspectorFollowsCausesAndEffects(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	store := open(t, db)
	inspector := store.Inspector(pgstore.InspectorConfig{Scan: 200})
	ids := map[string]*eventsourced.Recorded{}
	// happen appends an event because of another one, which may be none of the log's.
	happen := func(t *testing.T, name string, metadata eventsourced.Metadata) {
		events := encode(t, name)
		events[0].Metadata = metadata
		position, err := store.Append(t.Context(), stream(name), eventsourced.NoStream, events)
		require.NoError(t, err)
		ids[name], err = inspector.Event(t.Context(), position)
		require.NoError(t, err)
	}
	because := func(t *testing.T, name, cause string) {
		happen(t, name, eventsourced.Metadata{eventsourced.MetaCorrelation: "import", eventsourced.MetaCausation: ids[cause].ID.String()})
	}
	names := func(events []eventsourced.Recorded) (all []string) {
		for _, event := range events {
			require.Nil(t, event.Payload)
			all = append(all, event.Stream.AggregateID)
		}
		return all
	}
	tree := func(effects []pgstore.Effect) (all []string) {
		for _, effect := range effects {
			all = append(all, fmt.Sprint(effect.Depth, " ", effect.Stream.AggregateID))
		}
		return all
	}
	happen(t, "root", eventsourced.Metadata{eventsourced.MetaCorrelation: "import", eventsourced.MetaCausation: "the run of November"})
	because(t, "other", "root")
	because(t, "middle", "root")
	because(t, "first", "middle")
	because(t, "second", "middle")
	because(t, "first's", "first")
	because(t, "third", "middle")
	happen(t, "unrelated", nil)
	// Somebody gave it a correlation of its own: it still names its cause.
	happen(t, "apart", eventsourced.Metadata{eventsourced.MetaCorrelation: "another", eventsourced.MetaCausation: ids["middle"].ID.String()})

	t.Run("in the middle", func(t *testing.T) {
		chain, err := inspector.Chain(t.Context(), ids["middle"])
		require.NoError(t, err)
		require.Equal(t, []string{"root"}, names(chain.Causes))
		require.Equal(t, "the run of November", chain.Origin)
		require.Equal(t, []string{"1 first", "2 first's", "1 second", "1 third", "1 apart"}, tree(chain.Effects))
		require.False(t, chain.CausesCut || chain.EffectsCut)
	})
	t.Run("at its end", func(t *testing.T) {
		chain, err := inspector.Chain(t.Context(), ids["first's"])
		require.NoError(t, err)
		require.Equal(t, []string{"root", "middle", "first"}, names(chain.Causes))
		require.Empty(t, chain.Effects)
	})
	t.Run("of what has no cause", func(t *testing.T) {
		chain, err := inspector.Chain(t.Context(), ids["unrelated"])
		require.NoError(t, err)
		require.Empty(t, chain.Causes)
		require.Empty(t, chain.Origin)
		require.Empty(t, chain.Effects)
	})
	t.Run("it is bounded", func(t *testing.T) {
		last := "start"
		happen(t, last, nil)
		for i := range pgstore.MaxCauses + 1 {
			next := fmt.Sprint("step ", i)
			because(t, next, last)
			last = next
		}
		ids["start"].Metadata = eventsourced.Metadata{eventsourced.MetaCorrelation: "import"}
		chain, err := inspector.Chain(t.Context(), ids["start"])
		require.NoError(t, err)
		require.Len(t, chain.Effects, pgstore.MaxCauses)
		require.True(t, chain.EffectsCut)
		chain, err = inspector.Chain(t.Context(), ids[last])
		require.NoError(t, err)
		require.Len(t, chain.Causes, pgstore.MaxCauses)
		require.Equal(t, "step 0", chain.Causes[0].Stream.AggregateID)
		require.True(t, chain.CausesCut)

		for i := range pgstore.MaxEffects + 1 {
			because(t, fmt.Sprint("child ", i), "unrelated")
		}
		ids["unrelated"].Metadata = eventsourced.Metadata{eventsourced.MetaCorrelation: "import"}
		chain, err = inspector.Chain(t.Context(), ids["unrelated"])
		require.NoError(t, err)
		require.Len(t, chain.Effects, pgstore.MaxEffects)
		require.True(t, chain.EffectsCut)
		require.Equal(t, "child 0", chain.Effects[0].Stream.AggregateID)
		few := store.Inspector(pgstore.InspectorConfig{Scan: 3})
		chain, err = few.Chain(t.Context(), ids["middle"])
		require.NoError(t, err)
		require.Equal(t, []string{"1 first", "2 first's", "1 second"}, tree(chain.Effects))
		require.True(t, chain.EffectsCut)
		require.Equal(t, ids["first's"].Position, chain.SoughtTo)
	})
}
