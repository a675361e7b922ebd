package logarchive

import "github.com/dancefinder/eventsourcing/eventsourced"

// What is fuzzed.
var (
	DecodeBlock    = decodeBlock
	DecodeManifest = decodeManifest
)

// DecodeIndex reads an index of a file in which it begins at a place.
func DecodeIndex(data []byte, at int64) error {
	_, err := decodeIndex(data, at)
	return err
}

// EncodeBlock is what DecodeBlock reads.
func EncodeBlock(events []eventsourced.Recorded) (b []byte) {
	before := eventsourced.Position(0)
	for i := range events {
		b = appendEvent(b, before, &events[i])
		before = events[i].Position
	}
	return b
}
