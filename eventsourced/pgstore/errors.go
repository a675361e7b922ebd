package pgstore

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/sessions"
)

// ErrIsolation is returned by [Store.AppendTx], and by [Store.Append] where the
// server's default_transaction_isolation was changed. At REPEATABLE READ or
// SERIALIZABLE a transaction does not see what was committed after its start,
// so it can't tell which position is next. Nothing was appended.
var ErrIsolation = errors.New("an append must run at READ COMMITTED")

// ErrProtocol is returned by appends and reads over a pool in a mode of pgx that
// does not ask the server for the types of a statement:
// QueryExecModeSimpleProtocol and QueryExecModeExec. Behind a pooler that can't keep prepared statements use
// QueryExecModeCacheDescribe.
var ErrProtocol = errors.New("the connection's query mode does not do: use pgx.QueryExecModeCacheStatement or QueryExecModeCacheDescribe")

// ErrLockTimeout is returned by appends that gave up waiting for the log's lock: the
// caller's context ended, or the role has a lock_timeout or a statement_timeout. Nothing
// was appended if it was the server's timeout; after a context's end the outcome is open, as always.
// The error is a [*LockError].
var ErrLockTimeout = errors.New("gave up waiting for the log's lock")

// ErrTooLong is returned by an [Inspector] when its timeout is over: the server is busy, or the question is too large.
var ErrTooLong = errors.New("it takes too long, and was given up")

// Errors of [Inspector.EndSession].
var (
	ErrNotInTheWay = sessions.ErrNotInTheWay // the session was left alone: it has ended, or keeps nobody from anything any more
	ErrMayNotEnd   = sessions.ErrMayNotEnd   // the error says what to grant the database's role
	ErrNotEnded    = sessions.ErrNotEnded    // it was told to end, and has not done so yet
)

// ErrArchived is returned by reads that need events which are in the archive, by a store that has no
// [Config.Archive]. The error says up to which position, and in which file the last of them is. Files that are missing or damaged
// are errors of package logarchive.
var ErrArchived = errors.New("these events are in the archive: set pgstore.Config.Archive to its directory")

// ErrNotSought is returned by [Inspector.EventByID]: in the archive events are not found by their ids.
var ErrNotSought = errors.New("older events are in the archive, where ids are not sought")

// ErrArchiving is returned by [Store.Archive] while another one is at work on the log.
var ErrArchiving = errors.New("somebody else archives events of this log just now: wait until that is done")

// ErrTooRecent is returned by [Store.Archive] for events that were appended less than [MinArchiveAge] ago.
var ErrTooRecent = errors.New("events are archived 24 hours after they were appended at the earliest")

// LockError says how long an append waited for the log's lock, and for whom. It unwraps to
// [ErrLockTimeout] and to what ended the wait: the context's error or the server's.
type LockError struct {
	Waited time.Duration
	Holder *LockHolder // as it was seen last, nil if it is not known
	Err    error
}

func (e *LockError) Error() string {
	holder := "whose holder is not known"
	if e.Holder != nil {
		holder = "held by " + e.Holder.String()
	}
	return fmt.Sprintf("waited %s for the log's lock, %s: %v", e.Waited.Round(time.Millisecond), holder, e.Err)
}

// Unwrap returns [ErrLockTimeout] and the cause.
func (e *LockError) Unwrap() []error { return []error{ErrLockTimeout, e.Err} }

// errPooled says that a connection is not a session of the server.
var errPooled = errors.New("there is a pooler between, which spreads a session's statements: LISTEN needs a connection of its own")

// kind tells errors of LISTEN and NOTIFY apart.
func kind(err error) string {
	if errors.Is(err, errPooled) {
		return "pooler"
	}
	return pgerr.Code(err)
}

// isTimeout tells that the server gave up: a lock_timeout, or a statement_timeout or a
// cancellation.
func isTimeout(err error) bool {
	return pgerr.LockTimeout(err) || pgerr.Canceled(err)
}

// blamesOne tells that an error of a group of appends can be one request's fault: its
// data, a constraint, a limit that it exceeds, a trigger that refuses it. Everything else would happen
// to the others, too.
func blamesOne(err error) bool {
	code := pgerr.Code(err)
	return len(code) == 5 && strings.Contains(" 22 23 44 54 P0 ", " "+code[:2]+" ")
}

// isForgotten tells that a prepared statement is not where pgx has left it, or another is: somebody
// deallocated it, or the statements of a session are spread by a pooler.
func isForgotten(err error) bool {
	code := pgerr.Code(err)
	return code == "26000" || code == "42P05"
}

// isNotExpected tells of append_one.sql's cast. The SQLSTATE of malformed JSON is the same,
// and append.sql says so then.
func isNotExpected(err error) bool { return pgerr.Code(err) == "22P02" }

// isArchived tells of the cast in wholeSQL.
func isArchived(err error) bool { return pgerr.Code(err) == "22P02" }

// translate gives the server's errors our names.
func translate(err error) error {
	switch pgerr.Constraint(err) {
	case "events_stream_key":
		// Not under the log's lock: somebody wrote to the table by other means.
		return fmt.Errorf("%w: %w", eventsourced.ErrConflict, err)
	case "events_id_key":
		return fmt.Errorf("%w: %w", eventsourced.ErrDuplicateID, err)
	}
	switch code := pgerr.Code(err); {
	case pgerr.Undefined(err):
		return fmt.Errorf("%w (the log's tables are made by migrate.Run with pgstore.Migrations)", err)
	case isForgotten(err):
		return fmt.Errorf("%w (behind a pooler in transaction mode set default_query_exec_mode=cache_describe in the pool's URL)", err)
	case strings.HasPrefix(code, "22"): // data exception: not JSON, not UTF-8
		return fmt.Errorf("%w: %w", eventsourced.ErrInvalid, err)
	}
	return err
}
