package pipeline

import (
	"context"
	"database/sql/driver"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const maxStatements = 512 // different ones that a connection keeps prepared, as pgx does

// prepared is a statement that the connection has prepared.
type prepared struct {
	description *pgconn.StatementDescription
	used        int64 // when, by the session's clock
	page        int64 // that it was last executed in, by the session's count

	formats []int16 // of a query's columns
	values  []func([]byte) (driver.Value, error)

	bulk  *bulk // nil when there is none
	tried bool  // to find it

	// undescribed is the statement with a column that is made up: of one without
	// columns pgconn has the server describe the result, each time. Nobody looks
	// at the results of what is queued.
	undescribed pgconn.StatementDescription
}

// names returns those that the server keeps.
func (k *prepared) names() (names []string) {
	if k.description.Name != "" {
		names = append(names, k.description.Name)
	}
	if k.bulk != nil && k.bulk.statement.Name != "" {
		names = append(names, k.bulk.statement.Name)
	}
	return names
}

// session is a connection, and what it keeps from one transaction to the next. What it
// keeps of a table is looked at again in each transaction.
type session struct {
	pgx     *pgx.Conn
	paths   map[string]*place // by search path: the same text may be about other tables there
	here    *place            // that of the transaction's path
	count   int               // of all statements
	path    string            // the transaction's
	moved   bool              // it was another one once
	kinds   map[string]kindAt // of statements, by their text
	serial  int64             // statements prepared so far
	clock   int64             // counts uses
	pages   int64             // counts transactions, and changes of tables in them
	recent  []*table          // those that this page has used
	sets    []*rows           // that are open: rows that are gathered, in the order in which they began
	spare   []*rows           // that are not
	pins    pins
	key     []byte // memory for one
	args    []any  // likewise
	builder pgx.ExtendedQueryBuilder
}

// place is a search path.
type place struct {
	known  map[string]*prepared // by their text
	tables map[string]*table    // by their name in statements
}

func newPlace() *place { return &place{map[string]*prepared{}, map[string]*table{}} }

func sessionOf(conn *pgx.Conn) *session {
	const key = "github.com/dancefinder/eventsourcing/readview"
	data := conn.PgConn().CustomData()
	s, ok := data[key].(*session)
	if !ok {
		s = &session{pgx: conn, paths: map[string]*place{}, here: newPlace(), kinds: map[string]kindAt{}}
		data[key] = s
	}
	s.pages++
	s.spare = append(s.spare, s.sets...)
	s.sets = s.sets[:0]
	return s
}

// use turns to the statements of a search path.
func (s *session) use(path string) {
	if s.paths[path] == nil {
		s.paths[path] = newPlace()
	}
	s.here = s.paths[path]
	s.moved = s.moved || s.path != "" && s.path != path
	s.path = path
}

// prepare returns the statement, which is prepared once a connection and search path. Of too
// many, the one that was not used for longest is given up.
func (tx *Tx) prepare(query string) (*prepared, error) {
	tx.clock++
	if k := tx.here.known[query]; k != nil {
		k.used = tx.clock
		return k, nil
	}
	if err := tx.flush(); err != nil {
		return nil, err
	}
	if tx.count >= maxStatements {
		if err := tx.evict(); err != nil {
			tx.fail(tx.turn.event, err)
			return nil, err
		}
	}
	name := "" // behind a pooler that can't keep statements, it is parsed each time
	if tx.db.named {
		// Not by its text: database/sql shares those, and closes them.
		tx.serial++
		name = "readview_" + strconv.FormatInt(tx.serial, 10)
	}
	description, err := tx.pgx.PgConn().Prepare(tx.ctx, name, query, nil)
	if err != nil {
		tx.fail(tx.turn.event, err)
		return nil, err
	}
	k := &prepared{description: description, used: tx.clock, undescribed: *description}
	k.undescribed.Fields = make([]pgconn.FieldDescription, 1)
	tx.here.known[query] = k
	tx.count++
	return k, nil
}

// evict gives up the statement that was not used for longest.
func (tx *Tx) evict() error {
	var oldest *prepared
	var at map[string]*prepared
	for _, place := range tx.paths {
		for _, k := range place.known {
			if oldest == nil || k.used < oldest.used {
				oldest, at = k, place.known
			}
		}
	}
	delete(at, oldest.description.SQL)
	tx.count--
	return tx.deallocate(tx.ctx, oldest.names())
}

// forget makes the connection prepare its statements anew: after a failure, as the
// tables may have changed since.
func (tx *Tx) forget(ctx context.Context) error {
	var names []string
	for _, place := range tx.paths {
		for _, k := range place.known {
			names = append(names, k.names()...)
		}
	}
	clear(tx.paths)
	clear(tx.kinds)
	tx.here, tx.count = newPlace(), 0
	return tx.deallocate(ctx, names)
}

// deallocate has the server forget prepared statements, in one round trip.
func (tx *Tx) deallocate(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	open := tx.pgx.PgConn().StartPipeline(ctx)
	for _, name := range names {
		open.SendDeallocate(name)
	}
	return errors.Join(open.Sync(), open.Close())
}
