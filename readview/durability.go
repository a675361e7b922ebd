package readview

import "fmt"

// Durability says when a page of a projection counts as committed.
type Durability int

const (
	// Flushed has each page's commit wait for the server's disk: what has been applied survives a
	// crash of the server.
	Flushed Durability = iota

	// Deferred has it wait for nothing (synchronous_commit = off): readers see the page at once, and the server
	// flushes it within three times its wal_writer_delay, 0.6 s by default. After a crash of the server, rows and
	// position are both as they were some pages ago, and those are applied again: each event still counts exactly once.
	//
	// [Manager.WaitFor] then means that readers see the event now, and not that they still do after such a crash, before
	// it has been applied again; nor does it mean anything for a synchronous standby. A replica that was promoted may lack
	// more pages than with Flushed. Pages of one event gain most: about the time of a flush each.
	//
	// It is not for handlers that append events, or that write anything which others take for
	// lasting: the log's own promise would be broken. A projection that is fed by messages can't have it: what the
	// broker was told is done has to be. Events that are applied alone are flushed.
	Deferred
)

// String returns "flushed" or "deferred".
func (d Durability) String() string {
	switch d {
	case Flushed:
		return "flushed"
	case Deferred:
		return "deferred"
	default:
		return fmt.Sprintf("Durability(%d)", int(d))
	}
}
