package pgstore

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// columns of an event, in the order in which decoder reads them.
const columns = `tstamp, id, name, aggregate_name, aggregate_id, version, schema_version, occurred_at, payload, metadata, tags`

// listed are the same without the payload.
var listed = strings.Replace(columns, "payload", "NULL::json AS payload", 1)

// decoder reads events from the rows of one query. It takes the bytes as the
// server sends them: of what a projection costs, [pgx.Rows.Scan] would be a good
// part.
type decoder struct {
	names map[string]string // there are few, and each is kept once
}

// event reads one row.
func (d *decoder) event(rows pgx.Rows) (e eventsourced.Recorded, err error) {
	values := rows.RawValues()
	e.Position = eventsourced.Position(integer(values[0]))
	copy(e.ID[:], values[1])
	e.Name, e.Stream.AggregateName = d.name(values[2]), d.name(values[3])
	e.Stream.AggregateID = string(values[4])
	e.Version = eventsourced.Version(integer(values[5]))
	e.SchemaVersion = int(int32(binary.BigEndian.Uint32(values[6])))
	e.Time = timestamp(values[7])
	e.Payload = bytes.Clone(values[8])
	e.Metadata, err = metadata(values[9])
	e.Tags = tags(values[10])
	return e, err
}

// metadata has a variable of its own, as it is on the heap.
func metadata(value []byte) (m eventsourced.Metadata, err error) {
	if value != nil {
		err = json.Unmarshal(value, &m)
	}
	return m, err
}

func integer(value []byte) int64 { return int64(binary.BigEndian.Uint64(value)) }

// timestamp reads microseconds since 2000. As a duration they would not go beyond 292 years.
func timestamp(value []byte) time.Time {
	micros := integer(value)
	return time.Unix(epoch.Unix()+micros/1e6, micros%1e6*1000).UTC()
}

func (d *decoder) name(value []byte) string {
	if name, ok := d.names[string(value)]; ok {
		return name
	}
	if d.names == nil {
		d.names = map[string]string{}
	}
	name := string(value)
	d.names[name] = name
	return name
}
