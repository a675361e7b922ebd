package pipeline

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// rows are a set of rows that go in one statement.
type rows struct {
	of     *bulk
	size   size
	count  int               // of its rows: less than size has events where some were replaced
	event  int               // that of the first one
	one    bool              // each has to change one row
	shared bool              // their keys are all that is unique in the table
	few    []kept            // the first ones, which go by themselves if no others come; all where rows replace others
	utf8   bool              // texts of that encoding are the server's
	traces []context.Context // of the pool's tracer, one a row
	arrays []array
	keys   map[uint64]int // the place in few by the hash of the key
}

// kept is a row as the statement for one takes it.
type kept struct {
	statement
	values  [][]byte
	formats []int16
	buffer  []byte // of the values
	key     []byte // of which row it is, where it may be replaced
}

// keep copies it, whose values are the builder's.
func (r *kept) keep(s statement, values [][]byte, formats []int16) {
	r.statement, r.values, r.formats, r.buffer = s, r.values[:0], append(r.formats[:0], formats...), r.buffer[:0]
	if c := cap(r.buffer); c == 0 || c > 4*sendBytes {
		r.buffer = make([]byte, 0, 128) // not nil, as an empty value is not NULL; nor large, as a connection is kept for long
	}
	for _, value := range values {
		if value != nil {
			begin := len(r.buffer)
			r.buffer = append(r.buffer, value...)
			value = r.buffer[begin:len(r.buffer):len(r.buffer)]
		}
		r.values = append(r.values, value)
	}
}

// few tells for how many rows it is not worth while to do them together.
func (b *bulk) few() int {
	if b.form.verb == inserts {
		return 1
	}
	return 3 // the settings, there and back, are two statements more
}

// take tells whether a row can be of the same statement.
func (r *rows) take(i identity, key []byte, one bool, formats []int16) bool {
	if r.one != one {
		return false
	}
	for n := range r.arrays {
		if !r.arrays[n].takes(formats[n]) {
			return false
		}
	}
	return !r.of.once || !r.has(i) || r.replaced(i, key) != nil
}

// has tells whether a row of the key is here.
func (r *rows) has(i identity) bool {
	_, has := r.keys[i.hash]
	return has
}

// start begins another statement.
func (r *rows) start(of *bulk, s statement, formats []int16) {
	r.of, r.event, r.one, r.size, r.count, r.shared, r.few = of, s.event, s.one, size{}, 0, true, r.few[:0]
	r.traces = nil
	r.arrays = slices.Grow(r.arrays[:0], len(formats))[:len(formats)]
	for i, format := range formats {
		r.arrays[i].start(of.elements[i], format)
	}
	if r.keys == nil {
		r.keys = make(map[uint64]int, sendEvery)
	}
	clear(r.keys)
}

func (r *rows) add(i identity, key []byte, s statement, values [][]byte, formats []int16) {
	r.traces = append(r.traces, s.traces...)
	r.size.add(sizeOf(values))
	if row := r.replaced(i, key); row != nil {
		s.traces = append(row.traces, s.traces...)
		row.keep(s, values, formats)
		return
	}
	if r.of.key != nil {
		r.keys[i.hash] = len(r.few)
	}
	r.shared = r.shared && i.shared
	r.count++
	if r.of.replaces || len(r.few) < r.of.few() {
		r.few = slices.Grow(r.few, 1)[:len(r.few)+1]
		row := &r.few[len(r.few)-1]
		row.keep(s, values, formats)
		row.key = append(row.key[:0], key...)
	}
	if !r.of.replaces {
		r.put(values)
	}
}

// put adds the values of a row to the arrays.
func (r *rows) put(values [][]byte) {
	for n := range r.arrays {
		r.arrays[n].add(values[n])
	}
}

// many writes the rows' statement to the connection's buffer.
func (r *rows) many(to *pgconn.Pipeline) {
	if r.of.replaces {
		for i := range r.few {
			r.put(r.few[i].values)
		}
	}
	values, formats := make([][]byte, len(r.arrays)), make([]int16, len(r.arrays))
	for i := range r.arrays {
		values[i], formats[i] = r.arrays[i].value(r.count)
	}
	to.SendQueryStatement(&r.of.statement, values, formats, nil)
}

// maxSets is how many sets are open at once.
const maxSets = 8

// setFor returns the first of the open sets that a row can be added to: behind all that it has to come after. It is nil if there
// is none.
func (s *session) setFor(of *bulk, i identity, one bool) (set *rows) {
	for _, r := range slices.Backward(s.sets) {
		if r.of == of && r.take(i, s.key, one, s.builder.ParamFormats) {
			set = r
		}
		if r.before(of, i) {
			break
		}
	}
	return set
}

// lastBefore returns the last of the open sets that a row has to come after, nil if there is none.
func (s *session) lastBefore(of *bulk, i identity) *rows {
	for _, r := range slices.Backward(s.sets) {
		if r.before(of, i) {
			return r
		}
	}
	return nil
}

// before tells whether a row that comes later can be told from one that comes earlier than these.
func (r *rows) before(of *bulk, i identity) bool {
	return r.of.counts && of.counts || r.of.table.relation == of.table.relation && !(r.shared && i.shared && !r.has(i))
}

// openSet opens a set.
func (s *session) openSet(of *bulk, first statement, formats []int16) *rows {
	r := &rows{}
	if n := len(s.spare); n > 0 {
		r, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	r.start(of, first, formats)
	r.utf8 = s.pgx.PgConn().ParameterStatus("server_encoding") == "UTF8" && s.pgx.PgConn().ParameterStatus("client_encoding") == "UTF8"
	s.sets = append(s.sets, r)
	return r
}

// closeSet takes a set out of those that are open. It may be opened again once it is spared.
func (s *session) closeSet(r *rows) {
	s.sets = slices.DeleteFunc(s.sets, func(open *rows) bool { return open == r })
}

func (s *session) spareSet(r *rows) { s.spare = append(s.spare, r) }
