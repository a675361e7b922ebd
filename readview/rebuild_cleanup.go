package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// CleanupOptions are those of [Manager.Cleanup]. The zero value removes what is not needed any more.
type CleanupOptions struct {
	Kept   bool // also what is kept for a rollback and whose time is not over
	DryRun bool // only tell
}

// Leftover is a schema with tables of a rebuild or a verification.
type Leftover struct {
	Projection string
	What       string // "kept", "rebuild", "verify" or "explain"
	Schema     string
	Of         string // which rebuild or the like has made it, when, where, and how far it was; "" when nothing is on record
	Bytes      int64
	Until      time.Time // for how long it is kept; zero when it is of no use
	Busy       bool      // somebody is at it
	Removed    bool
	Problem    error // why it was not removed: something depends on it, which is never dropped along
}

// Cleanup removes what is left of the projection's rebuilds and verifications whose processes have died, and what was kept for a rollback once
// its time is over. It returns everything that there is, and what was removed; the error joins what could not be.
func (m *Manager) Cleanup(ctx context.Context, name string, options CleanupOptions) ([]Leftover, error) {
	r, err := m.runner(name)
	if err != nil {
		return nil, err
	}
	op := m.operation(ctx, name, "cleanup", map[string]string{"kept": fmt.Sprint(options.Kept)})
	conn, err := m.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("cleanup %s: %w", name, err)
	}
	defer func() { // with its locks
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpTimeout)
		defer cancel()
		_ = conn.Conn().Close(ctx)
		conn.Release()
	}()
	all, err := m.cleanup(ctx, conn, r.definition, options.Kept, options.DryRun)
	if err != nil {
		err = fmt.Errorf("cleanup %s: %w", name, explain(err))
	}
	if options.DryRun {
		return all, err
	}
	var removed []string
	for _, l := range all {
		if l.Removed {
			removed = append(removed, l.Schema)
		}
	}
	if err != nil {
		return all, m.failed(ctx, op, err)
	}
	if len(removed) > 0 {
		op.Detail = "removed " + strings.Join(removed, ", ")
		err = m.noteOperation(ctx, op)
	}
	return all, err
}

// noteOperation writes the operator log by itself.
func (m *Manager) noteOperation(ctx context.Context, op consumer.Operation) error {
	return m.states.within(ctx, func(tx *sql.Tx) error { return m.states.record(ctx, tx, op) })
}

// cleanup removes leftovers, with the locks of those who may be at them. conn may have some of the locks already.
func (m *Manager) cleanup(ctx context.Context, conn *pgxpool.Conn, d *definition, kept, dryRun bool) (all []Leftover, err error) {
	statements, err := m.states.sql(ctx)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, kind := range []string{kindRebuild, kindVerify, kindExplain} {
		var free bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 0))`, lockName(kind, statements.schema, d.Name)).Scan(&free); err != nil {
			return nil, err
		}
		if free && !dryRun {
			if err := m.settleRow(ctx, conn, d, kind, statements); err != nil {
				problems = append(problems, err)
			}
		}
		left, err := m.leftovers(ctx, conn, statements.schema, d.Name, kind)
		if err != nil {
			return nil, err
		}
		for i := range left {
			l := &left[i]
			l.Busy = !free
			if l.Busy || dryRun || !l.Until.IsZero() && !kept && time.Now().Before(l.Until) {
				continue
			}
			if l.Problem = dropSchema(ctx, conn, l.Schema, comment(l.What, statements.schema, d.Name)); l.Problem != nil {
				problems = append(problems, l.Problem)
				continue
			}
			l.Removed = true
			if l.What == "kept" && !l.Until.IsZero() {
				if _, err := conn.Exec(ctx, statements.rebuilds.unkeep, d.Name); err != nil {
					return nil, err
				}
			}
		}
		all = append(all, left...)
		if free {
			if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, lockName(kind, statements.schema, d.Name)); err != nil {
				return nil, err
			}
		}
	}
	return all, errors.Join(problems...)
}

// settleRow ends the row of a replay whose process has died. What a rollback was at is kept on.
func (m *Manager) settleRow(ctx context.Context, conn *pgxpool.Conn, d *definition, kind string, statements *statements) error {
	record, err := m.states.rebuildOf(ctx, d.Name, kind)
	if err != nil || record == nil || record.ended != nil {
		return err
	}
	if record.command == "rollback" {
		p := &replay{applier: newApplier(m, d, nil, nil), kind: kind, sql: rebuildSQL{statements.rebuilds, statements.schema}, lock: conn}
		if _, err := p.describe(ctx); err != nil {
			return err
		}
		if err := p.putBack(ctx, record); err != nil {
			return err
		}
	}
	var mine int
	return conn.QueryRow(ctx, statements.rebuilds.end, d.Name, kind, record.run, string(PhaseFailed), "its process ended at "+record.phase, nil).Scan(&mine)
}

// leftovers returns the schemas of a kind that have our comment.
func (m *Manager) leftovers(ctx context.Context, conn *pgxpool.Conn, schema, name, kind string) ([]Leftover, error) {
	whats := []string{comment(kind, schema, name)}
	if kind == kindRebuild {
		whats = append(whats, comment("kept", schema, name))
	}
	kept, err := m.states.keptOf(ctx, name)
	if err != nil {
		return nil, err
	}
	record, err := m.states.rebuildOf(ctx, name, kind)
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `SELECT n.nspname::text, obj_description(n.oid, 'pg_namespace'),
			coalesce((SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r'), 0)::bigint
		FROM pg_namespace n WHERE obj_description(n.oid, 'pg_namespace') = ANY($1) ORDER BY 1`, whats)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Leftover, err error) {
		l.Projection = name
		if err := row.Scan(&l.Schema, &l.What, &l.Bytes); err != nil {
			return l, err
		}
		l.What = strings.Fields(l.What)[1]
		switch {
		case l.What != "kept" && record != nil && record.schema == l.Schema:
			l.Of = fmt.Sprintf("the %s that %s began at %s, which is %s", record.command, consumer.NodeName(record.node), record.started.UTC().Format(time.DateTime), record.phase)
		case l.What == "kept" && len(kept) > 0 && kept[0].schema == l.Schema:
			l.Until = kept[0].until
			l.Of = fmt.Sprintf("what was there before the %s at %s, at position %d", kept[0].how, kept[0].at.UTC().Format(time.DateTime), kept[0].position)
		}
		return l, nil
	})
}
