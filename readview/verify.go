package readview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// DefaultFirst is how many rows of a table [Manager.Verify] shows that differ.
const DefaultFirst = 10

// VerifyOptions are those of [Manager.Verify]. The zero value works.
type VerifyOptions struct {
	Events   int                   // for how many of those rows of a table to find the events that have touched them, by another replay that takes two to three times as long. Defaults to none.
	Sample   int                   // how many rows of each table to verify, chosen at random, see [Manager.Verify]. Defaults to all.
	First    int                   // how many of the rows of a table to return that differ. Defaults to [DefaultFirst].
	History  *Feed                 // as in [RebuildOptions]
	Progress func(RebuildProgress) // is told how far it is, twice a second, by one goroutine at a time

	scheduled bool // see [Config.VerifyEvery]
}

// command is what it is called on record.
func (o VerifyOptions) command() string {
	switch {
	case o.scheduled:
		return onSchedule
	case o.Sample > 0:
		return "verify a sample"
	}
	return "verify"
}

// Verify replays the projection's events into shadow tables, up to where the live ones are, and compares them row by row. It never changes the
// live tables, and holds the projection up for moments only. What it has found is also on record, see Verify of [consumer.Status].
//
// With a Sample it takes that many rows of each table, and replays only the events of the streams whose ids are in them, which is
// cheap however long the log is. If these rows are what those events make, that is the result; rows that are missing it does not find.
// If not, other streams may have a part in them: then all is verified, as without a Sample, so that what is called different is.
//
// One on schedule, see [Config.VerifyEvery], gives way to it. What is no function of the events is left out, see [LeftOutColumn]: numbers of a sequence, some of which a page that is rolled back has burnt, differ
// though all is well. Rows are told apart by a unique key without such columns; those of a table that has none are counted. Of a column that refers to such a number, the
// key of the row that it refers to is compared, see [LeftOutColumn].
//
// Its errors are those of [Manager.Rebuild]: then it could not tell. Tables without a key can be verified, other than rebuilt.
func (m *Manager) Verify(ctx context.Context, name string, options VerifyOptions) (Verified, error) {
	r, err := m.runner(name)
	if err != nil {
		return Verified{}, err
	}
	if options.First < 0 || options.Events < 0 || options.Sample < 0 {
		return Verified{}, errors.New("readview.VerifyOptions: First, Events or Sample is negative")
	}
	setDefault(&options.First, DefaultFirst)
	p, err := m.newReplay(ctx, r, kindVerify, options.command(), options.History, options.Progress)
	if err != nil {
		if options.scheduled && ctx.Err() == nil && !errors.Is(err, ErrRebuilding) {
			m.untold(ctx, r.definition, err)
		}
		return Verified{}, fmt.Errorf("verify %s: %w", name, explain(err))
	}
	v := &verification{replay: p, options: options, began: time.Now()}
	err = v.end(ctx, v.run(ctx))
	p.close()
	if err == nil && options.Events > 0 {
		if err := m.touching(ctx, &v.result, options); err != nil { // what was found before it is true all the same
			v.result.Warnings = append(v.result.Warnings, "which events have touched the rows could not be found: "+explain(err).Error())
		}
	}
	if err != nil {
		return Verified{}, fmt.Errorf("verify %s: %w", name, explain(err))
	}
	return v.result, nil
}

// held runs f while the projection stands still at a position, and changes nothing. Nobody but the projection waits for that.
func (m *Manager) held(ctx context.Context, name string, f func(at eventsourced.Position) error) error {
	db := stdlib.OpenDBFromPool(m.pool)
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `SELECT set_config('lock_timeout', $1, true)`, m.config.lockSetting()); err != nil {
		return err
	}
	at, err := m.states.lock(ctx, tx, name)
	if err != nil {
		return err
	}
	return f(at)
}
