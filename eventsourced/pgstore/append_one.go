package pgstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// appendOneTypes are the types of append_one.sql's parameters.
var appendOneTypes = []uint32{
	pgtype.UUIDOID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID, pgtype.Int8OID,
	pgtype.Int4OID, pgtype.TimestamptzOID, pgtype.JSONOID, pgtype.JSONOID, pgtype.TextArrayOID,
}

// sendOne appends one event if all is as expected, and tells whether it did. Every
// command waits for it.
func (s *Store) sendOne(ctx context.Context, r *request) (decided bool, err error) {
	parameters, err := appendOneParameters(r)
	if err != nil {
		return false, err
	}
	pooled, err := s.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer pooled.Release()
	x := &exchange{settings: s.sql.forOne, insert: s.sql.appendOne, types: appendOneTypes, parameters: parameters}
	if s.large.Load() {
		x.settings = ""
	}
	switch r.expected {
	case eventsourced.NoStream:
		x.insert = s.sql.appendNew
	case eventsourced.AtVersion(1):
		x.insert = s.sql.appendSecond
	}
	x.setting = func(values [][]byte) { s.large.Store(len(values[0]) > 0 && values[0][0] != 0) }
	inserted := false
	x.row = func(values [][]byte) error {
		inserted = true
		r.position, r.err = eventsourced.Position(integer(values[0])), nil
		return nil
	}
	traced, began := s.trace(pooled.Conn(), x.insert, []*request{r}), time.Now()
	err = s.run(ctx, pooled.Conn(), x)
	traced(err)
	if pgerr.Constraint(err) != "" || isNotExpected(err) {
		return false, nil
	}
	if inserted || err != nil { // otherwise it goes the other way now
		s.observe(ctx, x, began, err, r)
	}
	return inserted, err
}

func appendOneParameters(r *request) ([][]byte, error) {
	event := &r.events[0]
	metadata, err := encodeMetadata(event.Metadata)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", event.Name, err)
	}
	number := func(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	return [][]byte{
		event.ID[:], []byte(event.Name), []byte(r.stream.AggregateName), []byte(r.stream.AggregateID), number(expected(r.expected)),
		number(int64(event.SchemaVersion))[4:], number(event.Time.UnixMicro() - epoch.UnixMicro()), event.Payload, metadata, encodeTags(event.Tags),
	}, nil
}

// epoch is PostgreSQL's.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
