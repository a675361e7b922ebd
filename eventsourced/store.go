package eventsourced

import (
	"context"
	"iter"
)

// The contract of an event store, split by role. A store implements all of them
// ([LogStore] and [SnapshotStore]); a consumer asks for the smallest one it
// needs. Package storetest holds the suite that proves an implementation.
// All methods are safe for concurrent use.

// Appender writes events.
type Appender interface {
	// Append adds events to the end of stream if the stream is as expected, all
	// of them or none, and returns the position of the last one. When it
	// returns, they are committed, and every later read sees them. Their
	// positions are higher than all that any reader has seen.
	//
	// Append is idempotent by event id: if the log holds these events already, it
	// returns their position and expected does not matter. So an append whose
	// outcome is unknown (a connection lost in mid-commit, a context that ended)
	// is settled by repeating it with the same EventData.
	//
	// Payloads are JSON; any other is refused with [ErrInvalid], see [Codec].
	//
	// Errors: [ErrConflict], [ErrDuplicateID], [ErrInvalid]; anything else comes
	// from below and leaves the outcome open.
	Append(ctx context.Context, stream Stream, expected Expected, events []EventData) (Position, error)
}

// StreamReader reads one aggregate's events.
type StreamReader interface {
	// ReadStream yields the events of stream with a version above after, in
	// order, and ends. A stream without events yields none. After an error
	// nothing more is yielded. Between the first and the last event a
	// connection may be held: don't call the store from inside the loop.
	ReadStream(ctx context.Context, stream Stream, after Version) iter.Seq2[Recorded, error]
}

// LogReader reads the events of all streams in the order of their positions,
// which is the order of their commits.
type LogReader interface {
	// Head returns the position of the last committed event, 0 for an empty log.
	// No event with a position up to it is committed later.
	Head(ctx context.Context) (Position, error)

	// ReadLog yields the selected events in order and ends. Everything committed
	// before the call is there. What holds for [StreamReader.ReadStream] holds
	// here too. Errors: [ErrInvalid], [ErrUnsupported]; anything else comes from below.
	ReadLog(ctx context.Context, query LogQuery) iter.Seq2[Recorded, error]

	// CountLog returns how many events ReadLog would yield, with the same errors. With
	// Limit it looks at no more than so many: give one where you needn't know more.
	CountLog(ctx context.Context, query LogQuery) (int64, error)
}

// Surveyor is a log that can tell of many consumers at once what a status asks of each. It
// is no part of [LogReader]: a status is for people, and does without. Of the queries only After, UpTo and
// Names count, and the errors are those of ReadLog.
type Surveyor interface {
	// FirstOfEach returns the first event of each query that ReadLog would yield, of which only Position and Time are
	// set; with position 0 where there is none.
	FirstOfEach(ctx context.Context, queries []LogQuery) ([]Recorded, error)

	// EstimateEach returns about what CountLog would for each, without a look at the events.
	EstimateEach(ctx context.Context, queries []LogQuery) ([]int64, error)
}

// Listener tells of new events.
type Listener interface {
	// Listen returns a channel that receives a value soon after events were
	// committed, by whatever process. It is a hint: many appends may lead to one
	// value, and one may be missing or come for nothing. So a consumer that must
	// not wait too long looks by itself from time to time as well. The channel is
	// closed when ctx ends.
	Listen(ctx context.Context) <-chan struct{}
}

// Registered gives access to the registry that a store's events are decoded with.
type Registered interface {
	Registry() *Registry
}

// Identified is a log that can be told from others. Positions mean something in one log only,
// so whatever carries one outside says of which it is. It is no part of [Log], as few consumers
// need it.
type Identified interface {
	// LogID returns what names the log, the same for as long as it exists, on every node and
	// in every copy of it: a replica, a restored backup. It is never empty.
	LogID(ctx context.Context) (string, error)
}

// Store is what a [Repository] needs.
type Store interface {
	Appender
	StreamReader
	Registered
}

// Log is what consumers of the whole log need: projections, subscribers, relays, reactors.
type Log interface {
	LogReader
	Listener
	Registered
}

// LogStore is both sides.
type LogStore interface {
	Appender
	StreamReader
	LogReader
	Listener
	Registered
}

// Snapshot is an aggregate's state as of one version, so that loading it need
// not read the events before.
type Snapshot struct {
	Version       Version  // of the last event in it
	Position      Position // of that event
	SchemaVersion int      // of State, given by the application
	State         []byte
}

// SnapshotStore keeps the latest snapshot of each stream. Snapshots are a cache:
// losing one costs time only.
type SnapshotStore interface {
	// LoadSnapshot returns the stream's snapshot, nil when there is none.
	LoadSnapshot(ctx context.Context, stream Stream) (*Snapshot, error)
	// SaveSnapshot replaces the stream's snapshot unless it is as new already: one of the same
	// schema version whose version and position are both as high. (In a log that went back,
	// a snapshot from before may have the higher version, or the higher position.)
	SaveSnapshot(ctx context.Context, stream Stream, snapshot Snapshot) error
}
