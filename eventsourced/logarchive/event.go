package logarchive

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// appendEvent adds an event to a block. Its position is relative to the event before.
func appendEvent(b []byte, before eventsourced.Position, e *eventsourced.Recorded) []byte {
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b = binary.AppendUvarint(b, uint64(e.Position-before))
	b = append(b, e.ID[:]...)
	text(e.Name)
	text(e.Stream.AggregateName)
	text(e.Stream.AggregateID)
	b = binary.AppendUvarint(b, uint64(e.Version))
	b = binary.AppendUvarint(b, uint64(e.SchemaVersion))
	b = binary.AppendVarint(b, e.Time.UnixMicro())
	b = append(binary.AppendUvarint(b, uint64(len(e.Payload))), e.Payload...)
	if e.Metadata == nil { // which is not the same as none
		b = binary.AppendUvarint(b, 0)
	} else {
		b = binary.AppendUvarint(b, uint64(len(e.Metadata))+1)
		for _, key := range slices.Sorted(maps.Keys(e.Metadata)) {
			text(key)
			text(e.Metadata[key])
		}
	}
	b = binary.AppendUvarint(b, uint64(len(e.Tags)))
	for _, tag := range e.Tags {
		text(tag)
	}
	return b
}

// decodeBlock reads a block of so many events, the first of them at a position. The events share data.
func decodeBlock(data []byte, first eventsourced.Position, n int) ([]eventsourced.Recorded, error) {
	d := decoder{data: data, names: map[string]string{}}
	if n < 1 || n > len(data) {
		return nil, fmt.Errorf("%d events in a block of %d bytes", n, len(data))
	}
	events := make([]eventsourced.Recorded, n)
	before := eventsourced.Position(0)
	for i := range events {
		e := &events[i]
		if e.Position = before + eventsourced.Position(d.number(math.MaxInt64)); e.Position <= before {
			d.failed = true
		}
		copy(e.ID[:], d.bytes(len(e.ID)))
		e.Name, e.Stream.AggregateName = d.name(), d.name()
		e.Stream.AggregateID = string(d.sized())
		e.Version = eventsourced.Version(d.number(math.MaxInt64))
		e.SchemaVersion = int(d.number(math.MaxInt32))
		e.Time = time.UnixMicro(d.signed()).UTC()
		e.Payload = d.sized()
		if n := d.number(uint64(len(data)) + 1); n > 0 {
			e.Metadata = eventsourced.Metadata{}
			for ; n > 1 && !d.failed; n-- {
				key := d.name()
				e.Metadata[key] = string(d.sized())
			}
		}
		for n := d.number(uint64(len(data))); n > 0 && !d.failed; n-- {
			e.Tags = append(e.Tags, string(d.sized()))
		}
		if d.failed {
			return nil, fmt.Errorf("event %d of a block can't be read", i)
		}
		before = e.Position
	}
	if len(d.data) > 0 || events[0].Position != first {
		return nil, fmt.Errorf("a block does not have what the index says")
	}
	return events, nil
}

// decoder reads from data. After a failure it returns zeros.
type decoder struct {
	data   []byte
	names  map[string]string // there are few, and each is kept once
	failed bool
}

func (d *decoder) number(most uint64) uint64 {
	n, size := binary.Uvarint(d.data)
	if size <= 0 || n > most {
		d.failed, d.data = true, nil
		return 0
	}
	d.data = d.data[size:]
	return n
}

func (d *decoder) signed() int64 {
	n, size := binary.Varint(d.data)
	if size <= 0 {
		d.failed, d.data = true, nil
		return 0
	}
	d.data = d.data[size:]
	return n
}

func (d *decoder) bytes(n int) []byte {
	if n > len(d.data) {
		d.failed, d.data = true, nil
		return nil
	}
	b := d.data[:n:n]
	d.data = d.data[n:]
	return b
}

func (d *decoder) sized() []byte { return d.bytes(int(d.number(uint64(len(d.data))))) }

func (d *decoder) name() string {
	value := d.sized()
	if name, ok := d.names[string(value)]; ok {
		return name
	}
	name := string(value)
	d.names[name] = name
	return name
}
