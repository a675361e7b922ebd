// Package sessions ends sessions of a PostgreSQL server that are in somebody's way.
package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

var (
	// ErrNotInTheWay says that a session was left alone: it has ended, or does not keep anybody from anything any more.
	ErrNotInTheWay = errors.New("that session is not in the way any more, and was left alone")
	// ErrMayNotEnd says that the database's role may not end a session.
	ErrMayNotEnd = errors.New("the role may not end that session")
	// ErrNotEnded says that the server has told a session to end, and it has not done so yet.
	ErrNotEnded = errors.New("that session was told to end, and has not ended yet")
)

const (
	endTime  = 5 * time.Second // for a session to end after it was told so
	endEvery = 50 * time.Millisecond
)

// Session is one of a server: a pid is used again, and never from the same moment on.
type Session struct {
	PID       int
	Connected time.Time
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// How a session is treated.
const (
	Terminate = "pg_terminate_backend" // it ends, and its transaction is rolled back
	Cancel    = "pg_cancel_backend"    // its statement fails
)

// End does that to a session if it is in the way, in the statement that does it: inTheWay is a condition in SQL about a row "a" of
// pg_stat_activity, with its arguments from $3 on. Of a session that is terminated it waits for the end.
func End(ctx context.Context, db Querier, s Session, how, inTheWay string, arguments ...any) error {
	if s.Connected.IsZero() {
		return fmt.Errorf("%w: it can't look into it either; to GRANT pg_read_all_stats, pg_signal_backend to the role lets it", ErrMayNotEnd)
	}
	var told bool
	err := db.QueryRow(ctx, `WITH found AS MATERIALIZED (
			SELECT a.pid FROM pg_stat_activity a
			WHERE a.pid = $1 AND a.backend_start = $2 AND a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
				AND (`+inTheWay+`))
		SELECT `+how+`(pid) FROM found`, append([]any{int32(s.PID), s.Connected}, arguments...)...).Scan(&told)
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && !told:
		return ErrNotInTheWay
	case pgerr.Denied(err):
		return fmt.Errorf("%w: to GRANT pg_signal_backend to the role lets it, unless the session is a superuser's; or have that user or a superuser run SELECT %s(%d): %w",
			ErrMayNotEnd, how, s.PID, err)
	case err != nil || how != Terminate:
		return err
	}
	for deadline := time.Now().Add(endTime); ; {
		var there bool
		if err := db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2)`, int32(s.PID), s.Connected).Scan(&there); err != nil {
			return err
		}
		switch {
		case !there:
			return nil
		case time.Now().After(deadline):
			return ErrNotEnded
		case !wait.Sleep(ctx, endEvery):
			return ctx.Err()
		}
	}
}
