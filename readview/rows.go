package readview

import (
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Inserts of one row each that follow each other become one statement with many
// rows, which costs the server a little more than half: an upsert is executed once,
// for arrays of arguments.
//
//	INSERT INTO balance (account, amount) VALUES ($1, $2) ON CONFLICT (account) DO ...
//	INSERT INTO balance (account, amount) SELECT * FROM unnest($1, $2) ON CONFLICT (account) DO ...
//
// It is done where nobody can tell the difference: with statements that are no more
// than that (see [parseInsert]), on tables where nothing looks at the other rows (see
// plain.sql; a page looks once, and its lock keeps the table as it is), and
// for rows of different keys, as one statement can't update a row twice. When such
// a statement fails, the page is applied again without.

// bulk is the statement for many rows.
type bulk struct {
	query     string // the statement for one row
	table     string
	version   string // of the table, when it was looked at
	looked    int64  // with the lock of that page, see keeper
	plain     bool   // the table was found to be, of that version
	known     string // which was this
	lasting   bool   // as long as that is the version
	assigns   bool   // something, with operators whose meaning depends on types
	page      int64  // found out, or found unchanged, in that page
	statement pgconn.StatementDescription
	elements  []uint32 // the types of its arrays' elements
	key       []int    // the arguments that tell which row may be in the way; nil if none may
}

// prepareBulk returns the statement for many rows of what query does for one, nil if
// there is none.
func (p *pipeline) prepareBulk(query string, one *pgconn.StatementDescription) (*bulk, error) {
	insert, ok := parseInsert(query)
	if !ok || one.Name == "" || insert.columns != len(one.ParamOIDs) {
		return nil, nil
	}
	if err := p.ask(); err != nil {
		return nil, err
	}
	arrays := make([]uint32, len(one.ParamOIDs))
	for i, oid := range one.ParamOIDs {
		element, ok := p.pgx.TypeMap().TypeForOID(oid)
		if !ok {
			return nil, nil
		}
		if _, composite := element.Codec.(*pgtype.CompositeCodec); composite {
			return nil, nil // unnest makes several columns of it
		}
		array, ok := p.pgx.TypeMap().TypeForName("_" + element.Name)
		if !ok {
			return nil, nil
		}
		arrays[i] = array.OID
	}
	var columns []string
	err := p.pgx.QueryRow(p.ctx, `SELECT coalesce(array_agg(attname::text), '{}') FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
		insert.table).Scan(&columns)
	if err != nil || slices.ContainsFunc(insert.words, func(name string) bool {
		return !slices.Contains(columns, name) && !slices.Contains(insert.tables, name)
	}) {
		return nil, err // a name that is not a column's may be a function's
	}
	name := ""
	if one.Name != "" {
		name = one.Name + "_rows"
	}
	statement, err := p.pgx.PgConn().Prepare(p.ctx, name, insert.many, arrays)
	if err != nil {
		return nil, err
	}
	b := &bulk{query: query, table: insert.table, assigns: len(insert.words) > 0, statement: *statement, elements: one.ParamOIDs, key: insert.key}
	b.statement.Fields = make([]pgconn.FieldDescription, 1) // see known
	return b, nil
}

//go:embed plain.sql
var plainSQL string

// versionSQL tells the version of all that the catalogue has of a table itself.
const versionSQL = `SELECT concat_ws(' ', c.oid, c.xmin, c.ctid,
		(SELECT string_agg(a.xmin::text || a.ctid, ' ') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
		(SELECT string_agg(d.xmin::text || d.ctid, ' ') FROM pg_attrdef d WHERE d.adrelid = c.oid),
		(SELECT string_agg(n.xmin::text || n.ctid, ' ') FROM pg_constraint n WHERE n.conrelid = c.oid),
		(SELECT string_agg(i.xmin::text || i.ctid, ' ') FROM pg_index i WHERE i.indrelid = c.oid))
	FROM pg_class c WHERE c.oid = to_regclass($1)`

// look adds to a batch what tells whether the table is as it was. Its lock keeps others
// from changing that to the end of the transaction.
func (b *bulk) look(batch *pgx.Batch) {
	b.version = ""
	batch.Queue("LOCK TABLE ONLY " + b.table + " IN ROW EXCLUSIVE MODE")
	batch.Queue(versionSQL, b.table).QueryRow(func(row pgx.Row) error { return row.Scan(&b.version) })
}

// verify tells, as of this page, whether nobody can tell that rows go together. What the
// page before has used was looked at with the page's lock.
func (p *pipeline) verify(b *bulk) (plain bool, err error) {
	if b.page == p.pages {
		return b.plain, nil
	}
	defer func() {
		if err != nil {
			p.counted.Store(b.query, true) // it would fail each time
			p.fail(p.event, fmt.Errorf("%w: %w", errTogether, err))
			err = p.err
		}
	}()
	if b.looked != p.pages {
		if err := p.ask(); err != nil {
			return false, err
		}
		batch := &pgx.Batch{}
		b.look(batch)
		if err := p.pgx.SendBatch(p.ctx, batch).Close(); err != nil {
			return false, err
		}
	}
	if !b.lasting || b.version != b.known {
		if err := p.ask(); err != nil {
			return false, err
		}
		if err := p.pgx.QueryRow(p.ctx, plainSQL, b.table).Scan(&b.lasting, &b.plain); err != nil {
			return false, err
		}
		b.plain = b.plain && (b.lasting || !b.assigns)
		b.known = b.version
	}
	b.page = p.pages
	if b.plain && len(p.recent) < maxRecent {
		p.recent = append(p.recent, b)
	}
	return b.plain, nil
}

// maxRecent bounds the tables that are looked at with the page's lock.
const maxRecent = 4

// rows are those that go with the next statement.
type rows struct {
	of     *bulk // nil when there are none
	size   size
	event  int               // that of the first one
	traces []context.Context // of the pool's tracer, one a row
	arrays []array
	keys   map[uint64]struct{} // hashes: of two that are the same by chance, the second row has to wait
	key    []byte
}

var keySeed = maphash.MakeSeed()

// take tells whether a row can be of the same statement.
func (r *rows) take(of *bulk, values [][]byte, formats []int16) bool {
	if r.of != of || r.size.full() {
		return false
	}
	for i := range r.arrays {
		if !r.arrays[i].takes(formats[i]) {
			return false
		}
	}
	if of.key == nil {
		return true
	}
	_, taken := r.keys[r.hash(values)]
	return !taken
}

// start begins another statement.
func (r *rows) start(of *bulk, event int, formats []int16) {
	r.of, r.event, r.size = of, event, size{}
	r.arrays = slices.Grow(r.arrays[:0], len(formats))[:len(formats)]
	for i, format := range formats {
		r.arrays[i].start(of.elements[i], format)
	}
	if r.keys == nil {
		r.keys = make(map[uint64]struct{}, sendEvery)
	}
	clear(r.keys)
}

func (r *rows) add(values [][]byte) {
	for i := range r.arrays {
		r.arrays[i].add(values[i])
	}
	if r.of.key != nil {
		r.keys[r.hash(values)] = struct{}{}
	}
	r.size.add(sizeOf(values))
}

// hash is that of a row's key.
func (r *rows) hash(values [][]byte) uint64 {
	r.key = r.key[:0]
	for _, i := range r.of.key {
		r.key = binary.BigEndian.AppendUint32(r.key, uint32(len(values[i])))
		r.key = append(r.key, values[i]...)
	}
	return maphash.Bytes(keySeed, r.key)
}

// send writes the rows' statement to the connection's buffer.
func (r *rows) send(to *pgconn.Pipeline) {
	values, formats := make([][]byte, len(r.arrays)), make([]int16, len(r.arrays))
	for i := range r.arrays {
		values[i], formats[i] = r.arrays[i].value(r.size.events)
	}
	to.SendQueryStatement(&r.of.statement, values, formats, nil)
	r.of = nil
}

// array is the values of one argument in many rows, as the server reads them: in
// binary, or as text like {"a",NULL}.
type array struct {
	buffer  []byte
	element uint32
	text    bool // the elements are, and so is the array
	strings bool // text and binary are the same
}

const arrayHeader = 5 * 4 // dimensions, flags, element type, length, first index

func (a *array) start(element uint32, format int16) {
	a.element = element
	a.strings = element == pgtype.TextOID || element == pgtype.VarcharOID || element == pgtype.BPCharOID
	a.text = format == pgtype.TextFormatCode && !a.strings
	if a.buffer = a.buffer[:0]; cap(a.buffer) > 4*sendBytes {
		a.buffer = nil // a connection is kept for long
	}
	if a.text {
		a.buffer = append(a.buffer, '{')
	} else {
		a.buffer = append(a.buffer, make([]byte, arrayHeader)...)
	}
}

func (a *array) takes(format int16) bool {
	return a.strings || a.text == (format == pgtype.TextFormatCode)
}

func (a *array) add(value []byte) {
	switch {
	case !a.text && value == nil:
		a.buffer = binary.BigEndian.AppendUint32(a.buffer, 1<<32-1)
	case !a.text:
		a.buffer = binary.BigEndian.AppendUint32(a.buffer, uint32(len(value)))
		a.buffer = append(a.buffer, value...)
	case value == nil:
		a.buffer = append(a.buffer, "NULL,"...)
	default:
		a.buffer = append(a.buffer, '"')
		for _, c := range value {
			if c == '"' || c == '\\' {
				a.buffer = append(a.buffer, '\\')
			}
			a.buffer = append(a.buffer, c)
		}
		a.buffer = append(a.buffer, `",`...)
	}
}

func (a *array) value(count int) (value []byte, format int16) {
	if a.text {
		a.buffer[len(a.buffer)-1] = '}'
		return a.buffer, pgtype.TextFormatCode
	}
	for i, n := range []uint32{1, 1, a.element, uint32(count), 1} { // one dimension, NULLs are possible
		binary.BigEndian.PutUint32(a.buffer[i*4:], n)
	}
	return a.buffer, pgtype.BinaryFormatCode
}
