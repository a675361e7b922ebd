package readview

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/pipeline"
)

// RetryOptions say which parked events to apply. The zero value is for all.
type RetryOptions struct {
	AggregateID   string // only those of streams with this id
	AggregateName string // and of this aggregate; of any if it is ""
}

// Selects tells whether the options are for a stream.
func (o RetryOptions) Selects(stream eventsourced.Stream) bool {
	return (o.AggregateID == "" || o.AggregateID == stream.AggregateID) && (o.AggregateName == "" || o.AggregateName == stream.AggregateName)
}

// RetryResult is what has become of parked events.
type RetryResult struct {
	Applied int           // events
	Failed  []ParkedEvent // the first one of each stream that failed again, with its error
	Left    int           // events that are still parked, of the whole projection
}

// Retry has this program apply the parked events of a projection, each stream's in order, up
// to the first one of each that fails again. Each is applied once, in a transaction of its
// own, whoever else retries, and whether nodes run the projection or not; a stream of which
// nothing is left is applied as it comes again. It stops early with an error that is not an
// event's: of the database, of ctx, [ErrOlderProgram], [ErrNewEvents]; what was applied until
// then counts, and is in the result. It returns [ErrNotParked] when options select nothing,
// and [ErrUnknownProjection].
func (m *Manager) Retry(ctx context.Context, name string, options RetryOptions) (RetryResult, error) {
	r, err := m.runner(name)
	if err != nil {
		return RetryResult{}, err
	}
	arguments := map[string]string{}
	for key, value := range map[string]string{"aggregate": options.AggregateID, "aggregate_name": options.AggregateName} {
		if value != "" {
			arguments[key] = value
		}
	}
	op := m.operation(ctx, name, "retry", arguments)
	retry := &retry{applier: r.apart(), options: options}
	err = m.begin(ctx, &op)
	if err == nil {
		retry.op = op
		err = retry.all(ctx)
	}
	if err != nil {
		err = fmt.Errorf("retry %s: %w", name, explain(err))
	}
	retry.end(ctx, op, err)
	r.wake()
	return retry.result, err
}

// retry is one call of [Manager.Retry].
type retry struct {
	*applier
	options RetryOptions
	op      consumer.Operation
	result  RetryResult
}

// apart returns an applier for what is done beside the pages of this node.
func (a *applier) apart() *applier {
	other := newApplier(a.m, a.definition, a.registry, a.log)
	other.failpoint = a.failpoint
	return other
}

func (r *retry) all(ctx context.Context) error {
	stored, err := r.m.states.read(ctx, r.Name)
	if err == nil {
		err = stored.programs.refusal(ctx, r.log, r.definition, stored.Position)
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // then it has never run
		return err
	}
	db := pipeline.Open(r.m.pool)
	defer func() { _ = db.Close() }()
	stuck := map[eventsourced.Stream]bool{}
	for found := false; ; found = true {
		parked, err := r.m.Parked(ctx, r.Name)
		if err != nil {
			return err
		}
		r.result.Left = len(parked)
		more := false
		for _, event := range parked {
			if stuck[event.Stream] || !r.options.Selects(event.Stream) {
				continue
			}
			more = true
			failed, err := r.event(ctx, db, event)
			if err != nil {
				return err
			}
			if failed {
				stuck[event.Stream] = true
			}
		}
		if !more {
			if !found && r.options != (RetryOptions{}) {
				return ErrNotParked
			}
			return nil
		}
	}
}

// event applies a parked event, and tells whether it has failed again.
func (r *retry) event(ctx context.Context, db *pipeline.DB, event ParkedEvent) (failed bool, err error) {
	p, err := r.pageAt(ctx, event.Position, 0)
	if err == nil {
		err = r.single(ctx, db, p, func(own *pipeline.Turn) error { return r.take(ctx, own, event) }, (*pipeline.Tx).Commit)
	}
	var of *EventError
	switch {
	case err == nil:
		r.result.Applied++
		return false, nil
	case errors.Is(err, errNotParked): // somebody else has applied it, or it was reset
		return false, nil
	case errors.Is(err, errGone), errors.Is(err, errNotKept):
		of = &EventError{Projection: r.Name, Err: err, Event: eventsourced.Recorded{Position: event.Position, Stream: event.Stream,
			EventData: eventsourced.EventData{ID: event.EventID, Name: event.EventName}}}
	case ctx.Err() != nil || !errors.As(err, &of) || r.databaseFault(ctx, of):
		return false, err
	}
	event.Error, event.Stack, event.Statement = of.Error(), of.stack(), of.Statement
	event.Tries++
	r.result.Failed = append(r.result.Failed, event)
	sql, err := r.m.states.sql(ctx)
	if err == nil {
		_, err = r.m.pool.Exec(ctx, sql.parkAgain, r.Name, int64(event.Position), pgerr.Text(event.Error), orNull(event.Stack), orNull(event.Statement))
	}
	return true, err
}

var errNotParked = errors.New("the event is not parked any more")

// take takes an event out of those that are parked, before its handler is called, as that may
// leave the transaction in any state.
func (r *retry) take(ctx context.Context, own *pipeline.Turn, event ParkedEvent) error {
	statements, err := r.m.states.sql(ctx)
	if err != nil {
		return err
	}
	_, err = own.ExecContext(ctx, statements.unpark, r.Name, int64(event.Position))
	if pgerr.DivisionByZero(err) {
		return errNotParked
	}
	if err == nil {
		_, err = own.ExecContext(ctx, statements.operationNote, r.op.ID, fmt.Sprintf("%d applied", r.result.Applied+1))
	}
	return err
}

// end writes into the operator log what has become of it.
func (r *retry) end(ctx context.Context, op consumer.Operation, cause error) {
	op.Detail = fmt.Sprintf("%d applied", r.result.Applied)
	_ = wait.Detached(ctx, func(ctx context.Context) error {
		if parked, err := r.m.Parked(ctx, r.Name); err == nil {
			r.result.Left = len(parked)
			op.Detail += fmt.Sprintf(", %d still parked", len(parked))
		}
		return nil
	})
	first := cause
	if n := len(r.result.Failed); n > 0 {
		first = cmp.Or(cause, error(fmt.Errorf("%d streams failed again: %s", n, r.result.Failed[0].Error)))
	}
	if first != nil {
		op.Outcome = consumer.OutcomeFailed
		op.Detail += "; " + first.Error()
	}
	r.m.end(ctx, op)
}
