package logarchive_test

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/logarchive"
)

const logID = "11111111-1111-4111-8111-111111111111"

// randomEvents returns so many, as a log has them.
func randomEvents(random *rand.Rand, n int) []eventsourced.Recorded {
	events, position := make([]eventsourced.Recorded, n), eventsourced.Position(1_700_000_000_000_000)
	versions := map[eventsourced.Stream]eventsourced.Version{}
	for i := range events {
		position += 1 + eventsourced.Position(random.IntN(5))
		e := &events[i]
		e.Position = position
		for k := range e.ID {
			e.ID[k] = byte(random.Uint32())
		}
		e.Name = []string{"Noted", "Unnoted", "Räksmörgås"}[random.IntN(3)]
		if random.IntN(500) == 0 {
			e.Name = "Rare"
		}
		e.Stream = eventsourced.Stream{AggregateName: []string{"test.Note", "test.Other"}[random.IntN(2)], AggregateID: fmt.Sprint(random.IntN(1 + n/7))}
		versions[e.Stream]++
		e.Version = versions[e.Stream]
		e.SchemaVersion = 1 + random.IntN(3)
		e.Time = time.UnixMicro(int64(position) - random.Int64N(1e7)).UTC()
		if random.IntN(100) == 0 {
			e.Time = time.Date([]int{0, 1969, 9999}[random.IntN(3)], 12, 31, 23, 59, 59, 999_999_000, time.UTC)
		}
		e.Payload = []byte(fmt.Sprintf("{\"n\": %d,\n \"text\": %q}", i, strings.Repeat("x", random.IntN(50))))
		if random.IntN(2) == 0 {
			e.Metadata = eventsourced.Metadata{eventsourced.MetaCorrelation: fmt.Sprint(random.IntN(9)), "": "\x00"}
		}
		if random.IntN(20) == 0 {
			e.Metadata = eventsourced.Metadata{}
		}
		if random.IntN(10) == 0 {
			e.Tags = []string{"course:7", "student:" + fmt.Sprint(random.IntN(9))}
		}
	}
	return events
}

func sequence(events []eventsourced.Recorded) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		for _, event := range events {
			if !yield(event, nil) {
				return
			}
		}
	}
}

// written returns the segments of so many events each that events were written to.
func written(t testing.TB, dir string, events []eventsourced.Recorded, each int64) (segments []logarchive.Segment) {
	t.Helper()
	d, err := logarchive.OpenDir(dir, logID)
	require.NoError(t, err)
	for left := events; len(left) > 0; {
		s, err := d.Write(t.Context(), sequence(left), logarchive.Limits{Events: each, Bytes: 1 << 30})
		require.NoError(t, err)
		require.Positive(t, s.Events)
		left = left[s.Events:]
		segments = append(segments, s)
		require.NoError(t, d.Keep(segments))
	}
	return segments
}

func collect(events iter.Seq2[eventsourced.Recorded, error]) (all []eventsourced.Recorded, err error) {
	for event, err := range events {
		if err != nil {
			return all, err
		}
		all = append(all, event)
	}
	return all, nil
}

func random(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}
