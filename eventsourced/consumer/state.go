package consumer

import (
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// State says in one word how a consumer is. There is one set of states for all kinds.
type State string

const (
	// Live consumers would handle an event now.
	Live State = "live"
	// CatchingUp is a consumer for which events wait longer than a few moments, or may
	// wait: its request for history has no answer.
	CatchingUp State = "catching up"
	// Retrying is a consumer that can't get on, or not in all it does, and goes on
	// trying: its failure says why, how often it was tried and since when.
	Retrying State = "retrying"
	// Stalled is a consumer that makes no progress although it should: a handler, a reaction, a
	// translation, Publish that does not return, which its failure names; for a projection also a
	// lock that it waits for, see [Failure.Blockers], or a statement that takes long, see [Failure.Session]. It goes on by itself when that is over.
	Stalled State = "stalled"
	// Paused is a consumer that somebody stopped, until it is resumed.
	Paused State = "paused"
	// Failed is a consumer that stopped at an event that it can't handle, or that was
	// refused.
	Failed State = "failed"
	// Ahead is a consumer whose position is above the log's head, or was when its
	// node looked: it has stopped, see [ErrAhead].
	Ahead State = "ahead of the log"
	// Standby is a consumer that is ready, but that no node runs. A manager of projections
	// that runs says so, too, of those that another node applies.
	Standby State = "standby"
)

// Status is how a consumer stands.
type Status struct {
	Kind        Kind
	Name        string // a subscriber's is its consumer group
	Topic       string // a subscriber's
	State       State
	Position    eventsourced.Position // everything up to it is done
	Head        eventsourced.Position // of the log; the highest that was heard of, where events come by messages
	Behind      int64                 // events above Position that it handles, up to [eventsourced.MaxBacklog] (of a reactor of another process, all of the log's); -1 when that is not known
	More        bool                  // there are more than Behind says
	Lag         time.Duration         // how long the first of them has been waiting; 0 when there is none
	Node        string                // who runs it, see [Config.Node]; "" for nobody
	Parked      int64                 // events that a reactor or a projection put aside
	Skipped     int64                 // events that somebody has decided that a projection does not apply: its tables lack them. What a reactor has skipped is settled, and does not count
	Estimate    int64                 // about how many events wait, when there are More than Behind and the log can tell; otherwise Behind
	Rate        float64               // events that a projection has applied a second, over the last seconds; 0 when it does nothing
	Left        time.Duration         // about how long the rest takes at that rate; 0 when there is none, or that can't be told
	Version     int                   // of a projection, by which its tables were filled
	Rebuild     *Replay               // of a projection, the one under way or the last one; nil when there was none
	Verify      *Replay               // likewise
	VerifyEvery time.Duration         // how long after that a projection is verified on schedule, by this program's configuration; 0 for never
	Failure     *Failure              // why it does not get on, or stopped; nil when it does
	Asked       string                // what somebody wants a reactor to do with the event that it can't handle, once that fails again: "park" or "skip"; "" for nothing
	Refused     string                // why this program may not run a projection that another program runs, as by its version; "" when it may
}

// ID returns which consumer it is.
func (s Status) ID() ID { return ID{Kind: s.Kind, Name: s.Name, Topic: s.Topic} }

// Replay is how far a rebuild, a rollback or a verification of a projection is, or what became of it.
type Replay struct {
	Command string        `json:"command"` // rebuild, rollback, verify, explain, "verify a sample" or "verify on schedule"
	Phase   string        `json:"phase"`   // such as "replaying", "done", "failed"; "interrupted" when nobody goes on with it
	Running bool          `json:"running"`
	Events  int64         `json:"events"` // applied
	Total   int64         `json:"total"`  // that there are, as far as known
	Rate    float64       `json:"rate"`   // events a second since it began
	Left    time.Duration `json:"-"`      // of the replay, at that rate; 0 when that can't be told
	Node    string        `json:"node"`   // who does it, or did
	Detail  string        `json:"detail"` // for whom it waits, or what came of it
	Waits   []Session     `json:"waits"`  // for them, while it runs and waits for the locks or the snapshots of others
	Began   time.Time     `json:"began"`
	Ended   time.Time     `json:"ended"` // zero while it runs

	// Equal is what the last verification has found that could tell, since the projection was reset, rebuilt or rolled back; nil
	// when there was none. The one that is under way, or could not tell, changes nothing about it.
	Equal *bool `json:"equal,omitempty"`

	Told      time.Time `json:"told,omitzero"`       // when that was; zero without, and when it is not known
	Different int64     `json:"different,omitempty"` // rows that it found missing, too many or different: what was skipped or is parked are none
}

// Failure is what keeps a consumer from getting on: an error, or something that
// takes long. It is on record within two seconds, until the consumer is past it.
type Failure struct {
	EventID   eventsourced.EventID // zero, like the two that follow, when it is not about an event
	EventName string
	Position  eventsourced.Position
	Error     string
	Stack     string    // of a projection's handler that panicked, or ended its goroutine
	Statement string    // that a projection's handler failed with, if its error is of the database
	Time      time.Time // of the last try
	Since     time.Time // of the first one
	Attempts  int       // that have failed or hang; 0 when the first is under way and takes long
	Next      time.Time // of the next try, zero when that is not known or under way
	Stalled   bool      // nothing has failed now, but something under way takes long: Error says what
	Blockers  []Session // who holds the lock that a stalled projection waits for, and for whom those wait: first who waits for nobody
	Session   *Session  // of a stalled projection: its own, when it waits for a lock or is at a statement; nil when it is neither, or not known
}

// Session is one of the database's server.
type Session struct {
	PID         int       `json:"pid"`
	Application string    `json:"application"` // or else the user; "" when it is not visible
	State       string    `json:"state"`       // such as "idle in transaction"
	Since       time.Time `json:"since"`       // its transaction began, zero when it is not visible
	Query       string    `json:"query"`       // the one that runs, or the last one
	QuerySince  time.Time `json:"query_since"` // when that began, zero when it is not visible
	Connected   time.Time `json:"connected"`   // likewise; with PID it says which session it is, as pids are used again
}
