package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

func refusals(t *testing.T, store eventsourced.LogStore) {
	valid := func() []eventsourced.EventData { return encode(t.Context(), t, "x") }
	with := func(change func(*eventsourced.EventData)) []eventsourced.EventData {
		events := valid()
		change(&events[0])
		return events
	}
	long := strings.Repeat("x", eventsourced.MaxName+1)
	for name, attempt := range map[string]struct {
		stream eventsourced.Stream
		events []eventsourced.EventData
	}{
		"no events":                 {stream("a"), nil},
		"too many events":           {stream("a"), make([]eventsourced.EventData, eventsourced.MaxEvents+1)},
		"no aggregate name":         {eventsourced.Stream{AggregateID: "a"}, valid()},
		"no aggregate id":           {stream(" "), valid()},
		"a long id":                 {stream(long), valid()},
		"a long name":               {eventsourced.Stream{AggregateName: long, AggregateID: "a"}, valid()},
		"an id with a NUL":          {stream("a\x00"), valid()},
		"an id not in UTF-8":        {stream("a\xff"), valid()},
		"an event without id":       {stream("a"), with(func(e *eventsourced.EventData) { e.ID = eventsourced.EventID{} })},
		"no event name":             {stream("a"), with(func(e *eventsourced.EventData) { e.Name = "" })},
		"a long event name":         {stream("a"), with(func(e *eventsourced.EventData) { e.Name = long })},
		"no schema version":         {stream("a"), with(func(e *eventsourced.EventData) { e.SchemaVersion = 0 })},
		"a schema version too high": {stream("a"), with(func(e *eventsourced.EventData) { e.SchemaVersion = eventsourced.MaxSchemaVersion + 1 })},
		"metadata not in UTF-8":     {stream("a"), with(func(e *eventsourced.EventData) { e.Metadata = eventsourced.Metadata{"actor": "\xff"} })},
		"one tag too many":          {stream("a"), with(func(e *eventsourced.EventData) { e.Tags = manyTags(eventsourced.MaxTags + 1) })},
		"a long tag":                {stream("a"), with(func(e *eventsourced.EventData) { e.Tags = []string{"ok", long} })},
		"an empty tag":              {stream("a"), with(func(e *eventsourced.EventData) { e.Tags = []string{""} })},
		"a tag with a NUL":          {stream("a"), with(func(e *eventsourced.EventData) { e.Tags = []string{"a\x00"} })},
		"a tag not UTF-8":           {stream("a"), with(func(e *eventsourced.EventData) { e.Tags = []string{"a\xff"} })},
		"a tag twice":               {stream("a"), with(func(e *eventsourced.EventData) { e.Tags = []string{"a", "b", "a"} })},
		"too much metadata": {stream("a"), with(func(e *eventsourced.EventData) {
			e.Metadata = eventsourced.Metadata{"actor": strings.Repeat("x", eventsourced.MaxMetadata)}
		})},
		"a time before the year 0":    {stream("a"), with(func(e *eventsourced.EventData) { e.Time = time.Date(-1, 12, 31, 23, 59, 59, 0, time.UTC) })},
		"a time after the year 9999":  {stream("a"), with(func(e *eventsourced.EventData) { e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		"a time that no year is for":  {stream("a"), with(func(e *eventsourced.EventData) { e.Time = time.Unix(1<<62, 0) })},
		"a time in the second of two": {stream("a"), append(valid(), with(func(e *eventsourced.EventData) { e.Time = time.Unix(-1<<62, 0) })...)},
		"a payload not JSON":          {stream("a"), with(func(e *eventsourced.EventData) { e.Payload = []byte("{") })},
		"no payload":                  {stream("a"), with(func(e *eventsourced.EventData) { e.Payload = nil })},
		"a large payload":             {stream("a"), with(func(e *eventsourced.EventData) { e.Payload = fmt.Appendf(nil, "%q", bytes.Repeat([]byte("x"), 2<<20)) })},
	} {
		_, err := store.Append(t.Context(), attempt.stream, eventsourced.Any, attempt.events)
		require.ErrorIs(t, err, eventsourced.ErrInvalid, name)
	}
	require.Empty(t, wholeLog(t, store))
}
