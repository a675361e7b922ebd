package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// Waits for locks at the end of a rebuild. Whoever comes after it to a lock waits as long as it does.
const (
	lockTry   = 100 * time.Millisecond // for a table, the first time; it doubles, as those who come one after the other may leave no gap
	lastTry   = 800 * time.Millisecond // and stays below the server's deadlock_timeout: then this gives way, and no reader
	rowTry    = 2 * time.Second        // for the projection's row, which no reader waits for
	lockPause = 300 * time.Millisecond
)

// errNotYet says that a lock was not to be had: try again.
var errNotYet = errors.New("a lock was not to be had")

// replaceTables gives the live tables the content of the shadows, in one transaction, at equal positions. It tries
// again as long as it has patience.
func (b *rebuild) replaceTables(ctx context.Context) error {
	deadline := time.Now().Add(b.options.Patience)
	var blocked *blockedError // by whom the last try was
	for b.try = lockTry; ; b.try = min(2*b.try, lastTry) {
		how, err := b.decide(ctx)
		if err != nil {
			return err
		}
		if how == HowSwap {
			if err := b.awaitOldSnapshots(ctx, deadline); err != nil {
				if blocked != nil && errors.Is(err, ErrImpatient) {
					err = fmt.Errorf("%w; before that, %w", err, blocked) // snapshots come and go: that may be who was waited for
				}
				return err
			}
		}
		err = b.replaceOnce(ctx, how)
		blocked = nil
		switch {
		case !errors.As(err, &blocked) && !errors.Is(err, errNotYet):
			return err
		case blocked != nil: // also when it was the last try
			b.report.wait(ctx, describeAll(blocked.by), blocked.by)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %w", ErrImpatient, err)
		}
		if !wait.Sleep(ctx, lockPause) {
			return ctx.Err()
		}
		if err := b.catchUp(ctx); err != nil {
			return err
		}
	}
}

// blockedError is errNotYet, with who has the lock.
type blockedError struct {
	what string
	by   []consumer.Session
}

func (e *blockedError) Error() string {
	return fmt.Sprintf("%s is locked by %s", e.what, describeAll(e.by))
}

// decide says by which way to go.
func (b *rebuild) decide(ctx context.Context) (How, error) {
	if b.options.How != HowAuto {
		return b.options.How, nil
	}
	switch {
	case !b.full:
		return HowApply, nil
	case b.tables.Appliable(b.options.Verify) != nil:
		return HowSwap, nil
	}
	if err := b.report.enter(ctx, PhaseComparing); err != nil {
		return "", err
	}
	var changes []shadow.Change
	err := inTx(ctx, b.lock, func(tx pgx.Tx) (err error) {
		changes, err = b.tables.Diff(ctx, tx, b.schema)
		return err
	})
	if err != nil {
		return "", err
	}
	var rows, differ int64
	for _, c := range changes {
		rows += c.Rows + c.Deleted
		differ += c.Inserted + c.Updated + c.Deleted
	}
	if differ*100 > rows*30 {
		return HowSwap, nil
	}
	return HowApply, nil
}

// replaceOnce tries once. The projection's row is locked first, so that the live tables stand still; readers go on.
func (b *rebuild) replaceOnce(ctx context.Context, how How) error {
	db := stdlib.OpenDBFromPool(b.m.pool)
	defer func() { _ = db.Close() }()
	session, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer giveUp(session)
	var conn *pgx.Conn
	if err := session.Raw(func(c any) error { conn = c.(*stdlib.Conn).Conn(); return nil }); err != nil {
		return err
	}
	// database/sql would roll back beside us when ctx ends.
	tx, err := session.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to do after a commit
	before, err := b.hold(ctx, tx, conn, how)
	if err != nil {
		return err
	}
	b.origin.failpoint("held")
	if how == HowSwap {
		err = b.swap(ctx, conn, before)
	} else {
		err = b.writeDifference(ctx, conn, before)
	}
	if err != nil {
		return err
	}
	if err := b.conclude(ctx, tx, how); err != nil {
		return err
	}
	b.origin.failpoint("replaced")
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	b.origin.failpoint("concluded")
	b.afterwards(ctx)
	return nil
}

// hold locks the projection, brings the shadows to where it is, and makes sure that all is as it was. It returns where the live
// tables are.
func (b *rebuild) hold(ctx context.Context, tx *sql.Tx, conn *pgx.Conn, how How) (at eventsourced.Position, err error) {
	settings := `SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', '0', true), set_config('statement_timeout', '0', true), set_config('synchronous_commit', 'on', true)`
	if _, err := conn.Exec(ctx, settings, strconv.FormatInt(rowTry.Milliseconds(), 10)); err != nil {
		return 0, err
	}
	who := b.whoIsInTheWay(ctx, conn.PgConn().PID(), rowTry/2)
	at, err = b.m.states.lock(ctx, tx, b.Name)
	if by := who(); pgerr.LockTimeout(err) {
		return 0, &blockedError{"the position of " + b.Name, by}
	}
	if err != nil {
		return 0, err
	}
	statements, err := b.m.states.sql(ctx)
	if err == nil {
		_, err = tx.ExecContext(ctx, statements.insertState, b.Name, b.handled, b.Version)
	}
	if err != nil {
		return 0, err
	}
	head, err := b.history.head(ctx)
	if err != nil {
		return 0, err
	}
	// A position above the log's head is of another log: then the tables are of this one from now on.
	if err := b.replayTo(ctx, min(at, head)); err != nil {
		return 0, err
	}
	err = b.tables.Check(ctx, conn, b.schema, how == HowSwap, true)
	if err == nil {
		_, err = conn.Exec(ctx, `SELECT set_config('search_path', $1, true)`, b.tables.LivePath())
	}
	return at, err
}

// writeDifference writes the difference.
func (b *rebuild) writeDifference(ctx context.Context, conn *pgx.Conn, before eventsourced.Position) error {
	if err := b.report.enter(ctx, PhaseApplying); err != nil {
		return err
	}
	who := b.whoIsInTheWay(ctx, conn.PgConn().PID(), rowTry/2)
	err := b.writeRows(ctx, conn)
	switch by := who(); {
	case pgerr.LockTimeout(err):
		return &blockedError{"rows of one of the tables " + strings.Join(b.Tables, ", "), by}
	case pgerr.Deadlock(err):
		return errNotYet
	case err != nil:
		return err
	}
	b.origin.failpoint("applied rows")
	return b.keep(ctx, conn, HowApply, before, b.schema)
}

func (b *rebuild) writeRows(ctx context.Context, conn *pgx.Conn) error {
	changes, err := b.tables.Diff(ctx, conn, b.schema)
	if err != nil {
		return err
	}
	b.found(changes)
	if err := b.explained(ctx, changes); err != nil {
		return err
	}
	b.origin.failpoint("compared")
	err = b.tables.Apply(ctx, conn, b.schema, b.options.Keep > 0)
	if b.command == "rebuild" && b.swapErr == nil && (pgerr.Violated(err) || errors.Is(err, shadow.ErrNotEqual)) {
		err = fmt.Errorf("%w; nothing depends on the tables, so they can be swapped: --how=swap", err)
	}
	return err
}

// found notes which rows differ.
func (b *rebuild) found(changes []shadow.Change) {
	b.result.Tables, b.notes = changesOf(changes), nil
	for _, c := range changes {
		if c.Renumbered > 0 {
			b.notes = append(b.notes, fmt.Sprintf("%s: %s had other numbers of a sequence in %s, and nothing else that differs; verify leaves that out",
				c.Table, plural(c.Renumbered, "row"), strings.Join(c.Drawn, ", ")))
		}
	}
}

// explained returns [ErrDiffers] when it was asked to verify and rows differ although the program is the same. Numbers that
// sequences have drawn are no difference, as in a verification.
func (b *rebuild) explained(ctx context.Context, changes []shadow.Change) error {
	if !b.options.Verify {
		return nil
	}
	var differ []string
	for _, c := range changes {
		if c.Updated -= c.Renumbered; c.Any() {
			text := fmt.Sprintf("%s: %s lacking, %d different, %d too many", c.Table, plural(c.Inserted, "row"), c.Updated, c.Deleted)
			for _, column := range leftOut(c.LeftOut) {
				text += ", left out " + column.String()
			}
			differ = append(differ, text)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	stored, err := b.m.states.read(ctx, b.Name)
	if err != nil {
		return err
	}
	if !stored.programs.same(b.definition) {
		return nil
	}
	cause := "a handler is not deterministic, or somebody has changed rows by hand (see verify)"
	owed, err := b.owed(ctx)
	if err != nil {
		return err
	}
	if owed != "" {
		cause = owed + ", which can be applied now: the live tables lack that; whether anything else differs, verify tells"
	}
	return fmt.Errorf("%w: %s; %s", ErrDiffers, strings.Join(differ, "; "), cause)
}

// same tells that the tables were filled by a program as d.
func (p programs) same(d *definition) bool {
	return p.version == d.Version && len(p.lacking(d)) == 0 && len(p.handled) == len(d.handled) && p.otherTopic(d) == nil
}

// keep puts aside what is replaced, in a schema of its own, or notes that nothing is.
func (b *rebuild) keep(ctx context.Context, conn shadow.Conn, how How, before eventsourced.Position, schema string) error {
	b.result.KeptUntil = time.Time{}
	if _, err := conn.Exec(ctx, fmt.Sprintf(`COMMENT ON SCHEMA %s IS %s`, quote(schema), shadow.Literal(b.comment("kept")))); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, b.sql.unkeep, b.Name); err != nil || b.options.Keep < 0 { // then it is removed afterwards
		return err
	}
	kept := shadow.Name(b.tables.Tables[0].Schema+"_kept_"+b.Name, "_"+b.id[:8])
	if schema != kept {
		if _, err := conn.Exec(ctx, fmt.Sprintf(`ALTER SCHEMA %s RENAME TO %s`, quote(schema), quote(kept))); err != nil {
			return err
		}
	}
	b.result.KeptUntil = time.Now().Add(b.options.Keep).UTC()
	record, err := b.m.states.read(ctx, b.Name)
	handled, version := record.programs.handled, record.programs.version
	if errors.Is(err, pgx.ErrNoRows) || handled == nil {
		handled, version, err = b.handled, b.Version, nil
	}
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, b.sql.keepDebt, b.Name); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, b.sql.keep, b.Name, kept, string(how), int64(before), b.print, handled, b.options.Keep.Microseconds(), version)
	return err
}

// conclude sets what belongs to the new content: the position, the program, the records.
func (b *rebuild) conclude(ctx context.Context, tx *sql.Tx, how How) error {
	if err := b.m.states.set(ctx, tx, b.Name, b.at); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, b.sql.rebuilt, b.Name, b.handled, b.Version); err != nil {
		return err
	}
	if err := b.settleDebt(ctx, tx); err != nil {
		return err
	}
	b.result.Projection, b.result.How, b.result.Position = b.Name, how, b.at
	b.result.Events, b.result.Took, b.result.Warnings = b.replayed(), time.Since(b.began), append(b.warnings(), b.notes...)
	if b.command != "rollback" {
		b.result.LeftOut = int64(len(b.debt.passed))
	}
	text := b.result.String()
	b.op.Detail = text
	if err := b.m.states.record(ctx, tx, b.op); err != nil {
		return err
	}
	var mine int
	if err := tx.QueryRowContext(ctx, b.sql.end, b.Name, b.kind, b.id, string(PhaseDone), text, nil).Scan(&mine); err != nil {
		return err
	}
	if mine == 0 {
		return errLostRun
	}
	return nil
}

// String is the result in a line.
func (r Rebuilt) String() string {
	var inserted, updated, deleted int64
	for _, t := range r.Tables {
		inserted, updated, deleted = inserted+t.Inserted, updated+t.Updated, deleted+t.Deleted
	}
	text := fmt.Sprintf("%s replayed up to position %d in %s, ", plural(r.Events, "event"), r.Position, r.Took.Round(time.Millisecond))
	if r.How == HowSwap {
		text += "tables swapped"
	} else {
		text += fmt.Sprintf("%s inserted, %d updated, %d deleted", plural(inserted, "row"), updated, deleted)
	}
	if r.LeftOut > 0 {
		text += "; left out as they fail again, and still skipped or parked: " + plural(r.LeftOut, "event")
	}
	return text
}

// afterwards removes what is not needed any more. What can't be removed now is for [Manager.Cleanup].
func (b *rebuild) afterwards(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	b.m.config.Observer.Rebuilt(ctx, b.applier.id(), b.result.Took)
	if _, err := b.m.cleanup(ctx, b.lock, b.definition, false, false); err != nil {
		b.logger.WarnContext(ctx, "what a "+b.command+" has left is not removed yet: readviews cleanup", "error", err)
	}
	b.logger.InfoContext(ctx, b.command+" done", "how", string(b.result.How), "position", int64(b.result.Position), "events", b.result.Events, "duration", b.result.Took.Round(time.Millisecond))
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
