package readview

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/sessions"
)

// Errors of [Manager.EndSession].
var (
	ErrNotInTheWay = sessions.ErrNotInTheWay // the session was left alone: it has ended, or is not in the projection's way any more
	ErrMayNotEnd   = sessions.ErrMayNotEnd   // the error says what to grant the database's role
	ErrNotEnded    = sessions.ErrNotEnded    // it was told to end, and has not done so yet
)

// CommandEndSession is what [Manager.EndSession] is called in the operator log.
const CommandEndSession = "end-session"

// EndSession ends a session of the database's server that is in the way of a projection: one of [consumer.Failure] Blockers, or of
// [consumer.Replay] Waits, by its PID and Connected. Its transaction is rolled back, and its client gets an error. Of the projection's own session,
// [consumer.Failure] Session, it cancels the statement: the page is rolled back, and tried again.
//
// It ends no other session: in the statement that ends it, it still has to be the session that connected then, and to hold the lock that the
// projection waits for, or the transaction for which the rebuild waits, or to be at the same statement. It is in the operator log, also when it
// was refused. Errors: [ErrUnknownProjection], [ErrNotInTheWay], [ErrMayNotEnd], [ErrNotEnded].
func (m *Manager) EndSession(ctx context.Context, name string, session consumer.Session) error {
	if _, err := m.runner(name); err != nil {
		return err
	}
	arguments := map[string]string{"pid": fmt.Sprint(session.PID)}
	if session.Application != "" {
		arguments["application"] = session.Application
	}
	return m.RecordWhile(ctx, name, CommandEndSession, arguments, func(ctx context.Context) (string, error) {
		found, how, inTheWay, about, err := m.inTheWay(ctx, name, session)
		if err != nil {
			return "", err
		}
		err = sessions.End(ctx, m.pool, sessions.Session{PID: found.PID, Connected: found.Connected}, how, inTheWay, about...)
		switch {
		case err != nil:
			return "", fmt.Errorf("end the session with pid %d: %w", found.PID, explain(err))
		case how == sessions.Cancel:
			return "its statement was cancelled", nil
		}
		return "it has ended", nil
	})
}

// inTheWay finds a session in what is known about a projection, with how it is treated, and what still has to be true of it, in SQL.
func (m *Manager) inTheWay(ctx context.Context, name string, session consumer.Session) (found consumer.Session, how, inTheWay string, about []any, err error) {
	is := func(s consumer.Session) bool { return s.PID == session.PID && s.Connected.Equal(session.Connected) }
	records, err := m.states.readMany(ctx, []string{name})
	if err != nil {
		return found, "", "", nil, explain(err)
	}
	failures := make([]*consumer.Failure, 1, 2)
	if r, err := m.runner(name); err == nil { // which tells it before it is on record
		r.mu.Lock()
		failures[0] = r.trouble
		r.mu.Unlock()
	}
	for _, f := range append(failures, records[name].failure) {
		if f == nil || !f.Stalled || f.Session == nil {
			continue
		}
		if i := slices.IndexFunc(f.Blockers, is); i >= 0 {
			return f.Blockers[i], sessions.Terminate, `a.pid IN (` + inTheWayOf("$3") + `) AND EXISTS (SELECT FROM pg_stat_activity w WHERE w.pid = $3::int AND w.backend_start = $4)`,
				[]any{int32(f.Session.PID), f.Session.Connected}, nil
		}
		if is(*f.Session) && len(f.Blockers) == 0 {
			return *f.Session, sessions.Cancel, `a.state = 'active' AND a.query_start = $3`, []any{f.Session.QuerySince}, nil
		}
	}
	rebuilds, err := m.states.rebuildsOf(ctx, name)
	if err != nil {
		return found, "", "", nil, explain(err)
	}
	for _, r := range rebuilds {
		replay := r.status()
		if i := slices.IndexFunc(replay.Waits, is); i >= 0 {
			return replay.Waits[i], sessions.Terminate, `a.xact_start = $3`, []any{replay.Waits[i].Since}, nil
		}
	}
	return found, "", "", nil, ErrNotInTheWay
}

// slowStatement is how long a statement has to take until it is said that a projection is at it.
const slowStatement = 500 * time.Millisecond

// inTheWayOf selects who holds the lock that a session waits for, and for whom those wait themselves: pid, and by how many others.
func inTheWayOf(session string) string {
	return `WITH RECURSIVE chain AS (SELECT unnest(pg_blocking_pids(` + session + `::int)) AS pid, 1 AS depth
		UNION SELECT unnest(pg_blocking_pids(pid)), depth + 1 FROM chain WHERE depth < 10) SELECT pid FROM chain GROUP BY pid ORDER BY max(depth) DESC, pid`
}

// sessionsAt returns a session of the server, if it waits or has been at a statement for a while, and who is in its way: first who
// waits for nobody.
func (m *Manager) sessionsAt(ctx context.Context, pid uint32) (own *consumer.Session, blockers []consumer.Session) {
	rows, err := m.pool.Query(ctx, `SELECT pid, coalesce(nullif(application_name, ''), usename, ''), coalesce(state, ''),
			coalesce(xact_start, 'epoch'), coalesce(left(query, 1000), ''), coalesce(query_start, 'epoch'), coalesce(backend_start, 'epoch'),
			coalesce(state = 'active' AND (wait_event_type = 'Lock' OR wait_event_type IS DISTINCT FROM 'Client' AND query_start < clock_timestamp() - $2::bigint * interval '1 microsecond'), false)
		FROM (SELECT $1::int AS pid, 0 AS number UNION ALL SELECT pid, row_number() OVER () FROM (`+inTheWayOf("$1")+`) AS way) AS wanted
		JOIN pg_stat_activity a USING (pid) ORDER BY number`, int32(pid), slowStatement.Microseconds())
	if err != nil {
		return nil, nil // that it stalls is worth a record without them
	}
	var s consumer.Session
	var busy bool
	_, err = pgx.ForEachRow(rows, []any{&s.PID, &s.Application, &s.State, &s.Since, &s.Query, &s.QuerySince, &s.Connected, &busy}, func() error {
		one := s
		for _, t := range []*time.Time{&one.Since, &one.QuerySince, &one.Connected} {
			if *t = t.UTC(); t.Unix() == 0 {
				*t = time.Time{}
			}
		}
		switch {
		case uint32(one.PID) != pid:
			blockers = append(blockers, one)
		case busy:
			own = &one
		}
		return nil
	})
	if err != nil {
		return nil, nil
	}
	return own, blockers
}

// describe is a session that is in the way, for people.
func describe(s consumer.Session) string {
	who, state, query, ago := cmp.Or(s.Application, "not visible"), cmp.Or(s.State, "not visible"), []rune(s.Query), ""
	if !s.Since.IsZero() {
		ago = " for " + time.Since(s.Since).Truncate(time.Second).String()
	}
	return fmt.Sprintf("pid %d (%s, %s, in its transaction%s): %s", s.PID, who, state, ago, string(query[:min(len(query), 80)]))
}

// describeAll describes the first ones, and says how many more there are.
func describeAll(all []consumer.Session) string {
	if len(all) == 0 {
		return "somebody who has gone"
	}
	who := make([]string, len(all))
	for i, s := range all {
		who[i] = describe(s)
	}
	return few(who)
}
