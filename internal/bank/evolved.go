package bank

import (
	"context"
	"encoding/json"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// What happened to people was told by other events once: Registered has become Named and
// Relocated, of which it may lack either or both, and Relocated was called Moved.
type (
	Named struct {
		eventsourced.BaseEvent
		Name string
	}
	Relocated struct {
		eventsourced.BaseEvent
		Town string
	}
)

// Evolved is the registry that knows how the events have changed.
func Evolved() *eventsourced.Registry {
	return eventsourced.MustRegistry(
		eventsourced.Type[Named]("Named"),
		eventsourced.Type[Relocated]("Relocated", eventsourced.Formerly("Moved")),
		eventsourced.Retired("Registered", eventsourced.Replace(1, splitRegistered, "Named", "Relocated")),
	)
}

func splitRegistered(_ context.Context, event eventsourced.Stored) (parts []eventsourced.Stored, err error) {
	var old struct{ Name, Town string }
	if err := json.Unmarshal(event.Payload, &old); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		name string
		is   bool
		now  any
	}{{"Named", old.Name != "", Named{Name: old.Name}}, {"Relocated", old.Town != "", Relocated{Town: old.Town}}} {
		if part.is {
			payload, err := json.Marshal(part.now)
			if err != nil {
				return nil, err
			}
			parts = append(parts, event.As(part.name, 1, payload))
		}
	}
	return parts, nil
}

// Old is an event in the form in which an older program stored it.
func Old(name, payload string) eventsourced.EventData {
	return eventsourced.EventData{ID: eventsourced.NewEventID(), Name: name, SchemaVersion: 1, Time: time.Now(), Payload: []byte(payload)}
}
