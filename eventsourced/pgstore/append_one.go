package pgstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// appendOneTypes are the types of append_one.sql's parameters.
var appendOneTypes = []uint32{
	pgtype.UUIDOID, pgtype.TextOID, pgtype.TextOID, pgtype.TextOID, pgtype.Int8OID,
	pgtype.Int4OID, pgtype.TimestamptzOID, pgtype.JSONOID, pgtype.JSONOID,
}

var allBinary = []int16{pgtype.BinaryFormatCode}

// sendOne appends one event if all is as expected, and tells whether it did. Every
// command waits for it, so it is written against pgconn: with a pgx.Batch an append
// had twice the allocations.
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
	conn := pooled.Conn()
	large := s.large.Load()
	lock, insert := s.sql.lockForOne, s.sql.appendOne
	if large {
		lock = s.sql.lock
	}
	if r.expected == eventsourced.NoStream {
		insert = s.sql.appendNew
	}
	batch := &pgconn.Batch{}
	if err := s.queue(ctx, conn, batch, lock, nil, nil); err != nil {
		return false, err
	}
	if err := s.queue(ctx, conn, batch, insert, parameters, appendOneTypes); err != nil {
		return false, err
	}
	results := conn.PgConn().ExecBatch(ctx, batch)
	for locked := false; results.NextResult(); locked = true {
		for rows := results.ResultReader(); rows.NextRow(); {
			switch value := rows.Values()[0]; {
			case locked:
				r.position = eventsourced.Position(binary.BigEndian.Uint64(value))
			case !large:
				s.large.Store(len(value) > 0 && value[0] != 0)
			}
		}
	}
	err = results.Close()
	if pgerr.Constraint(err) != "" || pgerr.Code(err) == notExpected {
		return false, nil
	}
	return err == nil, err
}

// notExpected is the SQLSTATE of append_one.sql's cast. That of malformed JSON is the
// same, and append.sql says so then.
const notExpected = "22P02"

// queue adds a statement to a batch, prepared unless the pool's mode is against it.
func (s *Store) queue(ctx context.Context, conn *pgx.Conn, batch *pgconn.Batch, sql string, parameters [][]byte, types []uint32) error {
	if !s.prepares {
		batch.ExecParams(sql, parameters, types, allBinary, allBinary)
		return nil
	}
	statement, err := conn.Prepare(ctx, sql, sql)
	if err == nil {
		batch.ExecStatement(statement, parameters, allBinary, allBinary)
	}
	return err
}

func appendOneParameters(r *request) ([][]byte, error) {
	event := &r.events[0]
	metadata, err := encodeMetadata(event.Metadata)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", event.Name, err)
	}
	number := func(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	return [][]byte{
		event.ID[:], []byte(event.Name), []byte(r.stream.AggregateName), []byte(r.stream.AggregateID), number(int64(r.expected)),
		number(int64(event.SchemaVersion))[4:], number(event.Time.UnixMicro() - epoch), event.Payload, metadata,
	}, nil
}

// epoch is PostgreSQL's, in microseconds.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
