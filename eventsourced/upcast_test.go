package eventsourced_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// A person was named and moved in one event, Registered, and then in two; Relocated had
// another name.
type (
	Person struct {
		eventsourced.Root
		name, town string
	}
	Named struct {
		eventsourced.BaseEvent
		Name string
	}
	Relocated struct {
		eventsourced.BaseEvent
		Town string
	}
)

func (e *Named) ApplyTo(p *Person)     { p.name = e.Name }
func (e *Relocated) ApplyTo(p *Person) { p.town = e.Town }

// register splits Registered in two, without a town into one, and into nothing when it was
// only a test.
func register(ctx context.Context, event eventsourced.Stored) ([]eventsourced.Stored, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var old struct{ Name, Town string }
	if err := json.Unmarshal(event.Payload, &old); err != nil {
		return nil, err
	}
	if event.Metadata["test"] != "" {
		return nil, nil
	}
	parts := []eventsourced.Stored{event.As("Named", 1, json.RawMessage(fmt.Sprintf(`{"Name": %q}`, old.Name)))}
	if old.Town != "" {
		parts = append(parts, eventsourced.Stored{Name: "Moved", Payload: json.RawMessage(fmt.Sprintf(`{"Town": %q}`, old.Town))})
	}
	return parts, nil
}

func upper(_ context.Context, event eventsourced.Stored) (json.RawMessage, error) {
	return json.RawMessage(strings.ToUpper(string(event.Payload))), nil
}

func people(t testing.TB) *eventsourced.Registry {
	t.Helper()
	return newRegistry(t,
		eventsourced.Type[Named]("Named"),
		eventsourced.Type[Relocated]("Relocated", eventsourced.Formerly("Moved"), eventsourced.Upcast(1, upper)),
		eventsourced.Retired("Registered", eventsourced.Upcast(1, upper), eventsourced.Replace(2, register, "Named", "Moved")),
	)
}

func TestEventsThatWereRenamedAndSplit(t *testing.T) {
	t.Parallel()
	registry := people(t)
	whole := recordedAs("Registered", 2, `{"Name": "Åsa", "Town": "Mora"}`)
	whole.Metadata = eventsourced.Metadata{"actor": "anna"}

	t.Run("are all that they are today", func(t *testing.T) {
		t.Parallel()
		base := eventsourced.BaseEvent{EventAggregateId: accountID, EventTime: whole.Time}
		for recorded, want := range map[*eventsourced.Recorded][]eventsourced.Event{
			&whole: {&Named{base, "Åsa"}, &Relocated{base, "MORA"}},
			ref(recordedAs("Registered", 1, `{"name": "x", "town": "y"}`)): {&Named{base, "X"}, &Relocated{base, "Y"}},
			ref(recordedAs("Registered", 2, `{"Name": "Bo"}`)):             {&Named{base, "Bo"}},
			ref(recordedAs("Moved", 1, `{"town": "falun"}`)):               {&Relocated{base, "FALUN"}},
			ref(recordedAs("Moved", 2, `{"town": "falun"}`)):               {&Relocated{base, "falun"}},
		} {
			events, err := registry.Decode(t.Context(), *recorded)
			require.NoError(t, err)
			require.Equal(t, want, events)
		}
	})
	t.Run("may be nothing", func(t *testing.T) {
		t.Parallel()
		test := whole
		test.Metadata = eventsourced.Metadata{"test": "yes"}
		events, err := registry.Decode(t.Context(), test)
		require.NoError(t, err)
		require.Empty(t, events)
		parts, err := registry.Upcast(t.Context(), test)
		require.NoError(t, err)
		require.Empty(t, parts)
	})
	t.Run("share all but name, payload and id, which is always the same", func(t *testing.T) {
		t.Parallel()
		whole := whole
		whole.ID, _ = eventsourced.ParseEventID("01890a5d-ac96-774b-bcce-b302099a8057")
		parts, err := registry.Upcast(t.Context(), whole)
		require.NoError(t, err)
		var ids []string
		for i, part := range parts {
			ids = append(ids, part.ID.String())
			part.ID, part.Payload = whole.ID, whole.Payload
			want := whole
			want.Name, want.SchemaVersion = []string{"Named", "Relocated"}[i], i+1
			require.Equal(t, want, part)
		}
		// They never change: after an upgrade every reactor would act twice.
		require.Equal(t, []string{"ed341ae8", "e07ff259"}, []string{ids[0][:8], ids[1][:8]})

		decoded, err := registry.AppendDecoded(t.Context(), make([]eventsourced.Decoded, 1), &whole)
		require.NoError(t, err)
		require.Len(t, decoded, 3, "they are appended")
		require.Equal(t, parts[0], *decoded[1].Recorded)
		require.Equal(t, parts[1], *decoded[2].Recorded)
	})
	t.Run("that are one event today keep their id", func(t *testing.T) {
		t.Parallel()
		for _, recorded := range []eventsourced.Recorded{recordedAs("Moved", 1, `{}`), recordedAs("Registered", 2, `{"Name": "Bo"}`)} {
			part, err := upcastOne(t, registry, recorded)
			require.NoError(t, err)
			require.Equal(t, recorded.ID, part.ID)
		}
	})
	t.Run("are what an aggregate is made of", func(t *testing.T) {
		t.Parallel()
		store := memstore.New(registry)
		data := whole.EventData
		_, err := store.Append(t.Context(), accountStream, eventsourced.Any, []eventsourced.EventData{data})
		require.NoError(t, err)
		persons := eventsourced.NewRepository[Person](store, aggregateName, eventsourced.RepositoryConfig{})
		p, err := persons.Load(t.Context(), accountID)
		require.NoError(t, err)
		require.Equal(t, [2]string{"Åsa", "MORA"}, [2]string{p.name, p.town})
		require.EqualValues(t, 1, p.Version(), "it is one event")
		_, err = persons.Update(t.Context(), accountID, func(p *Person) error { return eventsourced.Record(p, &Named{Name: "Bo"}) })
		require.NoError(t, err)
	})
	t.Run("are found under the names that they are stored with", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{"Named", "Relocated"}, registry.Names(), "no new ones are stored under the others")
		require.Equal(t, []string{"Named", "Registered"}, registry.StoredNames("Named"))
		require.Equal(t, []string{"Moved", "Registered", "Relocated"}, registry.StoredNames("Relocated"))
		require.Equal(t, []string{"Moved", "Mystery", "Named", "Registered", "Relocated"}, registry.StoredNames("Named", "Mystery", "Relocated"))
		require.Empty(t, registry.StoredNames())
		require.Zero(t, registry.SchemaVersion("Registered"))
	})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx      context.Context
		recorded eventsourced.Recorded
		says     string
	}{
		"are refused where their upcaster is":      {ended, whole, "replace Registered of schema 2: context canceled"},
		"are refused where a part can't be read":   {t.Context(), recordedAs("Registered", 2, `{"Name": "Bo", "Town": 5}`), "cannot unmarshal number"},
		"are refused in a form that is newer":      {t.Context(), recordedAs("Registered", 3, `{}`), "written by a newer version"},
		"are refused in a form before the first":   {t.Context(), recordedAs("Registered", 0, `{}`), "schema version below 1"},
		"are refused in a newer form of their own": {t.Context(), recordedAs("Moved", 3, `{}`), "written by a newer version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events, err := registry.Decode(c.ctx, c.recorded)
			require.Empty(t, events)
			var decode *eventsourced.DecodeError
			require.ErrorAs(t, err, &decode)
			require.Equal(t, c.recorded, decode.Event, "the event as it was stored")
			require.ErrorContains(t, err, c.says)
		})
	}
}

func ref[T any](v T) *T { return &v }

func TestReplace(t *testing.T) {
	t.Parallel()
	as := func(name string, schemaVersion int) eventsourced.ReplaceFunc {
		return func(_ context.Context, event eventsourced.Stored) ([]eventsourced.Stored, error) {
			return []eventsourced.Stored{event.As(name, schemaVersion, event.Payload)}, nil
		}
	}
	t.Run("by what it did not name is noticed", func(t *testing.T) {
		t.Parallel()
		registry := newRegistry(t, eventsourced.Type[Deposited]("Deposited"), eventsourced.Retired("PaidIn", eventsourced.Replace(1, as("Deposited", 1), "PaidIn")))
		_, err := registry.Decode(t.Context(), recordedAs("PaidIn", 1, `{}`))
		require.ErrorContains(t, err, `replace PaidIn of schema 1: it became "Deposited", which is none of the names given to Replace: ["PaidIn"]`)
	})
	t.Run("in a circle is noticed", func(t *testing.T) {
		t.Parallel()
		registry := newRegistry(t, eventsourced.Retired("A", eventsourced.Replace(1, as("B", 1), "B")), eventsourced.Retired("B", eventsourced.Replace(1, as("A", 1), "A")))
		_, err := registry.Decode(t.Context(), recordedAs("A", 1, `{}`))
		require.ErrorContains(t, err, "its upcasters lead in a circle")
	})
	t.Run("of a type that is still there leads to later versions and to others", func(t *testing.T) {
		t.Parallel()
		registry := newRegistry(t, eventsourced.Type[Named]("Named"),
			eventsourced.Type[Relocated]("Relocated", eventsourced.Replace(1, func(_ context.Context, event eventsourced.Stored) ([]eventsourced.Stored, error) {
				return []eventsourced.Stored{event.As("Relocated", 2, event.Payload), event.As("Named", 1, event.Payload)}, nil
			}, "Relocated", "Named"), eventsourced.Upcast(2, upper)))
		events, err := registry.Decode(t.Context(), recordedAs("Relocated", 1, `{"Town": "a", "Name": "b"}`))
		require.NoError(t, err)
		require.Len(t, events, 2)
		require.Equal(t, "A", events[0].(*Relocated).Town)
		require.Equal(t, "b", events[1].(*Named).Name)
		require.Equal(t, []string{"Named", "Relocated"}, registry.StoredNames("Named"))
	})
	t.Run("may set time and metadata", func(t *testing.T) {
		t.Parallel()
		at := time.Date(2020, 1, 2, 0, 0, 0, 0, time.UTC)
		registry := newRegistry(t, eventsourced.Type[Named]("Named"), eventsourced.Retired("Called", eventsourced.Replace(1,
			func(_ context.Context, event eventsourced.Stored) ([]eventsourced.Stored, error) {
				event = event.As("Named", 1, event.Payload)
				event.Time, event.Metadata = at, eventsourced.Metadata{"a": "b"}
				return []eventsourced.Stored{event}, nil
			}, "Named")))
		part, err := upcastOne(t, registry, recordedAs("Called", 1, `{}`))
		require.NoError(t, err)
		require.Equal(t, at, part.Time)
		require.Equal(t, eventsourced.Metadata{"a": "b"}, part.Metadata)
	})
	t.Run("that can't work is refused by NewRegistry", func(t *testing.T) {
		t.Parallel()
		_, err := eventsourced.NewRegistry(
			eventsourced.Type[Named]("Named", eventsourced.Formerly("Called"), eventsourced.Upcast(1, upper), eventsourced.Replace(1, as("Named", 2), "Named")),
			eventsourced.Type[Relocated]("Relocated", eventsourced.Formerly("Named"), eventsourced.Formerly("")),
			eventsourced.Retired("Called", eventsourced.Replace(1, nil, "Nobody")),
			eventsourced.Retired("Forgotten"),
			eventsourced.Retired("Kept", eventsourced.Replace(1, as("Named", 1), "Named"), eventsourced.Upcast(2, upper)),
		)
		for _, problem := range []string{
			`event "Named" has two upcasters from one schema version`,
			`event name "Named" is registered twice`,
			"the event name is empty",
			`event name "Called" is registered twice`,
			`event "Called" has a nil function for schema version 1`,
			`event "Called" becomes "Nobody", which is not registered`,
			`event "Forgotten" is retired without a Replace from its last schema version`,
			`event "Kept" is retired without a Replace from its last schema version`,
		} {
			require.ErrorContains(t, err, problem)
		}
	})
}

// secret is a codec that hides an event's content inside JSON, with a key from the context.
type secret struct{ eventsourced.JSON }

type keyOf struct{}

var errNoKey = errors.New("there is no key")

func (s secret) Encode(ctx context.Context, event eventsourced.Event) ([]byte, error) {
	payload, err := s.JSON.Encode(ctx, event)
	if key, ok := ctx.Value(keyOf{}).(string); ok && err == nil {
		return json.Marshal(map[string][]byte{key: payload})
	}
	return nil, errors.Join(err, errNoKey)
}

func (s secret) Decode(ctx context.Context, stored eventsourced.Stored, event eventsourced.Event) error {
	var box map[string][]byte
	if err := json.Unmarshal(stored.Payload, &box); err != nil {
		return err
	}
	key, _ := ctx.Value(keyOf{}).(string)
	if box[key] == nil {
		return fmt.Errorf("%s: %w", stored.Stream, errNoKey)
	}
	stored.Payload = box[key]
	return s.JSON.Decode(ctx, stored, event)
}

func TestCodec(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t, eventsourced.WithCodec(secret{}), eventsourced.Type[Deposited]("Deposited"), eventsourced.Type[Withdrawn]("Withdrawn"))
	accounts := eventsourced.NewRepository[Account](memstore.New(registry), aggregateName, eventsourced.RepositoryConfig{})
	ctx := context.WithValue(t.Context(), keyOf{}, "k")
	_, err := accounts.Update(ctx, accountID, depositing(5))
	require.NoError(t, err)
	a, err := accounts.Load(ctx, accountID)
	require.NoError(t, err)
	require.Equal(t, 5, a.balance)
	_, err = accounts.Load(t.Context(), accountID)
	require.ErrorIs(t, err, errNoKey)
	require.ErrorContains(t, err, accountStream.String())
	_, err = accounts.Update(t.Context(), "new", depositing(5))
	require.ErrorIs(t, err, errNoKey)

	_, err = eventsourced.NewRegistry(eventsourced.WithCodec(nil))
	require.EqualError(t, err, "event registry: the codec is nil")
	_, err = eventsourced.NewRegistry(eventsourced.WithCodec(secret{}), eventsourced.WithCodec(secret{}))
	require.EqualError(t, err, "event registry: there are two codecs")
}

// raw is a codec whose payloads are no JSON.
type raw struct{ eventsourced.JSON }

func (raw) Encode(context.Context, eventsourced.Event) ([]byte, error) { return []byte("raw"), nil }

func TestPayloadsThatAreNoJSONAreRefused(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t, eventsourced.WithCodec(raw{}), eventsourced.Type[Deposited]("Deposited"))
	accounts := eventsourced.NewRepository[Account](memstore.New(registry), aggregateName, eventsourced.RepositoryConfig{})
	_, err := accounts.Update(t.Context(), accountID, depositing(5))
	require.ErrorIs(t, err, eventsourced.ErrInvalid)
	require.ErrorContains(t, err, "the payload of Deposited is not JSON")
}

// What is stored as it would be today costs what its decoding costs.
func TestDecodingAllocatesNothingMore(t *testing.T) { //nolint:paralleltest // it counts
	registry := people(t)
	recorded := recordedAs("Named", 1, `{"Name": "Åsa"}`)
	stored := eventsourced.Stored{Payload: recorded.Payload}
	// The least of many: with the race detector, pools forget at random what they have.
	least := func(f func()) float64 {
		fewest := testing.AllocsPerRun(1, f)
		for range 100 {
			fewest = min(fewest, testing.AllocsPerRun(1, f))
		}
		return fewest
	}
	bare := least(func() {
		require.NoError(t, eventsourced.JSON{}.Decode(t.Context(), stored, &Named{}))
	})
	buffer := make([]eventsourced.Decoded, 0, 1)
	require.InDelta(t, bare, least(func() {
		_, err := registry.AppendDecoded(t.Context(), buffer, &recorded)
		require.NoError(t, err)
	}), 0)
}
