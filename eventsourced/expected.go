package eventsourced

import (
	"fmt"
	"strconv"
)

// Expected says what a stream must look like for an append to succeed:
// [Any], [NoStream], [StreamExists] or a [Revision]. The zero value is NoStream.
type Expected int64

const (
	// NoStream expects that the stream has no events yet.
	NoStream Expected = 0
	// Any expects nothing.
	Any Expected = -1
	// StreamExists expects at least one event.
	StreamExists Expected = -2
)

// Revision expects that the stream's last event has exactly version v.
// Revision(0) is [NoStream].
func Revision(v Version) Expected { return Expected(max(v, 0)) }

// Validate returns [ErrInvalid] for a number that is none of these. Stores call it before
// they write.
func (e Expected) Validate() error {
	if e < StreamExists {
		return fmt.Errorf("%w: the expected version is %d", ErrInvalid, int64(e))
	}
	return nil
}

// Allows tells whether a stream whose last version is current, 0 when it has no
// events, meets the expectation.
func (e Expected) Allows(current Version) bool {
	switch e {
	case Any:
		return true
	case StreamExists:
		return current > 0
	default:
		return Version(e) == current
	}
}

// String returns the expectation as a person would say it.
func (e Expected) String() string {
	switch e {
	case Any:
		return "any version"
	case StreamExists:
		return "an existing stream"
	case NoStream:
		return "no stream"
	default:
		return "version " + strconv.FormatInt(int64(e), 10)
	}
}
