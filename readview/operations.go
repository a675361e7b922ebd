package readview

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// DefaultOperations is how many operations [Manager.Operations] returns.
const DefaultOperations = 100

// OperationsQuery is what to read of the operator log. The zero value is for the last
// operations on all projections.
type OperationsQuery struct {
	Names  []string // of projections, also of those that are no more. Defaults to all.
	Limit  int      // how many at most, the last ones. Defaults to [DefaultOperations].
	Before int64    // those with a lower ID, to page through all. Defaults to no bound.
}

// Operations returns the operator log: what somebody did to projections, whichever program
// they did it with, in the order in which it began. Resets, pauses and all else that a
// method of [Manager] changes is written in the transaction that changes it, with the actor
// that [eventsourced.WithActor] has put into the context, or else this program's
// [consumer.Config] Node, and with the reason of [consumer.WithReason]. What failed is written by itself, as far as the database is there.
// Of what nodes do on their own accord, it has the events that they park, and what a verification on schedule has found when the one before it found something else.
func (m *Manager) Operations(ctx context.Context, query OperationsQuery) ([]consumer.Operation, error) {
	if query.Limit < 0 || query.Before < 0 {
		return nil, errors.New("readview.OperationsQuery: Limit or Before is negative")
	}
	sql, err := m.states.sql(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := m.pool.Query(ctx, sql.operations, append([]string{}, query.Names...), cmp.Or(query.Limit, DefaultOperations), query.Before)
	if err != nil {
		return nil, fmt.Errorf("read the operator log: %w", explain(err))
	}
	all, err := pgx.CollectRows(rows, scanOperation)
	if err != nil {
		return nil, fmt.Errorf("read the operator log: %w", explain(err))
	}
	slices.Reverse(all)
	return all, nil
}

func scanOperation(row pgx.CollectableRow) (consumer.Operation, error) {
	op := consumer.Operation{Kind: consumer.KindProjection}
	var arguments []byte
	var ended *time.Time
	err := row.Scan(&op.ID, &op.Name, &op.Command, &op.Actor, &arguments, &op.Outcome, &op.Detail, &op.Began, &ended)
	if err != nil {
		return op, err
	}
	op.Began = op.Began.UTC()
	if ended != nil {
		op.Ended = ended.UTC()
	}
	return op, json.Unmarshal(arguments, &op.Arguments)
}

// operation returns what goes into the operator log for a command that is about to be
// carried out.
func (m *Manager) operation(ctx context.Context, name, command string, arguments map[string]string) consumer.Operation {
	return consumer.Operation{
		Kind: consumer.KindProjection, Name: name, Command: command, Arguments: consumer.Arguments(ctx, arguments), Outcome: consumer.OutcomeDone,
		Actor: m.actor(ctx),
	}
}

// actor is who does what is done under ctx.
func (m *Manager) actor(ctx context.Context) string {
	return cmp.Or(eventsourced.ContextActor(ctx), m.config.Node)
}

// Record puts something into the operator log that somebody has done by other means than the manager's methods, such
// as a look at what is hidden from others. name is that of a projection, known here or not; "" is none.
func (m *Manager) Record(ctx context.Context, name, command string, arguments map[string]string) error {
	db := stdlib.OpenDBFromPool(m.pool)
	defer func() { _ = db.Close() }()
	return explain(m.states.record(ctx, db, m.operation(ctx, name, command, arguments)))
}

// RecordWhile puts something into the operator log that somebody does by other means than those methods of the manager that write it
// themselves, such as [Manager.Verify]: as under way, before do is called, and then as done with what do returns about it, or as failed with
// its error, also when ctx has ended. It returns that error, or that of the log's database, and then do was not called.
func (m *Manager) RecordWhile(ctx context.Context, name, command string, arguments map[string]string, do func(context.Context) (detail string, err error)) error {
	op := m.operation(ctx, name, command, arguments)
	if err := m.begin(ctx, &op); err != nil {
		return explain(err)
	}
	detail, err := do(ctx)
	if err != nil {
		return m.failed(ctx, op, err)
	}
	op.Detail = detail
	m.end(ctx, op)
	return nil
}

// begin puts an operation into the operator log that takes long, by itself; record ends it.
func (m *Manager) begin(ctx context.Context, op *consumer.Operation) error {
	begun := *op
	begun.Outcome = consumer.OutcomeUnderWay
	db := stdlib.OpenDBFromPool(m.pool)
	defer func() { _ = db.Close() }()
	id, err := m.states.insertOperation(ctx, db, begun)
	op.ID = id
	return err
}

// failed puts it into the operator log, by itself, that an operation failed, and returns why.
func (m *Manager) failed(ctx context.Context, op consumer.Operation, cause error) error {
	op.Outcome, op.Detail = consumer.OutcomeFailed, cause.Error()
	m.end(ctx, op)
	return cause
}

// end puts an operation into the operator log by itself, or ends there one that begin has put
// into it.
func (m *Manager) end(ctx context.Context, op consumer.Operation) {
	err := wait.Detached(ctx, func(ctx context.Context) error {
		db := stdlib.OpenDBFromPool(m.pool)
		defer func() { _ = db.Close() }()
		return m.states.record(ctx, db, op)
	})
	if err != nil {
		m.config.Logger.WarnContext(ctx, "operator log not written", "projection", op.Name, "command", op.Command, "actor", op.Actor, "error", err)
	}
}

// record puts an operation into the operator log, in the transaction of what it does, or ends
// there one that begin has put into it.
func (s states) record(ctx context.Context, tx Tx, op consumer.Operation) error {
	statements, err := s.sql(ctx)
	if err != nil {
		return err
	}
	if op.ID == 0 {
		_, err = s.insertOperation(ctx, tx, op)
	} else {
		_, err = tx.ExecContext(ctx, statements.operationEnd, op.ID, string(op.Outcome), pgerr.Text(op.Detail))
	}
	if err != nil {
		return fmt.Errorf("write the operator log: %w", err)
	}
	return nil
}

func (s states) insertOperation(ctx context.Context, tx Tx, op consumer.Operation) (id int64, err error) {
	statements, err := s.sql(ctx)
	if err != nil {
		return 0, err
	}
	arguments := map[string]string{}
	for name, value := range op.Arguments {
		arguments[name] = pgerr.Text(value)
	}
	text, err := json.Marshal(arguments)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRowContext(ctx, statements.operation,
		op.Name, op.Command, pgerr.Text(op.Actor), string(text), string(op.Outcome), pgerr.Text(op.Detail)).Scan(&id)
	return id, err
}
