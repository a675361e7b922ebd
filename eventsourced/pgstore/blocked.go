package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/internal/sessions"
)

// blockedAfter is how long a statement waits before it counts as blocked, in SQL.
const blockedAfter = `interval '2 seconds'`

// Blocked is who keeps others from appending, by the log's lock or a lock on its table, or from a table of [InspectorConfig].
type Blocked struct {
	Table   string        // of the configuration, for which they wait; "" when they wait for the log
	Holder  LockHolder    // the one with the oldest transaction, of those for whom the others wait
	Root    *LockHolder   // at the end of those for whom Holder waits itself; nil when it waits for nobody
	Waiting int           // sessions
	Longest time.Duration // that one of them has been waiting
}

// waitingSQL are the sessions that wait for the log, or for one of {tables}. It does not see those of other users without the rights of pg_read_all_stats.
const waitingSQL = `SELECT l.pid, clock_timestamp() - a.query_start AS since, coalesce(c.relname, '')::text AS named, l.locktype = 'advisory' OR l.relation = {oid} AS log
	FROM pg_locks l JOIN pg_stat_activity a USING (pid) LEFT JOIN pg_class c ON l.locktype = 'relation' AND c.oid = l.relation
	WHERE NOT l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		AND (l.locktype = 'advisory' AND l.classid = 1702260334 AND l.objid = {oid} AND l.objsubid = 2 OR l.locktype = 'relation' AND (l.relation = {oid} OR c.relname = ANY ({tables})))`

const blockedSQL = `WITH waiting AS (` + waitingSQL + ` AND a.query_start < clock_timestamp() - ` + blockedAfter + `),
	blocking AS (SELECT DISTINCT unnest(pg_blocking_pids(pid)) AS pid FROM waiting)
	SELECT b.pid, '', coalesce(a.state, ''), coalesce(left(regexp_replace(a.query, '\s+', ' ', 'g'), 100), ''), coalesce(a.usename, '')::text,
		coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.backend_start, 'epoch'), coalesce(a.xact_start, 'epoch'),
		coalesce((date_part('epoch', clock_timestamp() - a.xact_start) * 1000000)::bigint, 0),
		(SELECT count(DISTINCT pid)::int FROM waiting), (SELECT (date_part('epoch', max(since)) * 1000000)::bigint FROM waiting),
		(SELECT CASE WHEN bool_or(log) THEN '' ELSE max(named) END FROM waiting)
	FROM blocking b LEFT JOIN pg_stat_activity a ON a.pid = b.pid
	WHERE b.pid NOT IN (SELECT pid FROM waiting) ORDER BY a.xact_start NULLS FIRST LIMIT 1`

// onward goes on with those for whom those of "chain" wait, and no further than people do.
const onward = ` UNION SELECT b, depth + 1 FROM chain, unnest(pg_blocking_pids(chain.pid)) b WHERE depth < 10`

// rootSQL is the last one of those for whom the session $1 waits.
const rootSQL = `WITH RECURSIVE chain AS (SELECT $1::int AS pid, 0 AS depth` + onward + `)
	SELECT c.pid, '', coalesce(a.state, ''), coalesce(left(regexp_replace(a.query, '\s+', ' ', 'g'), 100), ''), coalesce(a.usename, '')::text,
		coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.backend_start, 'epoch'), coalesce(a.xact_start, 'epoch'),
		coalesce((date_part('epoch', clock_timestamp() - a.xact_start) * 1000000)::bigint, 0)
	FROM chain c LEFT JOIN pg_stat_activity a ON a.pid = c.pid
	WHERE c.depth > 0 AND pg_blocking_pids(c.pid) = '{}' ORDER BY c.depth DESC, a.xact_start LIMIT 1`

// Blocked returns who keeps others from appending, or from a table of [InspectorConfig], for two seconds and more, nil for nobody. Errors: [ErrTooLong].
func (i *Inspector) Blocked(ctx context.Context) (found *Blocked, err error) {
	err = i.ask(ctx, "look for who is in the way", func(ctx context.Context, tx inspection) error {
		var b Blocked
		var age, longest int64
		h := &b.Holder
		err := tx.QueryRow(ctx, i.store.sql.blocked, i.config.Tables).Scan(&h.PID, &h.Transaction, &h.State, &h.Query, &h.User, &h.Application, &h.Client, &h.Connected, &h.Since, &age, &b.Waiting, &longest, &b.Table)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		h.at(age)
		b.Longest = time.Duration(longest) * time.Microsecond
		if err == nil && h.PID == 0 && b.Table == "" { // a prepared transaction has no process
			prepared, err := holder(ctx, tx, i.store.sql.holder, int32(0))
			if err != nil {
				return err
			}
			if prepared != nil {
				b.Holder = *prepared
			}
		}
		if err == nil && h.PID != 0 {
			b.Root, err = holder(ctx, tx, rootSQL, int32(h.PID))
		}
		found = &b
		return err
	})
	if err != nil {
		found = nil
	}
	return found, err
}

// OldTransaction is how old the oldest open transaction of the database may be before [Inspector.EndSession] ends its session.
const OldTransaction = 5 * time.Minute

// inTheWaySQL is true of a session "a" that keeps others from appending, or from one of {tables}, or those who do, or whose transaction, that of $3, has been open for longer than any
// other and than OldTransaction.
const inTheWaySQL = `a.pid IN (WITH RECURSIVE waiting AS MATERIALIZED (` + waitingSQL + `),
			chain AS (SELECT DISTINCT b AS pid, 0 AS depth FROM waiting, unnest(pg_blocking_pids(waiting.pid)) b` + onward + `)
		SELECT pid FROM chain WHERE pid NOT IN (SELECT pid FROM waiting))
	OR a.xact_start = $3 AND a.xact_start < clock_timestamp() - $4::bigint * interval '1 microsecond'
		AND a.xact_start = (SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend')`

// EndSession ends the session of a holder that [Inspector.Blocked] or [Inspector.Figures] has named: its transaction is rolled back, and its
// client gets an error. It ends no other one: in the statement that ends it, it still has to be the session that connected then, and to keep
// others from appending, itself or as the one at the root, or to have the oldest open transaction of the database, for [OldTransaction] and more. It writes nothing down: see
// readview's Manager.RecordWhile. Errors: [ErrNotInTheWay], also for a prepared transaction, which is no session; [ErrMayNotEnd]; [ErrNotEnded].
func (i *Inspector) EndSession(ctx context.Context, holder LockHolder) error {
	if holder.PID == 0 {
		return fmt.Errorf("end a session: %w: a prepared transaction has none, ROLLBACK PREPARED ends it", ErrNotInTheWay)
	}
	ctx, cancel := context.WithTimeout(ctx, endTimeout)
	defer cancel()
	err := sessions.End(ctx, i.store.pool, sessions.Session{PID: holder.PID, Connected: holder.Connected}, sessions.Terminate, i.store.sql.inTheWay,
		holder.Since, OldTransaction.Microseconds(), i.config.Tables)
	if err != nil {
		return fmt.Errorf("end the session with pid %d: %w", holder.PID, err)
	}
	return nil
}

// endTimeout is for the end of a session, with a connection to tell it so.
const endTimeout = 10 * time.Second

// LastFailure returns when a transaction that appends failed last in this process, and why; nil if none has.
func (s *Store) LastFailure() (at time.Time, err error) {
	s.totals.Lock()
	defer s.totals.Unlock()
	return s.totals.failedAt, s.totals.failure
}
