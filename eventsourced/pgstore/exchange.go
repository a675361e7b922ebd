package pgstore

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
)

// lockPortal is the name of the lock's portal, next to the insert's, which has none.
const lockPortal = "eventsourced_lock"

const (
	splitFrom     = 16 << 10        // bytes of data that go in a write of their own
	cancelTimeout = 5 * time.Second // for telling the server to end what a connection waits for
)

// exchange is an append on the wire. Its data goes first and the lock last:
//
//	settings, run │ insert, bound with its data │ lock, bound │ run the lock, run the insert, commit
//	                                                          └ locked from here
//
// So a client that falls silent while it sends, for minutes or for ever, has locked
// nothing; what comes after the line is some sixty bytes, in a write of their own when
// the data is large. pgx has no way to bind a statement and run it later, so this is
// written against the protocol.
//
// The order of the log rests on this: the server takes the snapshot of a bound INSERT when
// it runs, not when it is bound. Of a plain SELECT it would take it before the lock.
type exchange struct {
	settings   string // a statement, "" for none
	insert     string // data-modifying
	types      []uint32
	parameters [][]byte // in binary form, as the rows are
	row        func(values [][]byte) error
	setting    func(values [][]byte) // a row of the settings, if not nil

	lockWait time.Duration // how long the server waited

	locking bool // all was sent and bound, and the lock is not there yet
}

// run runs x on a connection that does nothing else. The connection is closed when it is not known what
// the server does on it, and when its prepared statements are gone.
func (s *Store) run(ctx context.Context, conn *pgx.Conn, x *exchange) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	socket := conn.PgConn().Conn()
	message, line, err := s.encode(ctx, conn, x)
	if err != nil {
		if isForgotten(err) {
			s.giveUp(conn, socket)
		}
		return err
	}
	waiting := s.waits.begin(conn.PgConn().PID())
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	alive := false
	if err = write(socket, message, line); err == nil {
		alive, err = x.receive(conn.PgConn())
	}
	if !stop() { // the deadline is set, or will be: nobody else may have the connection
		alive = false
		if err != nil && pgerr.Code(err) == "" {
			err = ctx.Err()
		}
	}
	if !alive || isForgotten(err) {
		s.giveUp(conn, socket)
	}
	return waiting.end(ctx, x, err)
}

// write writes what locks nothing before what does.
func write(socket net.Conn, message []byte, line int) error {
	if line > splitFrom {
		if _, err := socket.Write(message[:line]); err != nil {
			return err
		}
		message = message[line:]
	}
	_, err := socket.Write(message)
	return err
}

// receive reads the answer and tells whether the connection can be used again. Nothing has to be
// read while x is written: what the server answers before that is small.
func (x *exchange) receive(conn *pgconn.PgConn) (alive bool, failed error) {
	bound, complete, before := 0, 0, 1 // before the insert is the lock
	if x.settings != "" {
		before = 2
	}
	for {
		message, err := conn.ReceiveMessage(context.Background())
		if err != nil {
			return false, cmp.Or(failed, err)
		}
		switch message := message.(type) {
		case *pgproto3.BindComplete:
			bound++
		case *pgproto3.CommandComplete:
			complete++
		case *pgproto3.DataRow:
			switch {
			case complete == before && failed == nil:
				failed = x.row(message.Values)
			case complete == before-1 && len(message.Values) == 2 && len(message.Values[1]) == 8:
				x.lockWait = seconds(message.Values[1])
			case complete == before-2 && x.setting != nil:
				x.setting(message.Values)
			}
		case *pgproto3.ErrorResponse:
			if failed == nil {
				failed = pgconn.ErrorResponseToPgError(message)
				x.locking = bound == before+1 && complete == before-1
			}
		case *pgproto3.ReadyForQuery:
			return true, failed
		}
	}
}

// encode returns the message and where the line in it is.
func (s *Store) encode(ctx context.Context, conn *pgx.Conn, x *exchange) (message []byte, line int, err error) {
	size := 1 << 10
	for _, parameter := range x.parameters {
		size += len(parameter) + 4
	}
	if !s.prepares {
		size += len(x.settings) + len(x.insert) + len(s.sql.lock)
	}
	e := encoder{conn: conn, prepares: s.prepares, message: make([]byte, 0, size)}
	if x.settings != "" {
		e.bind(ctx, "", x.settings, nil, nil)
		e.add(&pgproto3.Execute{})
		e.add(&pgproto3.Close{ObjectType: 'P'}) // its snapshot would hold back VACUUM
	}
	e.bind(ctx, "", x.insert, x.types, x.parameters)
	e.bind(ctx, lockPortal, s.sql.lock, nil, nil)
	line = len(e.message)
	e.add(&pgproto3.Execute{Portal: lockPortal})
	e.add(&pgproto3.Execute{})
	e.add(&pgproto3.Close{ObjectType: 'P', Name: lockPortal}) // a transaction may append again
	e.add(&pgproto3.Sync{})
	return e.message, line, e.err
}

type encoder struct {
	conn     *pgx.Conn
	prepares bool
	message  []byte
	err      error
}

func (e *encoder) add(message pgproto3.FrontendMessage) {
	if e.err == nil {
		e.message, e.err = message.Encode(e.message)
	}
}

// bind binds a statement, which is prepared unless the pool's mode is against it.
func (e *encoder) bind(ctx context.Context, portal, sql string, types []uint32, parameters [][]byte) {
	bind := &pgproto3.Bind{DestinationPortal: portal, ParameterFormatCodes: allBinary, Parameters: parameters, ResultFormatCodes: allBinary}
	if !e.prepares {
		e.add(&pgproto3.Parse{Query: sql, ParameterOIDs: types})
	} else if e.err == nil {
		var statement *pgconn.StatementDescription
		if statement, e.err = e.conn.Prepare(ctx, sql, sql); e.err != nil {
			return
		}
		bind.PreparedStatement = statement.Name
	}
	e.add(bind)
}

var allBinary = []int16{pgtype.BinaryFormatCode}

// giveUp closes a connection at once, whatever the server does, and has the server
// end what it does there: it may wait for the log's lock.
func (s *Store) giveUp(conn *pgx.Conn, socket net.Conn) {
	_ = socket.SetDeadline(time.Unix(1, 0))
	if secured, ok := socket.(interface{ NetConn() net.Conn }); ok {
		_ = secured.NetConn().Close() // TLS would take leave first, for seconds
	}
	_ = conn.Close(context.Background())
	s.cancels.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cancelTimeout)
		defer cancel()
		_ = conn.PgConn().CancelRequest(ctx)
	})
}

// trace tells the pool's tracer of an append of some requests, as pgx does of a batch and
// with the context of each caller: each has a span of its own, also in a group. The
// function that it returns ends them. It tells statements, not events.
func (s *Store) trace(conn *pgx.Conn, insert string, requests []*request) func(error) {
	if s.tracer == nil {
		return func(error) {}
	}
	batches, _ := s.tracer.(pgx.BatchTracer)
	contexts := make([]context.Context, len(requests))
	for i, r := range requests {
		if batches == nil {
			contexts[i] = s.tracer.TraceQueryStart(r.ctx, conn, pgx.TraceQueryStartData{SQL: insert})
			continue
		}
		batch := &pgx.Batch{}
		batch.Queue(s.sql.lock)
		batch.Queue(insert)
		contexts[i] = batches.TraceBatchStart(r.ctx, conn, pgx.TraceBatchStartData{Batch: batch})
	}
	began := time.Now()
	return func(err error) {
		for i, ctx := range contexts {
			tag := pgconn.CommandTag{}
			if err == nil {
				tag = pgconn.NewCommandTag(fmt.Sprintf("INSERT 0 %d", len(requests[i].events)))
			}
			if batches == nil {
				s.tracer.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{CommandTag: tag, Err: err})
				continue
			}
			batches.TraceBatchQuery(ctx, conn, pgx.TraceBatchQueryData{SQL: s.sql.lock, CommandTag: pgconn.NewCommandTag("SELECT 1"), ReadStartTime: began})
			batches.TraceBatchQuery(ctx, conn, pgx.TraceBatchQueryData{SQL: insert, CommandTag: tag, Err: err, ReadStartTime: began})
			batches.TraceBatchEnd(ctx, conn, pgx.TraceBatchEndData{Err: err})
		}
	}
}
