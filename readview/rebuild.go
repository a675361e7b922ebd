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

// How says by which way the live tables get the content of the shadow tables.
type How string

const (
	// Apply writes the rows that differ. Nothing else about the tables changes, and no reader waits.
	Apply How = "apply"
	// Swap puts the shadow tables in the place of the live ones. It takes moments whatever differs, waits until the
	// snapshots of before have ended, and is refused when anything depends on the tables.
	Swap How = "swap"
	// Auto swaps when nothing depends on the tables and more than about a third of the rows differ, and applies otherwise.
	Auto How = "auto"
)

// Defaults of [RebuildOptions].
const (
	DefaultKeep     = 24 * time.Hour
	DefaultPatience = time.Minute
)

// RebuildOptions are those of [Manager.Rebuild] and [Manager.Rollback]. The zero value works.
type RebuildOptions struct {
	// How defaults to [Apply], and for a rollback to the way of the rebuild.
	How How

	// Ask is called before the live tables change, with the rows that differ, and says by which way to go on; an error ends
	// the rebuild with all as it was. Rows may have been written since. Defaults to How.
	Ask func(ctx context.Context, plan RebuildPlan) (How, error)

	// Keep is for how long what was there before is kept, for [Manager.Rollback]: it takes as much room as
	// the tables. Negative keeps nothing. Defaults to [DefaultKeep].
	Keep time.Duration

	// Verify refuses to change the live tables, with [ErrDiffers], when rows differ and the program handles the same events as the
	// one that has filled them: then a handler is not deterministic, or somebody has changed rows by hand.
	Verify bool

	// Patience is how long it waits in all for locks and old snapshots at the end, before it gives up with all as it
	// was. Meanwhile nobody waits for it for longer than a second. Defaults to [DefaultPatience].
	Patience time.Duration

	// History is where the events of a projection of [Manager.AddRemote] come from: a Subscriber for this rebuild alone, and the
	// ReplyTo that leads to it. What else it lacks is as in the projection's feed. The Subscriber is not closed.
	History *Feed

	// Progress is told how far it is, twice a second, by one goroutine at a time.
	Progress func(RebuildProgress)

	needed func(ctx context.Context) (bool, error) // asked once nobody else rebuilds; nil is yes
}

// RebuildPlan is what a rebuild is about to do.
type RebuildPlan struct {
	Projection  string
	Events      int64         // that are to be replayed, or have been; -1 when nobody can tell
	Tables      []TableChange // the rows that differ; before a replay only the tables' names are known
	SwapProblem error         // why the tables can't be swapped, nil if they can
}

// TableChange is how many rows of a table a rebuild changes.
type TableChange struct {
	Table                      string
	Rows                       int64 // afterwards
	Inserted, Updated, Deleted int64
}

// Rebuilt is what came of a rebuild or a rollback.
type Rebuilt struct {
	Projection string
	How        How
	Position   eventsourced.Position // of the tables
	Events     int64                 // that were replayed
	Took       time.Duration
	Tables     []TableChange // none after a swap: nobody has counted
	KeptUntil  time.Time     // what was there before; zero when it was not
	Warnings   []string
}

func (o RebuildOptions) withDefaults(how How) (RebuildOptions, error) {
	setDefault(&o.How, how)
	setDefault(&o.Keep, DefaultKeep)
	setDefault(&o.Patience, DefaultPatience)
	var problems []error
	if o.How != Apply && o.How != Swap && o.How != Auto {
		problems = append(problems, fmt.Errorf("readview.RebuildOptions: How is %q, want one of apply, swap, auto", o.How))
	}
	if o.Patience < 0 {
		problems = append(problems, errors.New("readview.RebuildOptions: Patience is negative"))
	}
	return o, errors.Join(problems...)
}

func (o RebuildOptions) arguments() map[string]string {
	return map[string]string{"how": string(o.How), "keep": o.Keep.String(), "verify": fmt.Sprint(o.Verify)}
}

// Rebuild replays the projection's events into shadow tables, at full speed and while the live tables are read and go on, and then
// brings those to the same content, at the same position, in one transaction. Readers see the old rows or the new ones, and never wait.
// The program's own handlers are used, so that a rebuild also brings in what they do otherwise than before, and lets a
// projection go on that has failed or handles new events. A pause stays.
//
// All or nothing: after an error, when ctx ends, and when the process or the server dies, the live tables are untouched, or it is done. What
// a dead process has left is gone on with by the next call, or removed by [Manager.Cleanup].
//
// Handlers must name tables without a schema. What can't work is refused with [ErrImpossible] before anything is made; what only running
// tells, with [ErrEscaped], an [*EventError] or the database's error. Other errors: [ErrUnknownProjection], [ErrNoTables],
// [ErrNoHistory], [ErrRebuilding], [ErrDiffers], [ErrImpatient], [ErrTablesChanged].
func (m *Manager) Rebuild(ctx context.Context, name string, options RebuildOptions) (Rebuilt, error) {
	return m.replace(ctx, name, "rebuild", options)
}

// Rollback goes back to what the last [Manager.Rebuild] or Rollback has replaced, as long as it is kept: it
// is brought from its position to today's beside the live tables, and then takes their content's place like that of a rebuild. What is replaced is kept
// in turn. Run it with the program whose content is to come back: its handlers do the bringing. [ErrNothingKept] says that there is nothing.
func (m *Manager) Rollback(ctx context.Context, name string, options RebuildOptions) (Rebuilt, error) {
	return m.replace(ctx, name, "rollback", options)
}

func (m *Manager) replace(ctx context.Context, name, command string, options RebuildOptions) (Rebuilt, error) {
	r, err := m.runner(name)
	if err != nil {
		return Rebuilt{}, err
	}
	how := Apply
	if command == "rollback" {
		if kept, err := m.states.keptOf(ctx, name); err != nil {
			return Rebuilt{}, fmt.Errorf("rollback %s: %w", name, explain(err))
		} else if len(kept) > 0 {
			how = How(kept[0].how)
		}
	}
	if options, err = options.withDefaults(how); err != nil {
		return Rebuilt{}, err
	}
	op := m.operation(ctx, name, command, options.arguments())
	job, err := m.newRebuild(ctx, r, command, options)
	if errors.Is(err, errStale) {
		return Rebuilt{}, err
	}
	var done Rebuilt
	if err == nil {
		if err = m.begin(ctx, &op); err == nil {
			job.op = op
			done, err = job.run(ctx)
		}
		job.close()
	}
	if err != nil {
		return Rebuilt{}, m.failed(ctx, op, fmt.Errorf("%s %s: %w", command, name, explain(err)))
	}
	r.wake()
	return done, nil
}

// PlanRebuild says what [Manager.Rebuild] would do, and changes nothing. Its errors are those that a rebuild
// finds before it makes anything.
func (m *Manager) PlanRebuild(ctx context.Context, name string, options RebuildOptions) (plan RebuildPlan, err error) {
	r, err := m.runner(name)
	if err != nil {
		return plan, err
	}
	if options, err = options.withDefaults(Apply); err != nil {
		return plan, err
	}
	b, err := m.newRebuild(ctx, r, "rebuild", options)
	if err == nil {
		defer b.close()
		_, err = b.check(ctx)
	}
	if err != nil {
		return plan, fmt.Errorf("rebuild %s: %w", name, explain(err))
	}
	plan = RebuildPlan{Projection: name, Events: -1, SwapProblem: b.swapErr}
	for _, table := range r.Tables {
		plan.Tables = append(plan.Tables, TableChange{Table: table})
	}
	head, err := b.history.head(ctx)
	if err == nil {
		plan.Events, err = b.history.count(ctx, 0, head)
	}
	return plan, err
}

// rebuild is a rebuild or a rollback under way.
type rebuild struct {
	*replay
	options RebuildOptions
	op      consumer.Operation
	began   time.Time
	tries   int           // to lock the tables
	try     time.Duration // for how long to wait for the tables' locks
	swapErr error         // why the tables can't be swapped
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
		lost := pgerr.Lost(err) && ctx.Err() == nil
		if failures++; b.at > reached {
			failures, reached = 1, b.at
		}
		if lost && failures <= 10 && wait.Sleep(ctx, wait.BackOff{First: b.m.config.BackOff, Last: b.m.config.MaxBackOff}.After(failures)) {
			b.logger.WarnContext(ctx, b.command+" lost its connection, and goes on", "error", err)
			if b.reenter(ctx) == nil {
				continue
			}
		}
		return Rebuilt{}, b.abandon(ctx, err)
	}
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
	applyErr := b.tables.Appliable()
	switch {
	case b.options.How == Swap && b.swapErr != nil:
		return "", b.swapErr
	case b.options.How == Apply && applyErr != nil:
		return "", applyErr
	case applyErr != nil && b.swapErr != nil:
		return "", errors.Join(applyErr, b.swapErr)
	}
	b.full = (b.options.How != Apply || b.options.Ask != nil) && b.swapErr == nil
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
	if err := inTx(ctx, b.lock, func(tx pgx.Tx) error { return b.tables.Finish(ctx, tx, b.schema, "") }); err != nil {
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
	if b.tables.Appliable() == nil {
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
	if how == Swap && plan.SwapProblem != nil {
		return plan.SwapProblem
	}
	if how == Apply {
		err = b.tables.Appliable()
	}
	b.options.How = how
	if _, invalid := b.options.withDefaults(Apply); invalid != nil {
		return invalid
	}
	return err
}

func changesOf(changes []shadow.Change) (all []TableChange) {
	for _, c := range changes {
		all = append(all, TableChange(c))
	}
	return all
}
