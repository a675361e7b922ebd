package readview

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// openKept makes what is kept the shadows of a rollback, as it was at its position.
func (b *rebuild) openKept(ctx context.Context, fingerprint string) error {
	b.schema = b.workSchema()
	b.debt = replayDebt{try: true}
	if err := b.debt.load(ctx, b.m, b.Name); err != nil {
		return err
	}
	kept, left, err := b.back(ctx, fingerprint)
	if err != nil {
		return err
	}
	if left != nil {
		if resumed, err := b.resume(ctx, left); err != nil {
			return err
		} else if resumed {
			return b.loadBack(ctx)
		}
		if kept, err = b.fits(ctx, fingerprint); err != nil {
			return err
		}
	}
	if err := dropSchema(ctx, b.lock, b.schema, b.comment(b.kind)); err != nil {
		return err
	}
	b.at, b.full = kept.position, kept.how == string(HowSwap) && b.swapErr == nil
	err = inTx(ctx, b.lock, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf(`ALTER SCHEMA %s RENAME TO %s`, quote(kept.schema), quote(b.schema))); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf(`COMMENT ON SCHEMA %s IS %s`, quote(b.schema), shadow.Literal(b.comment(b.kind)))); err != nil {
			return err
		}
		if kept.how == string(HowApply) && !kept.restored {
			if err := b.tables.Restore(ctx, tx, b.schema); err != nil {
				return err
			}
		}
		b.origin.failpoint("restoring")
		if err := b.begin(ctx, tx, fingerprint); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, b.sql.takeKept, b.Name, b.kind); err != nil {
			return err
		}
		for _, sql := range []string{b.sql.takeDebt, b.sql.unkeep} {
			if _, err := tx.Exec(ctx, sql, b.Name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.loadBack(ctx)
}

// back returns what is kept and fits, or what a rollback has left that died and that may be gone on with.
func (b *rebuild) back(ctx context.Context, fingerprint string) (kept keptRecord, left *rebuildRecord, err error) {
	left, err = b.m.states.rebuildOf(ctx, b.Name, b.kind)
	if err != nil {
		return kept, nil, err
	}
	if left != nil && left.ended == nil && left.command == b.command && left.schema == b.workSchema() {
		return kept, left, b.takes("a rollback that died", left.version, left.handled)
	}
	kept, err = b.fits(ctx, fingerprint)
	return kept, nil, err
}

// fits returns what is kept if it can take the place of the live tables.
func (b *rebuild) fits(ctx context.Context, fingerprint string) (kept keptRecord, err error) {
	all, err := b.m.states.keptOf(ctx, b.Name)
	if err != nil {
		return kept, err
	}
	if len(all) == 0 || !all[0].there {
		return kept, ErrNothingKept
	}
	switch kept = all[0]; {
	case kept.fingerprint != fingerprint:
		err = fmt.Errorf("%w since they were kept, by a migration: rebuild instead", ErrTablesChanged)
	case b.takes("what is kept", kept.version, kept.handled) != nil:
		err = b.takes("what is kept", kept.version, kept.handled)
	case kept.topic != nil && *kept.topic != b.topic:
		err = fmt.Errorf("%w: what is kept is of the topic %q; run the rollback with one that has that", ErrOtherProgram, *kept.topic)
	case b.options.How == HowSwap && (kept.how != string(HowSwap) || b.swapErr != nil):
		err = fmt.Errorf("%w: what is kept of an apply can't take the place of the tables: roll back by apply", ErrImpossible)
	}
	if err == nil && b.options.How == HowSwap {
		err = inTx(ctx, b.lock, func(tx pgx.Tx) error { return b.tables.Check(ctx, tx, kept.schema, true, true) })
		if errors.Is(err, ErrTablesChanged) {
			err = fmt.Errorf("%w; what is kept can't take the tables' place any more: roll back by apply", err)
		}
	}
	return kept, err
}

// takes returns why this program can't go on with a rollback to what another one has made.
func (b *rebuild) takes(what string, version int, handled []string) error {
	switch {
	case version != b.Version:
		return fmt.Errorf("%w: %s is of version %d, and this program has version %d; run the rollback with that", ErrOtherProgram, what, version, b.Version)
	case !slices.Equal(handled, b.handled):
		return fmt.Errorf("%w: %s was made by a program that handles %s; run the rollback with that", ErrOtherProgram, what, strings.Join(handled, ", "))
	}
	return nil
}

// putBack keeps again what a rollback has left that did not come to its end, for as long as it was to be kept.
func (p *replay) putBack(ctx context.Context, left *rebuildRecord) error {
	return inTx(ctx, p.lock, func(tx pgx.Tx) error {
		var there bool
		if err := tx.QueryRow(ctx, `SELECT to_regnamespace(quote_ident($1)) IS NOT NULL`, left.schema).Scan(&there); err != nil || !there {
			return err
		}
		kept := shadow.Name(p.tables.Tables[0].Schema+"_kept_"+p.Name, "_"+left.run[:8])
		if tag, err := tx.Exec(ctx, p.sql.putBack, p.Name, p.kind, kept); err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf(`ALTER SCHEMA %s RENAME TO %s`, quote(left.schema), quote(kept))); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf(`COMMENT ON SCHEMA %s IS %s`, quote(kept), shadow.Literal(p.comment("kept")))); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, p.sql.returnDebt, p.Name)
		return err
	})
}

// abandon ends a rebuild that did not get to its end: all is as it was. It returns why.
func (b *rebuild) abandon(ctx context.Context, cause error) error {
	phase := PhaseFailed
	if ctx.Err() != nil {
		phase, cause = PhaseCancelled, fmt.Errorf("%w, all is as it was: %w", ErrCancelled, context.Cause(ctx))
	}
	if errors.Is(cause, errLostRun) {
		return cause
	}
	err := wait.Detached(ctx, func(ctx context.Context) error {
		if b.tables == nil || b.schema == "" {
			return nil // nothing was made
		}
		if b.lock == nil || b.lock.Conn().IsClosed() {
			if err := b.reenter(ctx); err != nil {
				return err
			}
		}
		record, err := b.m.states.rebuildOf(ctx, b.Name, b.kind)
		if err != nil || record == nil || record.run != b.id || record.ended != nil {
			return err
		}
		if b.command == "rollback" {
			err = b.putBack(ctx, record)
		} else {
			err = dropSchema(ctx, b.lock, b.schema, b.comment(b.kind))
		}
		if err != nil {
			return err
		}
		var mine int
		return b.lock.QueryRow(ctx, b.sql.end, b.Name, b.kind, b.id, string(phase), pgerr.Text(cause.Error()), nil).Scan(&mine)
	})
	if err != nil {
		b.logger.WarnContext(ctx, "what a "+b.command+" has left is not removed yet: readviews cleanup", "error", err)
	}
	return cause
}

// dropSchema drops a schema of ours, with its tables and functions, if nothing else depends on them.
func dropSchema(ctx context.Context, conn *pgxpool.Conn, schema, comment string) error {
	return inTx(ctx, conn, func(tx pgx.Tx) error {
		var ours *bool
		err := tx.QueryRow(ctx, `SELECT obj_description(to_regnamespace(quote_ident($1)), 'pg_namespace') IS NOT DISTINCT FROM $2 WHERE to_regnamespace(quote_ident($1)) IS NOT NULL`, schema, comment).Scan(&ours)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if ours == nil || !*ours {
			return fmt.Errorf("%w: the schema %s is in the way and is not ours (it lacks the comment %q): drop or rename it", ErrImpossible, schema, comment)
		}
		rows, err := tx.Query(ctx, `SELECT 'TABLE ' || string_agg(c.oid::regclass::text, ', ') FROM pg_class c WHERE relkind = 'r' AND relnamespace = to_regnamespace(quote_ident($1)) HAVING count(*) > 0
			UNION ALL SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc p WHERE pronamespace = to_regnamespace(quote_ident($1))
			UNION ALL SELECT 'SCHEMA ' || quote_ident($1)`, schema)
		if err != nil {
			return err
		}
		drops, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', '5s', true)`); err != nil {
			return err
		}
		for _, drop := range drops {
			if _, err := tx.Exec(ctx, `DROP `+drop); err != nil {
				return fmt.Errorf("drop schema %s: %w", schema, shadow.Detailed(err))
			}
		}
		return nil
	})
}
