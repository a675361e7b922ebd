package readview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// Rehearsal is what the handler of an event would do.
type Rehearsal struct {
	Position   eventsourced.Position
	EventID    eventsourced.EventID
	EventName  string
	Applied    bool        // the projection is past it: it was applied once more, to the tables of today
	Statements []Statement // that the handler has executed, in order
	Changes    []Change    // of rows of the projection's Tables, in order
	Unseen     []string    // what Changes lacks, and why
	Error      string      // what it fails with; "" when it would be applied
	Detail     string      // what the database has added to that, such as the key that is there already; it may have values of rows
	Stack      string      // of a panic
	Statement  string      // that it fails with, if the error is of the database
}

// Statement is one that a handler has executed.
type Statement struct {
	SQL   string
	Args  []string
	Rows  int64  // that it returned or changed
	Error string // "" if it did not fail
}

// Change is what happened to a row.
type Change struct {
	Table  string          `json:"table"`
	Op     string          `json:"op"`  // INSERT, UPDATE, DELETE, or TRUNCATE of the whole table
	Before json.RawMessage `json:"old"` // the row by column; null when there was none
	After  json.RawMessage `json:"new"` // likewise
}

// DryRun has this program apply the event at a position, of the one at which the projection
// stands when position is 0, in a transaction that is rolled back. It shows what the handler
// does and what it fails with, also what only the commit would bring to light. What it did to
// rows before it failed is shown, too. The tables are what they are now.
//
// While it runs, the projection stands still, and its Tables take no writes but the
// handler's; reads go on. Sequences that it uses are advanced. It waits for locks no longer
// than [Config.LockTimeout]; ctx bounds all of it. It returns an error when it could not be
// tried: [ErrNotThere] when position is 0 and no event has failed, [ErrUnknownProjection], an event that
// is gone or that the projection does not handle, or the database's.
func (m *Manager) DryRun(ctx context.Context, name string, position eventsourced.Position) (*Rehearsal, error) {
	r, err := m.runner(name)
	if err != nil {
		return nil, err
	}
	rehearsal, err := r.apart().rehearse(ctx, position)
	if err != nil {
		return nil, fmt.Errorf("dry-run of %s: %w", name, explain(err))
	}
	return rehearsal, nil
}

func (a *applier) rehearse(ctx context.Context, position eventsourced.Position) (*Rehearsal, error) {
	stored, position, err := a.find(ctx, position)
	if err != nil {
		return nil, err
	}
	p, err := a.pageAt(ctx, position, stored.Generation)
	if err != nil {
		return nil, err
	}
	event := &p.items[0].recorded
	if err := a.handles(&p.items[0]); err != nil {
		return nil, err
	}
	seen := &witness{}
	pool, err := seen.pool(ctx, a.m.pool)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	db := pipeline.Open(pool)
	defer func() { _ = db.Close() }()
	ctx = context.WithValue(ctx, ownKey{}, true)
	err = a.single(ctx, db, p,
		func(own *pipeline.Turn) error { return seen.watch(ctx, own, a.Tables) },
		func(tx *pipeline.Tx, _ int) error {
			own := tx.Turn(ctx, pipeline.NoEvent)
			if err := seen.undeclared(ctx, own, a.Tables); err != nil {
				return err
			}
			_, err := own.ExecContext(ctx, `SET CONSTRAINTS ALL IMMEDIATE`) // as the commit does
			return err
		})
	seen.mu.Lock()
	defer seen.mu.Unlock()
	result := &Rehearsal{Position: position, EventID: event.ID, EventName: event.Name, Statements: seen.statements, Changes: seen.changes, Unseen: seen.unseen,
		Applied: stored.Position >= position}
	var failed *EventError
	switch {
	case err == nil:
		return result, nil
	case ctx.Err() != nil, !errors.As(err, &failed):
		return nil, err
	}
	result.Error, result.Detail, result.Stack, result.Statement = failed.Err.Error(), pgerr.Detail(failed.Err), failed.stack(), failed.Statement
	return result, nil
}

// handles returns an error when there is no handler for an event that decodes.
func (a *applier) handles(it *item) error {
	for _, part := range it.parts {
		if _, has := a.handlers[part.Recorded.Name]; has {
			return nil
		}
	}
	if it.err != nil {
		return nil
	}
	return fmt.Errorf("the projection does not handle %s", it.recorded.Name)
}

// changesSQL makes a function that tells the client of each row that a trigger of it sees. What
// it tells is not taken back with the transaction, and no setting suppresses it.
const changesSQL = `CREATE FUNCTION pg_temp.readview_changes() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
	RAISE INFO USING MESSAGE = 'readview:' || jsonb_build_object('table', TG_TABLE_NAME, 'op', TG_OP,
		'old', CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END, 'new', CASE WHEN TG_OP IN ('INSERT', 'UPDATE') THEN to_jsonb(NEW) END)::text;
	RETURN NULL; END$$`

// watch has the changes of tables told, in a transaction that is rolled back.
func (w *witness) watch(ctx context.Context, own *pipeline.Turn, tables []string) error {
	if len(tables) == 0 {
		w.unseen = append(w.unseen, "changes of rows: the projection does not declare its Tables")
		return nil
	}
	statements := []string{"SAVEPOINT readview_watch", changesSQL}
	for _, table := range tables {
		name := pgx.Identifier{table}.Sanitize()
		statements = append(statements,
			`CREATE TRIGGER zz_readview_changes AFTER INSERT OR UPDATE OR DELETE ON `+name+` FOR EACH ROW EXECUTE FUNCTION pg_temp.readview_changes()`,
			`CREATE TRIGGER zz_readview_emptied AFTER TRUNCATE ON `+name+` FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.readview_changes()`)
	}
	for _, statement := range statements {
		_, err := own.ExecContext(ctx, statement)
		if err == nil {
			continue
		}
		if pgerr.Code(err) == "" || pgerr.Retryable(err) {
			return err
		}
		w.unseen = append(w.unseen, "changes of rows: "+err.Error())
		_, err = own.ExecContext(ctx, "ROLLBACK TO SAVEPOINT readview_watch")
		return err
	}
	return nil
}

// undeclared notes which tables the transaction has written that are not declared: those have
// no trigger.
func (w *witness) undeclared(ctx context.Context, own *pipeline.Turn, tables []string) error {
	if len(tables) == 0 {
		return nil
	}
	rows, err := own.QueryContext(ctx, `SELECT c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
		WHERE l.pid = pg_backend_pid() AND l.mode = 'RowExclusiveLock' AND c.relkind IN ('r', 'p') AND c.relnamespace <> 'pg_catalog'::regnamespace
			AND c.relname <> ALL($1) AND c.relname <> ALL(ARRAY['readviews', 'readview_states']) ORDER BY 1`, append([]string{}, tables...))
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return err
		}
		w.unseen = append(w.unseen, fmt.Sprintf("changes of rows of %q, which is not one of the projection's Tables", table))
	}
	return rows.Err()
}

// pool returns one like the application's, of one connection, that tells the witness what goes
// on there.
func (w *witness) pool(ctx context.Context, like *pgxpool.Pool) (*pgxpool.Pool, error) {
	config := like.Config()
	config.MaxConns, config.MinConns, config.MinIdleConns = 1, 0, 0
	config.ConnConfig.Tracer = w
	config.ConnConfig.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		if text, ours := strings.CutPrefix(notice.Message, "readview:"); ours {
			w.change([]byte(text))
		}
	}
	return pgxpool.NewWithConfig(ctx, config)
}
