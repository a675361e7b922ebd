package eventsourced_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// A till of a shop, and what happened to it.
type (
	Till struct {
		eventsourced.Root
		Cash int64
	}
	Sold struct {
		eventsourced.BaseEvent
		Cents int64
	}
	Tipped struct {
		eventsourced.BaseEvent
		Cents int64
	}
)

func (e *Sold) ApplyTo(t *Till)   { t.Cash += e.Cents }
func (e *Tipped) ApplyTo(t *Till) { t.Cash += e.Cents }

func (t *Till) Sell(cents int64) error { return eventsourced.Record(t, &Sold{Cents: cents}) }

// A snapshot of a till is its JSON.
func (t *Till) MarshalSnapshot() ([]byte, error)     { return json.Marshal(t.Cash) }
func (t *Till) UnmarshalSnapshot(state []byte) error { return json.Unmarshal(state, &t.Cash) }

func tills() (*memstore.Store, *eventsourced.Repository[Till]) {
	store := memstore.New(eventsourced.MustRegistry(eventsourced.Type[Sold]("Sold"), eventsourced.Type[Tipped]("Tipped")))
	return store, eventsourced.NewRepository[Till](store, "shop.Till", eventsourced.RepositoryConfig{})
}

// Sold was called Purchased once, and told of euros instead of cents: events that are stored
// like that are read as what they are today.
func ExampleUpcast() {
	toCents := func(_ context.Context, event eventsourced.Stored) (json.RawMessage, error) {
		var old struct{ Euros int64 }
		if err := json.Unmarshal(event.Payload, &old); err != nil {
			return nil, err
		}
		return json.Marshal(map[string]int64{"Cents": 100 * old.Euros})
	}
	registry, err := eventsourced.NewRegistry(
		eventsourced.Type[Sold]("Sold", eventsourced.Formerly("Purchased"), eventsourced.Upcast(1, toCents)))
	check(err)

	events, err := registry.Decode(context.Background(), storedAs("Purchased", `{"Euros": 3}`))
	check(err)
	fmt.Println(events[0].(*Sold).Cents, registry.StoredNames("Sold"))
	// Output: 300 [Purchased Sold]
}

// Paid held a sale and its tip: now they are two events. The old ones stay as they are in
// the log, are read as two, and count as one.
func ExampleReplace() {
	split := func(_ context.Context, event eventsourced.Stored) ([]eventsourced.Stored, error) {
		var old struct{ Price, Tip int64 }
		if err := json.Unmarshal(event.Payload, &old); err != nil {
			return nil, err
		}
		parts := []eventsourced.Stored{event.As("Sold", 1, fmt.Appendf(nil, `{"Cents": %d}`, old.Price))}
		if old.Tip > 0 {
			parts = append(parts, event.As("Tipped", 1, fmt.Appendf(nil, `{"Cents": %d}`, old.Tip)))
		}
		return parts, nil
	}
	registry, err := eventsourced.NewRegistry(
		eventsourced.Type[Sold]("Sold"),
		eventsourced.Type[Tipped]("Tipped"),
		eventsourced.Retired("Paid", eventsourced.Replace(1, split, "Sold", "Tipped")))
	check(err)

	events, err := registry.Decode(context.Background(), storedAs("Paid", `{"Price": 500, "Tip": 50}`))
	check(err)
	for _, event := range events {
		fmt.Printf("%T\n", event)
	}
	// Output:
	// *eventsourced_test.Sold
	// *eventsourced_test.Tipped
}

// An aggregate with a long history is read from its last snapshot on.
func ExampleSnapshotter() {
	ctx := context.Background()
	store, _ := tills()
	tills := eventsourced.NewRepository[Till](store, "shop.Till", eventsourced.RepositoryConfig{SnapshotEvery: 2})
	for range 5 {
		_, err := tills.Update(ctx, "1", func(t *Till) error { return t.Sell(100) })
		check(err)
	}
	snapshot, err := store.LoadSnapshot(ctx, eventsourced.Stream{AggregateName: "shop.Till", AggregateID: "1"})
	check(err)
	till, err := tills.Load(ctx, "1")
	check(err)
	fmt.Printf("%s at version %d, now %d\n", snapshot.State, snapshot.Version, till.Cash)
	// Output: 400 at version 4, now 500
}

// Whoever repeats a command, because the answer was lost, gives it the same id, and it is
// carried out once.
func ExampleWithCommand() {
	_, tills := tills()
	id := eventsourced.NewEventID() // of the client, sent along each time
	sell := func() error {
		ctx := eventsourced.WithCommand(context.Background(), id)
		_, err := tills.Update(ctx, "1", func(t *Till) error { return t.Sell(500) })
		return err
	}
	check(sell())
	check(sell())
	till, err := tills.Load(context.Background(), "1")
	check(err)
	fmt.Println(till.Cash)
	// Output: 500
}

// What is known of a request goes with its context into the metadata of all events.
func ExampleWithActor() {
	store, tills := tills()
	ctx := eventsourced.WithActor(context.Background(), "anna")
	ctx = eventsourced.WithCorrelation(ctx, "request-7")
	ctx = eventsourced.WithMetadata(ctx, "counter", "north")
	_, err := tills.Update(ctx, "1", func(t *Till) error { return t.Sell(500) })
	check(err)

	for event, err := range store.ReadLog(context.Background(), eventsourced.LogQuery{}) {
		check(err)
		fmt.Println(event.Name, event.Metadata)
	}
	// Output: Sold map[actor:anna correlation_id:request-7 counter:north]
}

// storedAs is an event as an older program left it.
func storedAs(name, payload string) eventsourced.Recorded {
	return eventsourced.Recorded{
		EventData: eventsourced.EventData{ID: eventsourced.NewEventID(), Name: name, SchemaVersion: 1, Payload: []byte(payload)},
		Stream:    eventsourced.Stream{AggregateName: "shop.Till", AggregateID: "1"},
		Version:   1,
		Position:  1,
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
