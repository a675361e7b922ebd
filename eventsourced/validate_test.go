package eventsourced_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const payloadLimit = 100

// valid returns an event that every store takes.
func valid() eventsourced.EventData {
	return eventsourced.EventData{
		ID: eventsourced.NewEventID(), Name: "Deposited", SchemaVersion: 1,
		Time: time.Now().UTC(), Payload: []byte(`{}`),
	}
}

func TestValidateAppendAccepts(t *testing.T) {
	t.Parallel()
	many := make([]eventsourced.EventData, eventsourced.MaxEvents)
	for i := range many {
		many[i] = valid()
	}
	long := valid()
	long.Name, long.Payload = strings.Repeat("ö", eventsourced.MaxName/2), []byte(strings.Repeat("1", payloadLimit))
	for name, c := range map[string]struct {
		stream eventsourced.Stream
		events []eventsourced.EventData
	}{
		"one event":                             {accountStream, []eventsourced.EventData{valid()}},
		"as many events as one append may have": {accountStream, many},
		"names and payloads at their limits": {
			eventsourced.Stream{AggregateName: strings.Repeat("n", eventsourced.MaxName), AggregateID: strings.Repeat("i", eventsourced.MaxName)},
			[]eventsourced.EventData{long},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, eventsourced.ValidateAppend(c.stream, c.events, payloadLimit))
		})
	}
}

func TestValidateAppendRefuses(t *testing.T) {
	t.Parallel()
	with := func(change func(*eventsourced.EventData)) []eventsourced.EventData {
		event := valid()
		change(&event)
		return []eventsourced.EventData{event}
	}
	twice := valid()
	for name, c := range map[string]struct {
		stream eventsourced.Stream
		events []eventsourced.EventData
		is     error
		says   string
	}{
		"an empty aggregate name":    {eventsourced.Stream{AggregateID: "1"}, []eventsourced.EventData{valid()}, eventsourced.ErrInvalid, "the aggregate name is empty"},
		"a blank aggregate id":       {eventsourced.Stream{AggregateName: "a", AggregateID: " \t"}, []eventsourced.EventData{valid()}, eventsourced.ErrInvalid, "the aggregate id is empty"},
		"an aggregate id too long":   {eventsourced.Stream{AggregateName: "a", AggregateID: strings.Repeat("i", 201)}, []eventsourced.EventData{valid()}, eventsourced.ErrInvalid, "has 201 bytes, the limit is 200"},
		"a control character":        {eventsourced.Stream{AggregateName: "a\nb", AggregateID: "1"}, []eventsourced.EventData{valid()}, eventsourced.ErrInvalid, `"a\nb" has a control character`},
		"what is not UTF-8":          {eventsourced.Stream{AggregateName: "a", AggregateID: "\xff"}, []eventsourced.EventData{valid()}, eventsourced.ErrInvalid, "is not UTF-8"},
		"no events":                  {accountStream, nil, eventsourced.ErrInvalid, "at least one event"},
		"too many events":            {accountStream, make([]eventsourced.EventData, eventsourced.MaxEvents+1), eventsourced.ErrTooManyEvents, "1001"},
		"an event without a name":    {accountStream, with(func(e *eventsourced.EventData) { e.Name = "" }), eventsourced.ErrInvalid, "event 0: invalid: the event name is empty"},
		"an event without an id":     {accountStream, with(func(e *eventsourced.EventData) { e.ID = eventsourced.EventID{} }), eventsourced.ErrInvalid, "event 0, Deposited: invalid: it has no id"},
		"schema version 0":           {accountStream, with(func(e *eventsourced.EventData) { e.SchemaVersion = 0 }), eventsourced.ErrInvalid, "schema version 0, want 1 to 1073741824"},
		"no payload":                 {accountStream, with(func(e *eventsourced.EventData) { e.Payload = nil }), eventsourced.ErrInvalid, "it has no payload"},
		"a payload too large":        {accountStream, with(func(e *eventsourced.EventData) { e.Payload = make([]byte, payloadLimit+1) }), eventsourced.ErrInvalid, "a payload of 101 bytes, the limit is 100"},
		"a time before the year 0":   {accountStream, with(func(e *eventsourced.EventData) { e.Time = time.Date(-1, 12, 31, 23, 59, 59, 0, time.UTC) }), eventsourced.ErrInvalid, "its time is not in the years 0 to 9999"},
		"a time after the year 9999": {accountStream, with(func(e *eventsourced.EventData) { e.Time = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }), eventsourced.ErrInvalid, "its time is not in the years 0 to 9999"},
		"an id twice":                {accountStream, []eventsourced.EventData{twice, valid(), twice}, eventsourced.ErrDuplicateID, "twice in one append"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := eventsourced.ValidateAppend(c.stream, c.events, payloadLimit)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, "append to "+c.stream.String()+": ")
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestValidateAppendReportsAllAtOnce(t *testing.T) {
	t.Parallel()
	first, second := valid(), valid()
	first.Name, second.Payload = "", nil
	second.ID = first.ID
	err := eventsourced.ValidateAppend(eventsourced.Stream{}, []eventsourced.EventData{first, second}, payloadLimit)
	require.ErrorIs(t, err, eventsourced.ErrInvalid)
	require.ErrorIs(t, err, eventsourced.ErrDuplicateID)
	for _, problem := range []string{"the aggregate name is empty", "the aggregate id is empty", "event 0: ", "event 1, Deposited: ", "twice in one append"} {
		require.ErrorContains(t, err, problem)
	}
}

func TestPositionTime(t *testing.T) {
	t.Parallel()
	require.Equal(t, time.Date(2026, 7, 4, 20, 30, 0, 123456000, time.UTC), eventsourced.Position(1783197000123456).Time())
}
