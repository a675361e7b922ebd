package pipeline

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// rows are a set of rows that go in one statement.
type rows struct {
	of     *bulk
	size   size
	event  int               // that of the first one
	first  first             // row, which goes by itself if no other comes
	traces []context.Context // of the pool's tracer, one a row
	arrays []array
	keys   map[uint64]struct{} // hashes: of two that are the same by chance, the second row has to wait
	key    []byte
}

// first is a row as the statement for one takes it.
type first struct {
	result  *Result // nil when nobody can ask
	values  [][]byte
	formats []int16
	buffer  []byte // of the values
}

// keep copies a row, whose values are the builder's.
func (f *first) keep(result *Result, values [][]byte, formats []int16) {
	f.result, f.values, f.formats, f.buffer = result, f.values[:0], append(f.formats[:0], formats...), f.buffer[:0]
	if c := cap(f.buffer); c == 0 || c > 4*sendBytes {
		f.buffer = make([]byte, 0, 128) // not nil, as an empty value is not NULL; nor large, as a connection is kept for long
	}
	for _, value := range values {
		if value != nil {
			begin := len(f.buffer)
			f.buffer = append(f.buffer, value...)
			value = f.buffer[begin:len(f.buffer):len(f.buffer)]
		}
		f.values = append(f.values, value)
	}
}

var keySeed = maphash.MakeSeed()

// take tells whether a row can be of the same statement.
func (r *rows) take(of *bulk, values [][]byte, formats []int16) bool {
	if r.size.full() {
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
	if r.size.events == 1 {
		to.SendQueryStatement(&r.of.one.undescribed, r.first.values, r.first.formats, nil)
		return
	}
	values, formats := make([][]byte, len(r.arrays)), make([]int16, len(r.arrays))
	for i := range r.arrays {
		values[i], formats[i] = r.arrays[i].value(r.size.events)
	}
	to.SendQueryStatement(&r.of.statement, values, formats, nil)
}

// maxSets is how many sets are open at once.
const maxSets = 8

// setOf returns the open set of a statement, nil if there is none.
func (s *session) setOf(of *bulk) *rows {
	for _, r := range s.sets {
		if r.of == of {
			return r
		}
	}
	return nil
}

// inTheWay returns an open set that has to be sent before rows of a statement that has none, nil if there is no such.
func (s *session) inTheWay(of *bulk) *rows {
	for _, r := range s.sets {
		if r.of.relation == of.relation || r.of.counts && of.counts {
			return r
		}
	}
	if len(s.sets) == maxSets {
		return s.sets[0]
	}
	return nil
}

// openSet opens a set.
func (s *session) openSet(of *bulk, event int, formats []int16) *rows {
	r := &rows{}
	if n := len(s.spare); n > 0 {
		r, s.spare = s.spare[n-1], s.spare[:n-1]
	}
	r.start(of, event, formats)
	s.sets = append(s.sets, r)
	return r
}

// closeSet takes a set out of those that are open.
func (s *session) closeSet(r *rows) {
	s.sets = slices.DeleteFunc(s.sets, func(open *rows) bool { return open == r })
	r.of, r.traces = nil, nil
	s.spare = append(s.spare, r)
}
