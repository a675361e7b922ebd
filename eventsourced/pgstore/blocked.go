package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// blockedAfter is how long a statement waits before it counts as blocked, in SQL.
const blockedAfter = `interval '2 seconds'`

// Blocked is who keeps others from appending: by the log's lock, or a lock on its table.
type Blocked struct {
	Holder  LockHolder    // the one with the oldest transaction, of those for whom the others wait
	Waiting int           // sessions
	Longest time.Duration // that one of them has been waiting
}

// blockedSQL does not see sessions of other users without the rights of pg_read_all_stats.
const blockedSQL = `WITH waiting AS (
		SELECT l.pid, clock_timestamp() - a.query_start AS since FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE NOT l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND (l.locktype = 'advisory' AND l.classid = 1702260334 AND l.objid = {oid} AND l.objsubid = 2 OR l.locktype = 'relation' AND l.relation = {oid})
			AND a.query_start < clock_timestamp() - ` + blockedAfter + `),
	blocking AS (SELECT DISTINCT unnest(pg_blocking_pids(pid)) AS pid FROM waiting)
	SELECT b.pid, '', coalesce(a.state, ''), coalesce(left(regexp_replace(a.query, '\s+', ' ', 'g'), 100), ''), coalesce(a.usename, '')::text,
		coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.xact_start, 'epoch'),
		coalesce((date_part('epoch', clock_timestamp() - a.xact_start) * 1000000)::bigint, 0),
		(SELECT count(DISTINCT pid)::int FROM waiting), (SELECT (date_part('epoch', max(since)) * 1000000)::bigint FROM waiting)
	FROM blocking b LEFT JOIN pg_stat_activity a ON a.pid = b.pid
	WHERE b.pid NOT IN (SELECT pid FROM waiting) ORDER BY a.xact_start NULLS FIRST LIMIT 1`

// Blocked returns who keeps others from appending for two seconds and more, nil for nobody. Errors: [ErrTooLong].
func (i *Inspector) Blocked(ctx context.Context) (found *Blocked, err error) {
	err = i.ask(ctx, "look for who is in the way", func(ctx context.Context, tx inspection) error {
		var b Blocked
		var age, longest int64
		h := &b.Holder
		err := tx.QueryRow(ctx, i.store.sql.blocked).Scan(&h.PID, &h.Transaction, &h.State, &h.Query, &h.User, &h.Application, &h.Client, &h.Since, &age, &b.Waiting, &longest)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		h.Since, h.Age, b.Longest = h.Since.UTC(), time.Duration(age)*time.Microsecond, time.Duration(longest)*time.Microsecond
		if err == nil && h.PID == 0 { // a prepared transaction has no process
			prepared, err := holder(ctx, tx, i.store.sql.holder, int32(0))
			if err != nil {
				return err
			}
			if prepared != nil {
				b.Holder = *prepared
			}
		}
		found = &b
		return err
	})
	if err != nil {
		found = nil
	}
	return found, err
}

// LastFailure returns when a transaction that appends failed last in this process, and why; nil if none has.
func (s *Store) LastFailure() (at time.Time, err error) {
	s.totals.Lock()
	defer s.totals.Unlock()
	return s.totals.failedAt, s.totals.failure
}
