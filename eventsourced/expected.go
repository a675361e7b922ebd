package eventsourced

import "strconv"

// Expected says what a stream must look like for an append to succeed:
// [Any], [NoStream], [StreamExists] or a [Revision]. The zero value is NoStream. Values can be
// compared with ==. What is in one is nobody's business but this package's, so that a condition on
// other events than the stream's can be one later.
type Expected struct {
	kind    expectedKind
	version Version // for a revision
}

type expectedKind uint8

const (
	revision expectedKind = iota
	anything
	existing
)

var (
	// NoStream expects that the stream has no events yet.
	NoStream = Expected{}
	// Any expects nothing.
	Any = Expected{kind: anything}
	// StreamExists expects at least one event.
	StreamExists = Expected{kind: existing}
)

// Revision expects that the stream's last event has exactly version v.
// Revision(0) is [NoStream], and so is one below.
func Revision(v Version) Expected { return Expected{version: max(v, 0)} }

// Version returns the version that the stream's last event must have, 0 for no events, and false when
// it is not one version that is expected. It is for authors of stores.
func (e Expected) Version() (v Version, exact bool) { return e.version, e.kind == revision }

// Allows tells whether a stream whose last version is current, 0 when it has no
// events, meets the expectation. It is for authors of stores.
func (e Expected) Allows(current Version) bool {
	switch e.kind {
	case anything:
		return true
	case existing:
		return current > 0
	default:
		return e.version == current
	}
}

// String returns the expectation as a person would say it.
func (e Expected) String() string {
	switch {
	case e == Any:
		return "any version"
	case e == StreamExists:
		return "an existing stream"
	case e == NoStream:
		return "no stream"
	default:
		return "version " + strconv.FormatInt(int64(e.version), 10)
	}
}
