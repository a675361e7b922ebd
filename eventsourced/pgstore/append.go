package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Append implements [eventsourced.Appender] in one round trip and one commit,
// which it shares with other appends that are made at the same time.
// When the connection is lost it sends the append again, a few times: that is
// safe because it is idempotent by event id.
func (s *Store) Append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (eventsourced.Position, error) {
	r, err := s.newRequest(stream, expected, events)
	if err != nil {
		return 0, err
	}
	if err := s.appends.append(ctx, r); err != nil {
		return 0, r.wrap(err)
	}
	if r.err == nil {
		s.hub.wake()
	}
	return r.position, r.err
}

// AppendTx is [Store.Append] as a part of the caller's transaction, which must
// run at READ COMMITTED. From here to the end of that transaction all other
// appends to the log wait: append last, and commit at once. An
// [eventsourced.ErrConflict] leaves the transaction usable. Consumers notice the
// events at their next poll, or at once if [Store.Wake] is called after the
// commit.
//
// It returns [ErrIsolation] when the transaction runs at another level.
func (s *Store) AppendTx(ctx context.Context, tx pgx.Tx, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (eventsourced.Position, error) {
	r, err := s.newRequest(stream, expected, events)
	if err != nil {
		return 0, err
	}
	if err := s.send(ctx, tx, s.sql.lock, r); err != nil {
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

	// Of the coalescer.
	bytes   int           // of payloads
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

// sendOwn sends the requests in a transaction of their own.
func (s *Store) sendOwn(ctx context.Context, requests ...*request) error {
	if !s.traced && len(requests) == 1 && len(requests[0].events) == 1 && requests[0].expected >= 0 {
		decided, err := s.sendOne(ctx, requests[0])
		if decided || err != nil {
			return err
		}
	}
	return s.send(ctx, s.pool, s.sql.lockForGroup, requests...)
}

type batchSender interface {
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

// send takes the lock and appends the requests, each of a stream of its own. On a
// pool the batch is one transaction, without a BEGIN or COMMIT to wait for. An error is that of
// all; otherwise each request has its own outcome.
func (s *Store) send(ctx context.Context, on batchSender, lock string, requests ...*request) error {
	arguments, err := appendArguments(requests)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(lock)
	batch.Queue(s.sql.append, arguments...).Query(func(rows pgx.Rows) error {
		i, base := 0, 0
		for rows.Next() {
			if i == len(requests) {
				break
			}
			if err := requests[i].scan(rows, base); err != nil {
				return err
			}
			base += len(requests[i].events)
			i++
		}
		return rows.Err()
	})
	return on.SendBatch(ctx, batch).Close()
}

// scan reads the outcome of one request, whose first event has the index base in
// its group.
func (r *request) scan(row pgx.Row, base int) error {
	var (
		accepted, sameStream      bool
		current, stored, storedAt int64
		first                     int64
		isolation                 string
	)
	if err := row.Scan(&accepted, &current, &stored, &sameStream, &storedAt, &first, &isolation); err != nil {
		return err
	}
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
	return nil
}

// appendArguments lays the requests out as the arrays of append.sql.
func appendArguments(requests []*request) ([]any, error) {
	n := 0
	for _, r := range requests {
		n += len(r.events)
	}
	var (
		aggregates, aggregateIDs = make([]string, len(requests)), make([]string, len(requests))
		expected                 = make([]int64, len(requests))

		appends, nths, schemas = make([]int32, 0, n), make([]int32, 0, n), make([]int32, 0, n)
		ids                    = make([][16]byte, 0, n)
		names                  = make([]string, 0, n)
		times                  = make([]time.Time, 0, n)
		payloads, metadata     = make([][]byte, 0, n), make([][]byte, 0, n)
	)
	for i, r := range requests {
		aggregates[i], aggregateIDs[i], expected[i] = r.stream.AggregateName, r.stream.AggregateID, int64(r.expected)
		for k, event := range r.events {
			encoded, err := encodeMetadata(event.Metadata)
			if err != nil {
				return nil, fmt.Errorf("metadata of %s: %w", event.Name, err)
			}
			appends, nths, schemas = append(appends, int32(i+1)), append(nths, int32(k+1)), append(schemas, int32(event.SchemaVersion))
			ids, names, times = append(ids, event.ID), append(names, event.Name), append(times, event.Time)
			payloads, metadata = append(payloads, event.Payload), append(metadata, encoded)
		}
	}
	return []any{aggregates, aggregateIDs, expected, appends, nths, ids, names, schemas, times, payloads, metadata}, nil
}

func encodeMetadata(metadata eventsourced.Metadata) ([]byte, error) {
	if len(metadata) == 0 {
		return nil, nil
	}
	return json.Marshal(metadata)
}
