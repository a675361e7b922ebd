package readview

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// rebuild is a rebuild or a rollback under way.
type rebuild struct {
	*replay
	options RebuildOptions
	op      consumer.Operation
	began   time.Time
	tries   int           // to lock the tables
	try     time.Duration // for how long to wait for the tables' locks
	swapErr error         // why the tables can't be swapped
	notes   []string      // about rows that differ
	result  Rebuilt
}

func (m *Manager) newRebuild(ctx context.Context, r *runner, command string, options RebuildOptions) (*rebuild, error) {
	p, err := m.newReplay(ctx, r, kindRebuild, command, options.History, options.Progress)
	if err != nil {
		return nil, err
	}
	if options.needed != nil {
		if needed, err := options.needed(ctx); err != nil || !needed {
			p.close()
			return nil, errors.Join(err, errStale)
		}
	}
	return &rebuild{replay: p, options: options, began: time.Now()}, nil
}

// run does it. When the connection is lost, it goes on as another process would.
func (b *rebuild) run(ctx context.Context) (Rebuilt, error) {
	failures, reached := 0, eventsourced.Position(-1)
	for {
		err := b.attempt(ctx)
		if err == nil {
			return b.result, nil
		}
		if failures++; b.at > reached {
			failures, reached = 1, b.at
		}
		if !pgerr.Lost(err) || !b.goOn(ctx, err, &failures) {
			return Rebuilt{}, b.abandon(ctx, err)
		}
	}
}

// goOn takes the lock again after a lost connection, as soon as there is a server, and tells whether it has.
func (b *rebuild) goOn(ctx context.Context, cause error, failures *int) bool {
	b.logger.WarnContext(ctx, b.command+" lost its connection, and goes on", "error", cause)
	for ; *failures <= 10 && wait.Sleep(ctx, wait.BackOff{First: b.m.config.BackOff, Last: b.m.config.MaxBackOff}.After(*failures)); *failures++ {
		err := b.reenter(ctx)
		if err == nil || errors.Is(err, ErrRebuilding) {
			return err == nil
		}
	}
	return false
}

// reenter takes the lock on a new connection.
func (p *replay) reenter(ctx context.Context) error {
	p.leave()
	return p.enter(ctx)
}

// attempt goes all the way, from where another attempt has ended.
func (b *rebuild) attempt(ctx context.Context) error {
	if done, err := b.finished(ctx); done || err != nil {
		return err
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	stop := b.report.run(ctx)
	defer stop()
	if err := b.fill(ctx); err != nil {
		return err
	}
	if b.options.Ask != nil {
		if err := b.ask(ctx); err != nil {
			return err
		}
	}
	return b.replaceTables(ctx)
}

// finished tells that an attempt before has committed, and not heard of it.
func (b *rebuild) finished(ctx context.Context) (bool, error) {
	record, err := b.m.states.rebuildOf(ctx, b.Name, b.kind)
	if err != nil || record == nil || record.run != b.id || record.phase != string(PhaseDone) {
		return false, err
	}
	return true, nil
}

// prepare finds out what can't work, before anything is made, and makes the shadows.
func (b *rebuild) prepare(ctx context.Context) error {
	fingerprint, err := b.check(ctx)
	if err != nil {
		return err
	}
	if b.command == "rollback" {
		return b.openKept(ctx, fingerprint)
	}
	return b.open(ctx, fingerprint)
}

// check finds out what can't work.
func (b *rebuild) check(ctx context.Context) (fingerprint string, err error) {
	if fingerprint, err = b.describe(ctx); err != nil {
		return "", err
	}
	if b.swapErr, err = b.tables.Swappable(ctx, b.lock); err != nil {
		return "", err
	}
	applyErr := b.tables.Appliable(b.options.Verify)
	switch {
	case b.options.Verify && applyErr != nil: // rows are told apart by the key
		return "", fmt.Errorf("%w; with Verify that goes for a swap, too: verify before it instead", applyErr)
	case b.options.How == HowSwap && b.swapErr != nil:
		return "", b.swapErr
	case b.options.How == HowApply && applyErr != nil:
		return "", applyErr
	case applyErr != nil && b.swapErr != nil:
		return "", errors.Join(applyErr, b.swapErr)
	}
	b.full = (b.options.How != HowApply || b.options.Ask != nil) && b.swapErr == nil
	return fingerprint, nil
}

// fill brings the shadows to where the live tables are, about.
func (b *rebuild) fill(ctx context.Context) error {
	head, err := b.history.head(ctx)
	if err != nil {
		return err
	}
	left, err := b.history.count(ctx, b.at, head)
	if err != nil {
		return err
	}
	if left >= 0 {
		left += b.events.Load()
	}
	b.report.expect(left, int64(head))
	if err := b.replayTo(ctx, head); err != nil {
		return err
	}
	b.origin.failpoint("replayed")
	if err := b.report.enter(ctx, PhaseIndexing); err != nil {
		return err
	}
	if err := inTx(ctx, b.lock, func(tx pgx.Tx) error { return b.tables.Finish(ctx, tx, b.schema, "", b.full) }); err != nil {
		return err
	}
	b.origin.failpoint("indexed")
	if err := b.tables.Analyze(ctx, b.lock, b.schema); err != nil {
		return err
	}
	if err := b.report.enter(ctx, PhaseCatchingUp); err != nil {
		return err
	}
	return b.catchUp(ctx)
}

// catchUp applies what was appended meanwhile, until that is little.
func (p *replay) catchUp(ctx context.Context) error {
	for range 20 {
		began := time.Now()
		head, err := p.history.head(ctx)
		if err != nil {
			return err
		}
		if err := p.replayTo(ctx, head); err != nil {
			return err
		}
		if time.Since(began) < time.Second {
			break
		}
	}
	p.origin.failpoint("caught up")
	return nil
}

// ask has the caller decide.
func (b *rebuild) ask(ctx context.Context) error {
	plan := RebuildPlan{Projection: b.Name, Events: b.events.Load(), SwapProblem: b.swapErr}
	if b.swapErr == nil && !b.full {
		plan.SwapProblem = fmt.Errorf("%w: the shadow tables were made to be applied", ErrImpossible)
	}
	if err := b.report.enter(ctx, PhaseComparing); err != nil {
		return err
	}
	if b.tables.Appliable(b.options.Verify) == nil {
		tx, err := b.lock.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		if err != nil {
			return err
		}
		changes, err := b.tables.Diff(ctx, tx, b.schema)
		_ = tx.Rollback(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		plan.Tables = changesOf(changes)
	}
	how, err := b.options.Ask(ctx, plan)
	if err != nil {
		return err
	}
	if how == HowSwap && plan.SwapProblem != nil {
		return plan.SwapProblem
	}
	if how == HowApply {
		err = b.tables.Appliable(b.options.Verify)
	}
	b.options.How = how
	if _, invalid := b.options.withDefaults(HowApply); invalid != nil {
		return invalid
	}
	return err
}

func changesOf(changes []shadow.Change) (all []TableChange) {
	for _, c := range changes {
		all = append(all, TableChange{c.Table, c.Rows, c.Inserted, c.Updated, c.Deleted})
	}
	return all
}
