package shadow

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

//go:embed dependents.sql
var dependentsSQL string

// Swappable returns, as refused, [ErrImpossible] with what keeps the shadows from taking the place of the live tables.
func (s *Set) Swappable(ctx context.Context, conn Conn) (refused, err error) {
	rows, err := conn.Query(ctx, dependentsSQL, s.oids())
	if err != nil {
		return nil, err
	}
	dependents, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, text := range dependents {
		problems = append(problems, fmt.Errorf("%s, and would stay with the old table", text))
	}
	for _, t := range s.Tables {
		var creates bool
		if err := conn.QueryRow(ctx, `SELECT has_schema_privilege(quote_ident($1), 'CREATE')`, t.Schema).Scan(&creates); err != nil {
			return nil, err
		}
		if !t.Mine {
			problems = append(problems, fmt.Errorf("table %s is not owned by this role", t.Name))
		}
		if !creates {
			problems = append(problems, fmt.Errorf("the role may not make tables in schema %s", t.Schema))
		}
		if t.Schema != s.Tables[0].Schema {
			problems = append(problems, fmt.Errorf("table %s is in schema %s, and %s in %s", t.Name, t.Schema, s.Tables[0].Name, s.Tables[0].Schema))
		}
	}
	if len(problems) > 0 {
		refused = fmt.Errorf("%w: the tables can't be swapped: %w", ErrImpossible, errors.Join(problems...))
	}
	return refused, nil
}

// Snapshot is a transaction that may have a snapshot from before.
type Snapshot struct {
	PID        int32
	VirtualXID string
	Session    consumer.Session
}

// Snapshots returns who has a snapshot of this database now, but the caller. Not in a transaction: it would see
// the same ones each time.
func Snapshots(ctx context.Context, conn Conn) ([]Snapshot, error) {
	rows, err := conn.Query(ctx, `SELECT l.pid, l.virtualxid, coalesce(nullif(application_name, ''), usename, ''), coalesce(state, ''), coalesce(xact_start, 'epoch'),
			coalesce(left(query, 1000), ''), coalesce(query_start, 'epoch'), coalesce(backend_start, 'epoch')
		FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted
			AND a.datname = current_database() AND a.backend_xmin IS NOT NULL AND pid <> pg_backend_pid()`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Snapshot, err error) {
		err = row.Scan(&s.PID, &s.VirtualXID, &s.Session.Application, &s.Session.State, &s.Session.Since, &s.Session.Query, &s.Session.QuerySince, &s.Session.Connected)
		s.Session.PID = int(s.PID)
		return s, err
	})
}

// Left returns those whose transactions have not ended.
func Left(ctx context.Context, conn Conn, snapshots []Snapshot) (left []Snapshot, err error) {
	for _, s := range snapshots {
		var there bool
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'virtualxid' AND mode = 'ExclusiveLock' AND granted AND pid = $1 AND virtualxid = $2)`, s.PID, s.VirtualXID).Scan(&there)
		if err != nil {
			return nil, err
		}
		if there {
			left = append(left, s)
		}
	}
	return left, nil
}

// LockAll keeps everybody else from the live tables, in the transaction of conn. Each wait is bounded; the first one is long enough for an
// autovacuum to give way, and nobody waits behind it. The caller takes the transaction back when it fails, and tries again: in another order each
// time, as readers who lock the tables in the opposite order would be in the way for ever.
func (s *Set) LockAll(ctx context.Context, conn Conn, tries int, patience int64) error {
	var names []string
	for i := range s.Tables {
		names = append(names, s.liveTables(s.Tables[(i+tries/2)%len(s.Tables)]))
	}
	if tries%2 == 1 {
		slices.Reverse(names)
	}
	tables := strings.Join(names, ", ")
	for _, step := range []struct {
		timeout int64
		mode    string
	}{{3000, "SHARE UPDATE EXCLUSIVE"}, {patience, "ACCESS EXCLUSIVE"}} {
		if _, err := conn.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprint(step.timeout)); err != nil {
			return err
		}
		if _, err := conn.Exec(ctx, `LOCK TABLE ONLY `+tables+` IN `+step.mode+` MODE`); err != nil {
			return err
		}
	}
	return nil
}

// Swap moves the live tables to the schema old, which is made, and the shadows to their place, once [Set.LockAll] has locked them.
func (s *Set) Swap(ctx context.Context, conn Conn, schema, old string) error {
	statements := []string{`CREATE SCHEMA ` + quote(old)}
	for _, t := range s.Tables {
		statements = append(statements, `ALTER TABLE `+s.liveTables(t)+` SET SCHEMA `+quote(old), `ALTER TABLE `+quote(schema, t.Name)+` SET SCHEMA `+quote(t.Schema))
	}
	// Statistics stay where they are when their table goes.
	shadows, err := s.shadows(ctx, conn, schema)
	if err != nil {
		return err
	}
	for _, move := range []struct {
		tables []uint32
		to     string
	}{{s.oids(), old}, {shadows, s.Tables[0].Schema}} {
		rows, err := conn.Query(ctx, `SELECT format('ALTER STATISTICS %s.%I SET SCHEMA %I', stxnamespace::regnamespace, stxname, $2::text) FROM pg_statistic_ext WHERE stxrelid = ANY($1::oid[])`, move.tables, move.to)
		if err != nil {
			return err
		}
		moves, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		statements = append(statements, moves...)
	}
	statements = append(statements, `DROP SCHEMA `+quote(schema))
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("swap the tables: %w", Detailed(err))
		}
	}
	return nil
}

// Analyze gathers statistics of the shadows, and spares readers the first look at their rows. Not in a transaction.
func (s *Set) Analyze(ctx context.Context, conn Conn, schema string) error {
	for _, t := range s.Tables {
		if _, err := conn.Exec(ctx, `VACUUM (ANALYZE) `+quote(schema, t.Name)); err != nil {
			return err
		}
	}
	return nil
}

// LivePath is the search path that the live tables are found in.
func (s *Set) LivePath() string { return s.live }

// Literal returns text as SQL has it.
func Literal(text string) string { return literal(text) }

// Detailed adds what the server says besides to an error: what depends on something, above all.
func Detailed(err error) error {
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Detail != "" {
		return fmt.Errorf("%w: %s", err, server.Detail)
	}
	return err
}
