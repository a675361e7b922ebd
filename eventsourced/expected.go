package eventsourced

import "strconv"

// Expected says what a stream must look like for an append to succeed:
// [Any], [NoStream], [StreamExists] or [AtVersion]. The zero value is NoStream. Values can be
// compared with ==. The fields are not exported, so that a condition on the events of other streams
// can become an Expected later.
type Expected struct {
	kind    expectedKind
	version Version // of atVersion
}

type expectedKind uint8

const (
	atVersion expectedKind = iota
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

// AtVersion expects that the stream's last event has exactly version v.
// AtVersion(0) is [NoStream], and so is a negative version.
func AtVersion(v Version) Expected { return Expected{version: max(v, 0)} }

// Version returns the version that the stream's last event must have, 0 for no events, and false when
// it is not one version that is expected. It is for authors of stores.
func (e Expected) Version() (v Version, exact bool) { return e.version, e.kind == atVersion }

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
