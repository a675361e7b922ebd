package eventsourced_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// Counter has no Apply: its events change it.
type (
	Counter struct {
		eventsourced.Root
		n int
	}
	Counted struct {
		eventsourced.BaseEvent
		By int
	}
	Zeroed    struct{ eventsourced.BaseEvent } // its receiver is a value
	Halved    struct{ eventsourced.BaseEvent } // its ApplyTo is for something else
	Forgotten struct{ eventsourced.BaseEvent } // it has none
)

func (e *Counted) ApplyTo(c *Counter) { c.n += e.By }
func (Zeroed) ApplyTo(c *Counter)     { c.n = 0 }
func (Halved) ApplyTo(c Counter) int  { return c.n / 2 }

// Twofold has an Apply, and Doubled an ApplyTo for it.
type (
	Twofold struct{ eventsourced.Root }
	Doubled struct{ eventsourced.BaseEvent }
)

func (*Twofold) Apply(eventsourced.Event) {}
func (*Doubled) ApplyTo(*Twofold)         {}

func newCounters(t *testing.T) (*memstore.Store, *eventsourced.Repository[Counter]) {
	t.Helper()
	store := memstore.New(newRegistry(t, eventsourced.Type[Counted]("Counted"), eventsourced.Type[Zeroed]("Zeroed"),
		eventsourced.Type[Halved]("Halved"), eventsourced.Type[Forgotten]("Forgotten"), eventsourced.Type[Doubled]("Doubled")))
	return store, eventsourced.NewRepository[Counter](store, "test.Counter", eventsourced.RepositoryConfig{})
}

func TestEventsThatApplyThemselves(t *testing.T) {
	t.Parallel()
	_, counters := newCounters(t)
	_, err := counters.Update(t.Context(), "1", func(c *Counter) error {
		for _, event := range []eventsourced.Event{&Counted{By: 3}, &Zeroed{}, &Counted{By: 4}} {
			require.NoError(t, eventsourced.Record(c, event))
		}
		require.Equal(t, 4, c.n, "at once")
		return nil
	})
	require.NoError(t, err)
	c, err := counters.Load(t.Context(), "1")
	require.NoError(t, err)
	require.Equal(t, 4, c.n, "and when they are read")
	replayed := &Counter{}
	require.NoError(t, eventsourced.Replay(replayed, "1", &Counted{By: 5}))
	require.Equal(t, 5, replayed.n)
}

func TestEventsThatNothingApplies(t *testing.T) {
	t.Parallel()
	for event, says := range map[eventsourced.Event]string{
		&Forgotten{}: "*eventsourced_test.Forgotten: nothing applies it to *eventsourced_test.Counter: " +
			"write func (e *Forgotten) ApplyTo(a *Counter), or for all events func (a *Counter) Apply(event eventsourced.Event)",
		&Halved{}: "*eventsourced_test.Halved: nothing applies it to *eventsourced_test.Counter: " +
			"ApplyTo of *eventsourced_test.Halved has the form func(eventsourced_test.Counter) int, want func(*eventsourced_test.Counter)",
		&Doubled{}: "*eventsourced_test.Doubled: nothing applies it to *eventsourced_test.Counter: " +
			"ApplyTo of *eventsourced_test.Doubled has the form func(*eventsourced_test.Twofold), want func(*eventsourced_test.Counter)",
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			c := &Counter{}
			err := eventsourced.Record(c, event)
			require.ErrorIs(t, err, eventsourced.ErrNotApplied)
			require.EqualError(t, err, "record "+says)
			require.Empty(t, c.Pending())
			require.Zero(t, event.OccurredAt(), "the event is unchanged")
			require.EqualError(t, eventsourced.Replay(c, "1", event), "replay "+says)

			store, counters := newCounters(t)
			encoded, err := store.Registry().Encode(t.Context(), event)
			require.NoError(t, err)
			_, err = store.Append(t.Context(), eventsourced.Stream{AggregateName: "test.Counter", AggregateID: "1"}, eventsourced.Any, encoded)
			require.NoError(t, err)
			_, err = counters.Load(t.Context(), "1")
			require.ErrorIs(t, err, eventsourced.ErrNotApplied)
			var decode *eventsourced.DecodeError
			require.ErrorAs(t, err, &decode)
			require.Equal(t, encoded[0].ID, decode.Event.ID)
		})
	}
}

// Two methods might disagree.
func TestAggregatesWithBothForms(t *testing.T) {
	t.Parallel()
	err := eventsourced.Record(&Twofold{}, &Doubled{})
	require.ErrorIs(t, err, eventsourced.ErrNotApplied)
	require.ErrorContains(t, err, "*eventsourced_test.Twofold has Apply and *eventsourced_test.Doubled has ApplyTo: keep one of them")
	require.NoError(t, eventsourced.Record(&Twofold{}, &Counted{}), "that ApplyTo is for another aggregate")
	store, _ := newCounters(t)
	require.PanicsWithValue(t, `eventsourced.NewRepository: event "Doubled": *eventsourced_test.Twofold has Apply and *eventsourced_test.Doubled has ApplyTo: keep one of them`, func() {
		eventsourced.NewRepository[Twofold](store, "test.Twofold", eventsourced.RepositoryConfig{})
	})
}
