package pipeline

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

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
