package readview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// explanation is one under way.
type explanation struct {
	*replay
	options ExplainOptions
	result  Explained
}

func (e *explanation) run(ctx context.Context) error {
	fingerprint, err := e.describe(ctx)
	if err == nil {
		err = e.findTable(ctx)
	}
	if err != nil {
		return err
	}
	stored, err := e.m.states.read(ctx, e.Name)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	e.schema = e.workSchema()
	if err := e.debt.load(ctx, e.m, e.Name); err != nil {
		return err
	}
	if err := e.build(ctx, fingerprint); err != nil {
		return err
	}
	if err := inTx(ctx, e.lock, func(tx pgx.Tx) error { return e.tables.Watch(ctx, tx, e.schema, e.result.Table) }); err != nil {
		return err
	}
	e.before = func(ctx context.Context, tx *pipeline.Tx, it *item) error {
		_, err := tx.Turn(ctx, pipeline.NoEvent).ExecContext(ctx, shadow.MarkSQL, fmt.Sprint(int64(it.recorded.Position)))
		return err
	}
	defer e.report.run(ctx)()
	total, err := e.history.count(ctx, 0, stored.Position)
	if err != nil {
		return err
	}
	e.report.expect(total, int64(stored.Position))
	if err := e.replayTo(ctx, stored.Position); err != nil {
		return err
	}
	e.result.Position = e.at
	return e.steps(ctx)
}

// readOnly runs f in a transaction that takes no writes, for what an operator wrote. To compile the query of a history (jit)
// takes longer than it does.
func (e *explanation) readOnly(ctx context.Context, f func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, e.lock, pgx.TxOptions{BeginQuery: `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off`}, f)
}

// findTable finds the table that the condition is about.
func (e *explanation) findTable(ctx context.Context) error {
	tables := e.Tables
	if e.options.Table != "" {
		if tables = []string{e.options.Table}; !slices.Contains(e.Tables, e.options.Table) {
			return fmt.Errorf("%q is not one of the projection's Tables: %s", e.options.Table, strings.Join(e.Tables, ", "))
		}
	}
	var fits []string
	var problems []error
	for _, table := range tables {
		err := e.readOnly(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `EXPLAIN SELECT FROM `+quote(table)+` WHERE `+shadow.Condition(e.options.Where))
			return err
		})
		if err != nil {
			problems = append(problems, fmt.Errorf("table %s: %w", table, err))
			continue
		}
		fits = append(fits, table)
	}
	switch len(fits) {
	case 0:
		return errors.Join(problems...)
	case 1:
		e.result.Table = fits[0]
		return nil
	}
	return fmt.Errorf("name the table, as several have these columns: %s", strings.Join(fits, ", "))
}

// maxLive is how many of the rows that are there are shown.
const maxLive = 10

// steps reads what was noted.
func (e *explanation) steps(ctx context.Context) error {
	var noted []shadow.Noted
	err := e.readOnly(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT to_jsonb(r.*)::text FROM (SELECT * FROM `+quote(e.result.Table)+` WHERE `+shadow.Condition(e.options.Where)+` LIMIT $1) AS r`, maxLive+1)
		if err != nil {
			return err
		}
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		e.result.MoreLive = len(texts) > maxLive
		for _, text := range texts[:min(len(texts), maxLive)] {
			e.result.Live = append(e.result.Live, json.RawMessage(text))
		}
		noted, err = e.tables.History(ctx, tx, e.schema, e.result.Table, e.options.Where, e.options.Limit+1)
		return err
	})
	if err != nil {
		return err
	}
	if over := len(noted) - e.options.Limit; over > 0 {
		e.result.MoreSteps, noted = true, noted[over:]
	}
	events := map[eventsourced.Position]*eventsourced.Recorded{}
	for _, n := range noted {
		step := Step{Position: eventsourced.Position(n.Position), Op: n.Op, Key: n.Key, Before: n.Before, After: n.After, Columns: columnsOf(n.Before, n.After)}
		event, known := events[step.Position]
		if !known {
			all, err := e.history.at(ctx, step.Position)
			if err != nil {
				return err
			}
			if len(all) > 0 {
				event = &all[0]
			}
			events[step.Position] = event
		}
		step.Event = event
		e.result.Steps = append(e.result.Steps, step)
	}
	return nil
}

// columnsOf are those that differ.
func columnsOf(before, after json.RawMessage) map[string][2]json.RawMessage {
	var old, new map[string]json.RawMessage
	_ = json.Unmarshal(before, &old) // a row is an object, or is not there
	_ = json.Unmarshal(after, &new)
	changed := map[string][2]json.RawMessage{}
	for column, value := range new {
		if old == nil || string(old[column]) != string(value) {
			changed[column] = [2]json.RawMessage{old[column], value}
		}
	}
	for column, value := range old {
		if new == nil {
			changed[column] = [2]json.RawMessage{value, nil}
		}
	}
	return changed
}

// end removes the shadows.
func (e *explanation) end(ctx context.Context, cause error) error {
	phase := PhaseDone
	switch {
	case ctx.Err() != nil:
		phase, cause = PhaseCancelled, fmt.Errorf("%w: %w", ErrCancelled, context.Cause(ctx))
	case cause != nil:
		phase = PhaseFailed
	}
	if e.schema == "" || errors.Is(cause, errLostRun) {
		return cause
	}
	text := fmt.Sprintf("%s of %s", plural(int64(len(e.result.Steps)), "change"), e.result.Table)
	if cause != nil {
		text = cause.Error()
	}
	err := wait.Detached(ctx, func(ctx context.Context) error {
		if e.lock == nil || e.lock.Conn().IsClosed() {
			if err := e.reenter(ctx); err != nil {
				return err
			}
		}
		if err := dropSchema(ctx, e.lock, e.schema, e.comment(e.kind)); err != nil {
			return err
		}
		var mine int
		return e.lock.QueryRow(ctx, e.sql.end, e.Name, e.kind, e.id, string(phase), text, nil).Scan(&mine)
	})
	if err != nil {
		e.logger.WarnContext(ctx, "what an explanation has left is not removed yet: readviews cleanup", "error", err)
	}
	return cause
}
