package logarchive

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"sort"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// record is a block that has events of a stream.
type record struct {
	stream uint64
	block  uint32
}

func compareRecords(a, b record) int {
	return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.block, b.block))
}

func hashOf(s eventsourced.Stream) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s.AggregateName)
	_, _ = h.Write([]byte{0})
	_, _ = io.WriteString(h, s.AggregateID)
	return h.Sum64()
}

func tableBytes(records int64) int64 {
	pages := (records + pageRecords - 1) / pageRecords
	return pages*checksumBytes + records*recordBytes
}

// appendTable adds the records, which are in order, in pages.
func appendTable(b []byte, records []record) []byte {
	for page := range slices.Chunk(records, pageRecords) {
		at := len(b)
		b = append(b, 0, 0, 0, 0)
		for _, r := range page {
			b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, r.stream), r.block)
		}
		binary.BigEndian.PutUint32(b[at:], checksum(b[at+checksumBytes:]))
	}
	return b
}

func (f *file) readPage(x *index, i int) ([]record, error) {
	n := min(x.Streams.Records-int64(i)*pageRecords, pageRecords)
	data, err := f.read(x.Streams.At+int64(i)*pageBytes, checksumBytes+int(n)*recordBytes)
	if err != nil {
		return nil, err
	}
	if checksum(data[checksumBytes:]) != binary.BigEndian.Uint32(data) {
		return nil, fmt.Errorf("%w (the checksum of its streams is wrong)", ErrCorrupt)
	}
	records := make([]record, n)
	for k := range records {
		r := data[checksumBytes+k*recordBytes:]
		if records[k] = (record{binary.BigEndian.Uint64(r), binary.BigEndian.Uint32(r[8:])}); int64(records[k].block) >= int64(len(x.Blocks)) {
			return nil, fmt.Errorf("%w (its streams have a block that it does not have)", ErrCorrupt)
		}
	}
	return records, nil
}

// blocksOf returns the blocks that may have events of a stream, in order.
func (f *file) blocksOf(x *index, stream eventsourced.Stream) (blocks []int, err error) {
	hash := hashOf(stream)
	pages := int((x.Streams.Records + pageRecords - 1) / pageRecords)
	first := sort.Search(pages, func(i int) bool { // of which the first record is not before the stream
		if err != nil {
			return true
		}
		var page []record
		page, err = f.readPage(x, i)
		return err != nil || page[0].stream >= hash
	})
	for i := max(first-1, 0); i < pages && err == nil; i++ {
		var page []record
		if page, err = f.readPage(x, i); err != nil || page[0].stream > hash {
			break
		}
		for _, r := range page {
			if r.stream == hash {
				blocks = append(blocks, int(r.block))
			}
		}
	}
	return blocks, err
}
