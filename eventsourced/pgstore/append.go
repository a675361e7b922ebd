package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// Append implements [eventsourced.Appender] in one round trip and one commit,
// which it shares with other appends that are made at the same time.
// When the connection is lost it sends the append again, a few times: that is
// safe because it is idempotent by event id.
func (s *Store) Append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (at eventsourced.Position, err error) {
	r, err := s.newRequest(stream, expected, events)
	if err != nil {
		return 0, err
	}
	ctx, end := s.begin(ctx, r)
	defer func() { end(at, err) }()
	began := time.Now()
	if err := s.appends.append(ctx, r); err != nil {
		if ctx.Err() != nil && !errors.Is(err, ErrLockTimeout) { // it did not come to its turn
			err = s.waits.blame(began, err)
		}
		return 0, r.wrap(err)
	}
	if r.err == nil {
		s.hub.wake()
	}
	return r.position, r.err
}

// AppendTx is [Store.Append] as a part of the caller's transaction, which must
// run at READ COMMITTED. From here to the end of that transaction all other
// appends to the log wait, those of all processes: append last, and commit at once. An
// [eventsourced.ErrConflict] leaves the transaction usable, and the lock with it. Consumers notice the
// events at their next poll, or at once if [Store.Wake] is called after the
// commit.
//
// A transaction that then stands idle for longer than [Config.IdleTimeout] is ended by the
// server, with its connection. It can't be prepared for a two-phase commit: PREPARE
// TRANSACTION fails, as the log would be locked until the second phase, across
// restarts.
//
// It returns [ErrIsolation] when the transaction runs at another level, and
// [ErrLockTimeout] when it gave up waiting for the lock. When ctx ends meanwhile the
// connection is closed, and the transaction with it.
func (s *Store) AppendTx(ctx context.Context, tx pgx.Tx, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (at eventsourced.Position, err error) {
	r, err := s.newRequest(stream, expected, events)
	if err != nil {
		return 0, err
	}
	ctx, end := s.begin(ctx, r)
	defer func() { end(at, err) }()
	// By tx itself: it knows whether it is still open.
	if _, err = tx.Exec(ctx, s.sql.forTx, s.config.IdleTimeout.Milliseconds()); err == nil {
		err = s.send(ctx, tx.Conn(), "", r)
	}
	if err == nil && tx.Conn().IsClosed() {
		err = ctx.Err()
	}
	if err != nil {
		if pgerr.ReadOnly(err) {
			s.pool.Reset()
		}
		return 0, r.wrap(err)
	}
	return r.position, r.err
}

// request is one append and its outcome.
type request struct {
	stream   eventsourced.Stream
	expected eventsourced.Expected
	events   []eventsourced.EventData

	position eventsourced.Position
	err      error // what was decided about it

	ctx context.Context // the caller's, for a tracer

	// Of the coalescer.
	bytes   int           // of payloads
	since   time.Time     // when it began to wait
	group   *group        // nil while it waits
	failure error         // why nothing was decided
	done    chan struct{} // closed when there is an outcome
}

func (s *Store) newRequest(stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (*request, error) {
	if err := eventsourced.ValidateAppend(stream, events, s.config.MaxPayload); err != nil {
		return nil, err
	}
	if s.unusable != nil {
		return nil, s.unusable
	}
	r := &request{stream: stream, expected: expected, events: events}
	for _, event := range events {
		r.bytes += len(event.Payload)
	}
	return r, nil
}

func (r *request) wrap(err error) error {
	return fmt.Errorf("append to %s: %w", r.stream, translate(err))
}

// sendOwn sends the requests in a transaction of their own, which is sent again if its
// connection is lost: it is idempotent.
func (s *Store) sendOwn(ctx context.Context, requests ...*request) error {
	return again(ctx, s.pool, func() error {
		if len(requests) == 1 && len(requests[0].events) == 1 && isExact(requests[0].expected) {
			decided, err := s.sendOne(ctx, requests[0])
			if decided || err != nil {
				return err
			}
		}
		pooled, err := s.pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer pooled.Release()
		return s.send(ctx, pooled.Conn(), s.sql.forGroup, requests...)
	})
}

// appendTypes are the types of append.sql's parameters.
var appendTypes = []uint32{
	pgtype.TextArrayOID, pgtype.TextArrayOID, pgtype.Int8ArrayOID, pgtype.Int4ArrayOID, pgtype.Int4ArrayOID, pgtype.UUIDArrayOID,
	pgtype.TextArrayOID, pgtype.Int4ArrayOID, pgtype.TimestamptzArrayOID, pgtype.JSONArrayOID, pgtype.JSONArrayOID,
	pgtype.TextArrayOID,
}

// send appends the requests, each of a stream of its own. Outside of a transaction it is
// one in itself, without a BEGIN or COMMIT to wait for. An error is that of all; otherwise
// each request has its own outcome.
func (s *Store) send(ctx context.Context, conn *pgx.Conn, settings string, requests ...*request) error {
	arguments, err := appendArguments(requests)
	if err != nil {
		return err
	}
	x := &exchange{settings: settings, insert: s.sql.append, types: appendTypes, parameters: make([][]byte, len(arguments))}
	for i, argument := range arguments {
		if x.parameters[i], err = conn.TypeMap().Encode(appendTypes[i], pgtype.BinaryFormatCode, argument, nil); err != nil {
			return err
		}
	}
	i, base := 0, 0
	x.row = func(values [][]byte) error {
		requests[i].decide(values, base)
		base += len(requests[i].events)
		i++
		return nil
	}
	traced, began := s.trace(conn, x.insert, requests), time.Now()
	err = s.run(ctx, conn, x)
	traced(err)
	s.observe(ctx, x, began, err, requests...)
	return err
}

// decide takes the outcome of one request, whose first event has the index base in its
// group, from a row of append.sql.
func (r *request) decide(row [][]byte, base int) {
	isTrue := func(value []byte) bool { return len(value) == 1 && value[0] != 0 }
	accepted, current, stored, sameStream := isTrue(row[0]), integer(row[1]), integer(row[2]), isTrue(row[3])
	storedAt, first, isolation := integer(row[4]), integer(row[5]), string(row[6])
	r.position, r.err = 0, nil
	switch {
	case accepted:
		r.position = eventsourced.Position(first + int64(base+len(r.events)) - 1)
	case stored == int64(len(r.events)) && sameStream:
		r.position = eventsourced.Position(storedAt)
	case stored > 0:
		r.err = r.wrap(eventsourced.ErrDuplicateID)
	case isolation != "read committed":
		r.err = r.wrap(fmt.Errorf("%w, not at %q", ErrIsolation, isolation))
	default:
		r.err = &eventsourced.ConflictError{Stream: r.stream, Expected: r.expected, Actual: eventsourced.Version(current)}
	}
}

// appendArguments lays the requests out as the arrays of append.sql.
func appendArguments(requests []*request) ([]any, error) {
	n := 0
	for _, r := range requests {
		n += len(r.events)
	}
	var (
		aggregates, aggregateIDs = make([]string, len(requests)), make([]string, len(requests))
		expectations             = make([]int64, len(requests))

		appends, nths, schemas = make([]int32, 0, n), make([]int32, 0, n), make([]int32, 0, n)
		ids                    = make([][16]byte, 0, n)
		names                  = make([]string, 0, n)
		times                  = make([]time.Time, 0, n)
		payloads, metadata     = make([][]byte, 0, n), make([][]byte, 0, n)
		tags                   = make([]*string, 0, n)
	)
	for i, r := range requests {
		aggregates[i], aggregateIDs[i], expectations[i] = r.stream.AggregateName, r.stream.AggregateID, expected(r.expected)
		for k, event := range r.events {
			encoded, err := encodeMetadata(event.Metadata)
			if err != nil {
				return nil, fmt.Errorf("metadata of %s: %w", event.Name, err)
			}
			appends, nths, schemas = append(appends, int32(i+1)), append(nths, int32(k+1)), append(schemas, int32(event.SchemaVersion))
			ids, names, times = append(ids, event.ID), append(names, event.Name), append(times, event.Time)
			payloads, metadata = append(payloads, event.Payload), append(metadata, encoded)
			tags = append(tags, tagsText(event.Tags))
		}
	}
	return []any{aggregates, aggregateIDs, expectations, appends, nths, ids, names, schemas, times, payloads, metadata, tags}, nil
}

func encodeMetadata(metadata eventsourced.Metadata) ([]byte, error) {
	if len(metadata) == 0 {
		return nil, nil
	}
	return json.Marshal(metadata)
}

// expected is how append.sql has it.
func expected(e eventsourced.Expected) int64 {
	switch e {
	case eventsourced.Any:
		return -1
	case eventsourced.StreamExists:
		return -2
	}
	version, _ := e.Version()
	return int64(version)
}

func isExact(e eventsourced.Expected) bool {
	_, exact := e.Version()
	return exact
}
