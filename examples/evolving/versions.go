package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// What both versions have. The names of events in the log are for ever, those of Go types are not.
type (
	Book struct {
		eventsourced.Root
		lent bool
	}
	Returned struct{ eventsourced.BaseEvent }
)

func (e *Returned) ApplyTo(b *Book) { b.lent = false }

func (b *Book) change(lent bool, event eventsourced.Event) error {
	if b.lent == lent {
		return fmt.Errorf("%s: lent is %t already", b.ID(), lent)
	}
	return eventsourced.Record(b, event)
}

// Version 1 shows who had a book last.
type LentV1 struct {
	eventsourced.BaseEvent
	Reader string
}

func (e *LentV1) ApplyTo(b *Book) { b.lent = true }

func version1() (*eventsourced.Registry, string, readview.Handlers) {
	return eventsourced.MustRegistry(eventsourced.Type[LentV1]("Lent"), eventsourced.Type[Returned]("Returned")),
		`CREATE TABLE IF NOT EXISTS loan (book TEXT PRIMARY KEY, reader TEXT NOT NULL)`,
		readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, e *LentV1) error {
			return readview.Exec(ctx, tx, `INSERT INTO loan (book, reader) VALUES ($1, $2)
				ON CONFLICT (book) DO UPDATE SET reader = EXCLUDED.reader`, e.AggregateID(), e.Reader)
		})}
}

// Version 2 shows who has a book now, and for how long.
type Lent struct {
	eventsourced.BaseEvent
	Reader string
	Days   int
}

func (e *Lent) ApplyTo(b *Book) { b.lent = true }

// fourWeeks makes a Lent of today of what version 1 has stored, whenever it is read.
func fourWeeks(_ context.Context, event eventsourced.Stored) (json.RawMessage, error) {
	var old struct{ Reader string }
	if err := json.Unmarshal(event.Payload, &old); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"Reader": old.Reader, "Days": 28})
}

func version2() (*eventsourced.Registry, string, readview.Handlers) {
	onLent := func(ctx context.Context, tx readview.Tx, e *Lent) error {
		return readview.Exec(ctx, tx, `INSERT INTO loan (book, reader, days) VALUES ($1, $2, $3)`, e.AggregateID(), e.Reader, e.Days)
	}
	onReturned := func(ctx context.Context, tx readview.Tx, e *Returned) error { // new: version 1 passes over it
		return readview.ExecOne(ctx, tx, `DELETE FROM loan WHERE book = $1`, e.AggregateID())
	}
	return eventsourced.MustRegistry(eventsourced.Type[Lent]("Lent", eventsourced.Upcast(1, fourWeeks)), eventsourced.Type[Returned]("Returned")),
		`ALTER TABLE loan ADD COLUMN IF NOT EXISTS days INT NOT NULL DEFAULT 28`, // version 1 can live with it
		readview.Handlers{readview.On(onLent), readview.On(onReturned)}
}
