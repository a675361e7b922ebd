package readview

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

var (
	// ErrUnknownProjection is returned by the methods of [Manager] that take a
	// name which was never given to Add. The error lists those that were.
	ErrUnknownProjection = errors.New("unknown projection")

	// ErrNoReset is returned by [Manager.ResetProjection] for a projection
	// without a reset handler.
	ErrNoReset = errors.New("the projection has no reset handler")

	// ErrNoTable is the failure of a projection with [Projection.Tables] that the database does
	// not have, as long as that is so, and returned by [Manager.ResetProjection].
	ErrNoTable = errors.New("tables are missing")

	// ErrNoTables is returned by [Manager.Rebuild] and its like for a projection without
	// [Projection.Tables]: they have to know what to make shadows of.
	ErrNoTables = errors.New("the projection does not declare its tables")

	// ErrNoHistory is returned by [Manager.Rebuild] and its like for a projection whose events come by
	// messages, when there is no way to ask for all of them.
	ErrNoHistory = errors.New("the projection's events can't be asked for again")

	// ErrRebuilding is returned by [Manager.Rebuild] and its like while another one of the projection is under way, on whichever
	// node; the error says where, and how far it is.
	ErrRebuilding = errors.New("another one is under way")

	// ErrImpossible is returned by [Manager.Rebuild] and its like, before anything is made, for tables that can't
	// have shadows, or whose rows can't be compared, or that can't be swapped. The error names each thing in the way. After the replay, before
	// anything is written, it names rows of other tables that refer to rows which would have to be deleted, by whatever rule of the key.
	ErrImpossible = shadow.ErrImpossible

	// ErrEscaped is returned by [Manager.Rebuild] and its like for a handler that uses a live table, by a name with a
	// schema, or writes something that is not one of the projection's tables. It did not: what it wrote is taken back.
	ErrEscaped = shadow.ErrEscaped

	// ErrDiffers is returned by a [Manager.Rebuild] with Verify whose rows differ from the live ones without a reason.
	ErrDiffers = errors.New("a replay gives other rows, although the program is the same")

	// ErrImpatient is returned by [Manager.Rebuild] and its like when the locks that it needs at its end were not to
	// be had. The error says who has them.
	ErrImpatient = errors.New("others were in the way for too long")

	// ErrCancelled is returned by [Manager.Rebuild] and its like when their context has ended before they were done.
	ErrCancelled = errors.New("it was cancelled")

	// ErrTablesChanged is returned by [Manager.Rebuild] and its like when a migration has changed the tables meanwhile.
	ErrTablesChanged = shadow.ErrChanged

	// ErrNothingKept is returned by [Manager.Rollback] when there is nothing to go back to.
	ErrNothingKept = errors.New("nothing is kept of a rebuild")

	// ErrOtherProgram is returned by [Manager.Rollback] when another program has made what is kept.
	ErrOtherProgram = errors.New("it is another program's")

	// ErrNotRunning is returned by [Manager.WaitFor] for a projection that is
	// paused or failed: it would wait for ever.
	ErrNotRunning = errors.New("the projection does not run")

	// ErrGap is the failure of a projection whose messages say that some are
	// missing, and that can't ask for them: see [Feed.Requests].
	ErrGap = errors.New("events are missing")

	// ErrNewEvents is the failure of a projection that handles events which it did
	// not handle when it moved past them. Reset it, or set
	// [Projection.AcceptNewEvents].
	ErrNewEvents = errors.New("the projection handles events that it has passed over")

	// ErrNotThere is returned by [Manager.Skip], [Manager.Park], [Manager.Show] and
	// [Manager.DryRun] for an event at which the projection does not stand, and which is not
	// parked: somebody was faster, or it is another one.
	ErrNotThere = errors.New("the projection does not stand at that event")

	// ErrNotParked is returned by [Manager.Retry] for a stream of which nothing is parked.
	ErrNotParked = errors.New("nothing of it is parked")

	// ErrChanged is the failure of a projection whose tables have what another version of it
	// made, or are not as they were when this version began to fill them. Rebuild it or reset it,
	// or see [Projection.WhenChanged].
	ErrChanged = errors.New("the projection has changed since its tables were filled")

	// ErrOtherTopic is the failure of a projection of another context's events whose position is one of another topic than that of its
	// [Feed]. Reset or rebuild it, or go back to that topic.
	ErrOtherTopic = errors.New("the projection was fed by another topic")

	// ErrOlderProgram is why a node stands by for a projection: another program, of a higher
	// [Projection.Version] or one that handles more of the events, has run it since. Nothing is passed over that way. To
	// go back to the older one, reset the projection with it.
	ErrOlderProgram = errors.New("this program is older than the one that runs the projection")
)

var (
	// The page does not fit what is stored. Somebody else applied it, or the projection
	// was reset, paused or given other handlers. Nothing was done.
	errStale = errors.New("the page is out of date")

	// The page was ended early, as its time runs out. What was done counts.
	errCut = fmt.Errorf("the rest of the page has to wait: %w", errStale)

	// A page was still not done when its time had run out.
	errLate = errors.New("the time of the page has run out (a Timeout middleware, perhaps)")

	// Nothing more is put aside.
	errTooMany = errors.New("no more events are parked (Config.MaxParked)")

	errSlow       = errors.New("the handler is too slow")
	errGoexit     = errors.New("the handler has ended its goroutine, by runtime.Goexit or by a test's FailNow")
	errAbandoned  = errors.New("the handler does not return, and its page was given up")
	errMiddleware = errors.New("a middleware of the router has refused the page, or acked it without calling the handler")
	errNoPage     = errors.New("readview: the message carries no page: a middleware has replaced its context")
)

// mayPass tells that an error of a handler's may pass, so that the event is tried for
// a while.
func mayPass(err error) bool {
	return pgerr.Lost(err) || errors.Is(err, errLate) || errors.Is(err, context.DeadlineExceeded) || pgerr.Canceled(err)
}

// passes tells that an error of a handler's is somebody else's, so that the event is
// tried for ever: a deadlock, a lock, a server that is short of something.
func passes(err error) bool { return pgerr.Retryable(err) && !pgerr.Lost(err) }

func aheadError(name string, position, head eventsourced.Position) error {
	return fmt.Errorf("%w: %s is at position %d and the log ends at %d, so the log was restored from an older backup, or is another one; "+
		"restore the one that belongs to the read view and resume, or reset %s", consumer.ErrAhead, name, position, head, name)
}

var (
	// ErrToken is what all errors about a consistency token that is refused unwrap to.
	ErrToken = errors.New("the consistency token is refused")

	// ErrTokenForged is returned by [Consistency.Verify] and [Consistency.Wait] for what is not
	// a token, or none that was signed with one of the keys.
	ErrTokenForged = fmt.Errorf("%w: it is not one of ours", ErrToken)

	// ErrTokenForeign is returned by [Consistency.Verify] and [Consistency.Wait] for a token of
	// another log: of another database, or of this one before it was made anew.
	ErrTokenForeign = fmt.Errorf("%w: it is of another log", ErrToken)

	// ErrTokenFuture is returned by [Consistency.Verify] and [Consistency.Wait] for a token whose
	// position is above the log's head: the log was restored from an older backup.
	ErrTokenFuture = fmt.Errorf("%w: it is above the log's head", ErrToken)

	// ErrConsistencyTimeout is returned by [ConsistencyResult.Err]: the write counts, and what
	// was to be read does not show it yet.
	ErrConsistencyTimeout = errors.New("what was written can't be read yet")

	// ErrOtherLog is returned by [Consistency.Wait] for a projection of [Manager.AddRemote]:
	// its positions are those of another context's log.
	ErrOtherLog = errors.New("the projection's events are of another log")
)

// explain adds to an error of the database what to do about it.
func explain(err error) error {
	switch {
	case pgerr.Undefined(err) && pgerr.OwnTable(err, "readviews", "readview_states", "readview_operations"):
		return fmt.Errorf("%w (readviews, readview_states and readview_operations are made by migrate.Run with readview.Migrations)", err)
	case pgerr.LockTimeout(err):
		return fmt.Errorf("%w (somebody holds a lock on the tables: see pg_stat_activity, or raise Config.LockTimeout)", err)
	case pgerr.Canceled(err):
		return fmt.Errorf("%w (after the role's statement_timeout, or somebody has cancelled it: for one command another one is set by PGOPTIONS='-c statement_timeout=0')", err)
	}
	return err
}

// EventError says which event a projection could not apply, and why. It unwraps
// to the handler's error, or to an [*eventsourced.DecodeError]. The router's middlewares see it, as
// the error of a page; no method returns it, and a status has its text.
type EventError struct {
	Projection string
	Event      eventsourced.Recorded
	Err        error
	Statement  string // that the handler failed with, if the error is of the database
	Stack      string // of a handler that has ended its goroutine; that of a panic is in Err
}

func (e *EventError) Error() string {
	return fmt.Sprintf("projection %s: apply %s of %s, position %d, id %s: %v",
		e.Projection, e.Event.Name, e.Event.Stream, e.Event.Position, e.Event.ID, e.Err)
}

// stack is where the handler panicked, or ended its goroutine; "" if it did not.
func (e *EventError) stack() string {
	var panicked *wait.PanicError
	if errors.As(e.Err, &panicked) {
		return string(panicked.Stack)
	}
	return e.Stack
}

// Unwrap returns the cause.
func (e *EventError) Unwrap() error { return e.Err }

func newEventsError(name string, position eventsourced.Position, added []string) error {
	return fmt.Errorf("%w: %s is at position %d and now also handles %s; reset it with this program to apply them from the start, or set AcceptNewEvents",
		ErrNewEvents, name, position, strings.Join(added, ", "))
}
