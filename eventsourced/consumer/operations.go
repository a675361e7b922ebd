package consumer

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

const (
	recordSQL = `INSERT INTO {schema}consumer_operations (name, topic, command, actor, arguments, outcome, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)`
	recentSQL = `SELECT id, name, topic, command, actor, arguments::text, outcome, detail, done_at FROM {schema}consumer_operations ORDER BY id DESC LIMIT $1`
)

// Operate has do change something about a consumer, and puts that into the operator log, in one transaction. The actor is
// that of the context, see [eventsourced.WithActor], or else this process. When do fails, nothing has changed, and
// that is in the log as well, as far as the database is there, unless there is no such consumer.
func (s *Store) Operate(ctx context.Context, id ID, command string, arguments map[string]string, do func(tx pgx.Tx) error) error {
	op := Operation{Kind: id.Kind, Name: id.Name, Command: command, Actor: cmp.Or(eventsourced.ContextActor(ctx), DefaultNode()), Arguments: Arguments(ctx, arguments), Outcome: OutcomeDone}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return s.record(ctx, tx, id, op)
	})
	if err != nil && !errors.Is(err, ErrUnknown) {
		op.Outcome, op.Detail = OutcomeFailed, err.Error()
		_ = wait.Detached(ctx, func(ctx context.Context) error { return s.record(ctx, s.pool, id, op) }) // the error is what counts
	}
	return err
}

// executor is a pool or a transaction.
type executor interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

// record writes a line of the operator log.
func (s *Store) record(ctx context.Context, db executor, id ID, op Operation) error {
	arguments := map[string]string{}
	for name, value := range op.Arguments {
		arguments[name] = pgerr.Text(value)
	}
	text, err := json.Marshal(arguments)
	if err == nil {
		_, err = db.Exec(ctx, s.Qualify(recordSQL), id.Name, id.column(), op.Command, pgerr.Text(op.Actor), string(text), string(op.Outcome), pgerr.Text(op.Detail))
	}
	return err
}

// Operations returns the operator log of relays, reactors and consumer groups: the last ones, limit at most, in the order of
// time.
func (s *Store) Operations(ctx context.Context, limit int) ([]Operation, error) {
	rows, err := s.pool.Query(ctx, s.Qualify(recentSQL), limit)
	if err == nil {
		var all []Operation
		if all, err = pgx.CollectRows(rows, scanOperation); err == nil {
			slices.Reverse(all)
			return all, nil
		}
	}
	return nil, s.Explain("read the operator log of the consumers", err)
}

func scanOperation(row pgx.CollectableRow) (op Operation, err error) {
	var topic, arguments string
	err = row.Scan(&op.ID, &op.Name, &topic, &op.Command, &op.Actor, &arguments, &op.Outcome, &op.Detail, &op.Began)
	if err != nil {
		return op, err
	}
	op.Kind, op.Began = idOf(op.Name, topic).Kind, op.Began.UTC()
	op.Ended = op.Began
	return op, json.Unmarshal([]byte(arguments), &op.Arguments)
}
