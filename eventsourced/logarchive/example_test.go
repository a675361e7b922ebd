package logarchive_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
)

// What pgstore does when it archives, without the database.
func Example() {
	path, err := os.MkdirTemp("", "archive-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(path) }()
	ctx, events := context.Background(), []eventsourced.Recorded{
		{EventData: eventsourced.EventData{Name: "Opened", SchemaVersion: 1, Time: time.UnixMicro(1).UTC(), Payload: []byte(`{}`)}, Version: 1, Position: 1},
		{EventData: eventsourced.EventData{Name: "Closed", SchemaVersion: 1, Time: time.UnixMicro(2).UTC(), Payload: []byte(`{}`)}, Version: 2, Position: 2},
	}

	dir, err := logarchive.OpenDir(path, "the log's id")
	if err != nil {
		fmt.Println(err)
		return
	}
	segment, err := dir.Write(ctx, sequence(events), logarchive.Limits{Events: 1000, Bytes: 1 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := dir.Keep([]logarchive.Segment{segment}); err != nil {
		fmt.Println(err)
		return
	}

	reader := logarchive.NewReader(os.DirFS(path))
	for event, err := range reader.Read(ctx, "the log's id", dir.Manifest().Segments, eventsourced.LogQuery{Names: []string{"Closed"}}) {
		fmt.Println(event.Name, event.Position, err)
	}
	// Output:
	// Closed 2 <nil>
}
