// Package memstore keeps events in memory: the whole contract of a store for unit
// tests and first steps, with no server and nothing on disk.
package memstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// MaxPayload is the limit of an event's payload in bytes.
const MaxPayload = 1 << 20

// Store is a log in memory. It is safe for concurrent use.
type Store struct {
	registry *eventsourced.Registry
	id       string

	mu        sync.RWMutex
	log       []eventsourced.Recorded       // in the order of positions; never changed, only appended to
	streams   map[eventsourced.Stream][]int // indexes into log
	ids       map[eventsourced.EventID]int
	snapshots map[eventsourced.Stream]eventsourced.Snapshot
	listeners map[chan struct{}]struct{}
}

var (
	_ eventsourced.LogStore      = (*Store)(nil)
	_ eventsourced.SnapshotStore = (*Store)(nil)
	_ eventsourced.Identified    = (*Store)(nil)
)

// New returns an empty store whose events are decoded with registry. It panics without one.
func New(registry *eventsourced.Registry) *Store {
	if registry == nil {
		panic("memstore.New: the registry is nil")
	}
	return &Store{
		registry:  registry,
		id:        eventsourced.NewEventID().String(),
		streams:   map[eventsourced.Stream][]int{},
		ids:       map[eventsourced.EventID]int{},
		snapshots: map[eventsourced.Stream]eventsourced.Snapshot{},
		listeners: map[chan struct{}]struct{}{},
	}
}

// Registry implements [eventsourced.Registered].
func (s *Store) Registry() *eventsourced.Registry { return s.registry }

// LogID implements [eventsourced.Identified].
func (s *Store) LogID(ctx context.Context) (string, error) { return s.id, ctx.Err() }

// Append implements [eventsourced.Appender].
func (s *Store) Append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (eventsourced.Position, error) {
	if err := eventsourced.ValidateAppend(stream, events, MaxPayload); err != nil {
		return 0, err
	}
	for _, event := range events {
		if !json.Valid(event.Payload) {
			return 0, fmt.Errorf("append to %s: %w: the payload of %s is not JSON", stream, eventsourced.ErrInvalid, event.Name)
		}
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if position, done, err := s.appended(stream, events); done || err != nil {
		return position, err
	}
	current := eventsourced.Version(len(s.streams[stream]))
	if !expected.Allows(current) {
		return 0, &eventsourced.ConflictError{Stream: stream, Expected: expected, Actual: current}
	}
	position := max(eventsourced.Position(time.Now().UnixMicro()), s.head()+1)
	for i, event := range events {
		event.Payload, event.Tags = slices.Clone(event.Payload), append([]string(nil), event.Tags...) // nil when there are none
		event.Time = event.Time.UTC().Truncate(time.Microsecond)
		s.ids[event.ID] = len(s.log)
		s.streams[stream] = append(s.streams[stream], len(s.log))
		s.log = append(s.log, eventsourced.Recorded{
			EventData: event,
			Stream:    stream,
			Version:   current + eventsourced.Version(i) + 1,
			Position:  position + eventsourced.Position(i),
		})
	}
	s.wake()
	return s.head(), nil
}

// appended tells whether the log holds exactly this append already.
func (s *Store) appended(stream eventsourced.Stream, events []eventsourced.EventData) (eventsourced.Position, bool, error) {
	first, found := s.ids[events[0].ID]
	for i, event := range events {
		at, ok := s.ids[event.ID]
		if ok != found || ok && (at != first+i || s.log[at].Stream != stream) {
			return 0, false, fmt.Errorf("append to %s: %w: %s", stream, eventsourced.ErrDuplicateID, event.ID)
		}
	}
	if !found {
		return 0, false, nil
	}
	return s.log[first+len(events)-1].Position, true, nil
}

// ReadStream implements [eventsourced.StreamReader].
func (s *Store) ReadStream(ctx context.Context, stream eventsourced.Stream, after eventsourced.Version) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(eventsourced.Recorded{}, err)
			return
		}
		s.mu.RLock()
		log, indexes := s.log, s.streams[stream]
		s.mu.RUnlock()
		for _, i := range indexes[min(int(max(after, 0)), len(indexes)):] {
			if !yield(log[i], nil) {
				return
			}
		}
	}
}

// Head implements [eventsourced.LogReader].
func (s *Store) Head(ctx context.Context) (eventsourced.Position, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.head(), ctx.Err()
}

// ReadLog implements [eventsourced.LogReader].
func (s *Store) ReadLog(ctx context.Context, query eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	return func(yield func(eventsourced.Recorded, error) bool) {
		if err := cmp.Or(ctx.Err(), query.Validate()); err != nil {
			yield(eventsourced.Recorded{}, err)
			return
		}
		for event := range s.selected(query) {
			if !yield(event, nil) {
				return
			}
		}
	}
}

// CountLog implements [eventsourced.LogReader].
func (s *Store) CountLog(ctx context.Context, query eventsourced.LogQuery) (n int64, err error) {
	if err := cmp.Or(ctx.Err(), query.Validate()); err != nil {
		return 0, err
	}
	for range s.selected(query) {
		n++
	}
	return n, nil
}

// selected yields the events of a query as they are now.
func (s *Store) selected(query eventsourced.LogQuery) iter.Seq[eventsourced.Recorded] {
	s.mu.RLock()
	log := s.log
	s.mu.RUnlock()
	above := func(position eventsourced.Position) int {
		return sort.Search(len(log), func(i int) bool { return log[i].Position > position })
	}
	if query.UpTo != 0 {
		log = log[:above(query.UpTo)]
	}
	log = log[above(query.After):]
	return func(yield func(eventsourced.Recorded) bool) {
		yielded := 0
		for i := range log {
			if query.Backwards {
				i = len(log) - 1 - i
			}
			if !query.Selects(log[i]) {
				continue
			}
			if !yield(log[i]) {
				return
			}
			if yielded++; yielded == query.Limit {
				return
			}
		}
	}
}

// Listen implements [eventsourced.Listener].
func (s *Store) Listen(ctx context.Context) <-chan struct{} {
	listener := make(chan struct{}, 1)
	s.mu.Lock()
	s.listeners[listener] = struct{}{}
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.listeners, listener)
		close(listener)
	})
	return listener
}

// LoadSnapshot implements [eventsourced.SnapshotStore].
func (s *Store) LoadSnapshot(ctx context.Context, stream eventsourced.Stream) (*eventsourced.Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if snapshot, ok := s.snapshots[stream]; ok {
		return &snapshot, ctx.Err()
	}
	return nil, ctx.Err()
}

// SaveSnapshot implements [eventsourced.SnapshotStore].
func (s *Store) SaveSnapshot(ctx context.Context, stream eventsourced.Stream, snapshot eventsourced.Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.snapshots[stream]; !ok || old.Version < snapshot.Version || old.Position < snapshot.Position || old.SchemaVersion != snapshot.SchemaVersion {
		s.snapshots[stream] = snapshot
	}
	return ctx.Err()
}

func (s *Store) head() eventsourced.Position {
	if len(s.log) == 0 {
		return 0
	}
	return s.log[len(s.log)-1].Position
}

func (s *Store) wake() {
	for listener := range s.listeners {
		select {
		case listener <- struct{}{}:
		default:
		}
	}
}
