package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// lockClass is the first key of the advisory lock of imports; the second is the
// schema's. It never changes, or two versions of the program would import at once.
const lockClass = 1702260340

// unlockTimeout is how long a server that does not answer may take.
const unlockTimeout = 5 * time.Second

// Holder is an import that others wait for.
type Holder struct {
	What  string    // as given to Lock, in ASCII and cut off after some 40 bytes
	Since time.Time // when it began, or began to wait itself
	PID   int       // of its server process
}

// Lock waits until no other import runs in the database's schema, and returns what lets
// the next one begin. what names the import to those that wait. waits is called once if
// there is somebody to wait for, with what is known of them.
//
// The lock is a transaction's, so that it works through a pooler as well, and is let go
// when the process ends, however it ends. It takes one of the pool's connections.
func Lock(ctx context.Context, pool *pgxpool.Pool, what string, waits func(Holder)) (unlock func(), err error) {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock for import: %w", err)
	}
	unlock = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		_ = tx.Rollback(ctx) // there is nothing to lose: a connection that is closed lets go as well
	}
	if err := lock(ctx, tx, what, waits); err != nil {
		unlock()
		return nil, fmt.Errorf("lock for import: %w", err)
	}
	return unlock, nil
}

func lock(ctx context.Context, tx pgx.Tx, what string, waits func(Holder)) error {
	// What waits and what works at the files is idle here, for as long as it takes.
	const settings = `SELECT set_config('application_name', $1, true), set_config('idle_in_transaction_session_timeout', '0', true),
		set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)`
	if _, err := tx.Exec(ctx, settings, "dancefinder import "+what); err != nil {
		return err
	}
	var locked bool
	err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1, hashtext(current_schema()))`, lockClass).Scan(&locked)
	if err != nil || locked {
		return err
	}
	holder, err := holderOf(ctx, tx)
	if err != nil {
		return err
	}
	waits(holder)
	_, err = tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockClass)
	return err
}

func holderOf(ctx context.Context, tx pgx.Tx) (h Holder, err error) {
	const query = `SELECT regexp_replace(a.application_name, '^dancefinder import ', ''), coalesce(a.xact_start, now()), a.pid
		FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1::bigint::oid
			AND l.objid = (hashtext(current_schema())::bigint & 4294967295)::oid AND l.objsubid = 2 AND l.database = a.datid`
	err = tx.QueryRow(ctx, query, lockClass).Scan(&h.What, &h.Since, &h.PID)
	if errors.Is(err, pgx.ErrNoRows) {
		return Holder{What: "another file", Since: time.Now()}, nil // which has just ended
	}
	return h, err
}
