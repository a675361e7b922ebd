package readview

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// How says by which way the live tables get the content of the shadow tables.
type How string

const (
	// HowApply writes the rows that differ. Nothing else about the tables changes, and no reader waits.
	HowApply How = "apply"
	// HowSwap puts the shadow tables in the place of the live ones. It takes moments whatever differs, waits until the
	// snapshots of before have ended, and is refused when anything depends on the tables.
	HowSwap How = "swap"
	// HowAuto swaps when nothing depends on the tables and more than about a third of the rows differ, and applies otherwise.
	HowAuto How = "auto"
)

// Defaults of [RebuildOptions].
const (
	DefaultKeep     = 24 * time.Hour
	DefaultPatience = time.Minute
)

// RebuildOptions are those of [Manager.Rebuild] and [Manager.Rollback]. The zero value works.
type RebuildOptions struct {
	// How defaults to [HowApply], and for a rollback to the way of the rebuild.
	How How

	// Ask is called before the live tables change, with the rows that differ, and says by which way to go on; an error ends
	// the rebuild with all as it was. Rows may have been written since. Defaults to How.
	Ask func(ctx context.Context, plan RebuildPlan) (How, error)

	// Keep is for how long what was there before is kept, for [Manager.Rollback]: it takes as much room as
	// the tables. Negative keeps nothing. Defaults to [DefaultKeep].
	Keep time.Duration

	// Verify refuses to change the live tables, with [ErrDiffers], when rows differ and the program handles the same events as the
	// one that has filled them: then a handler is not deterministic, or somebody has changed rows by hand, or the program can
	// apply now what was skipped or is parked. Columns that [Manager.Verify] leaves out make no difference. It is refused for a table
	// without a key that comes from the events, also when it is to be swapped.
	Verify bool

	// Patience is how long it waits in all for locks and old snapshots at the end, before it gives up with all as it
	// was. Meanwhile nobody waits for it for longer than a second. Defaults to [DefaultPatience].
	Patience time.Duration

	// History is where the events of a projection of [Manager.AddRemote] come from: a Subscriber for this rebuild alone, and the
	// ReplyTo that leads to it. What else it lacks is as in the projection's feed. The Subscriber is not closed. Defaults to what the
	// feed's Subscriber makes, see [Feed].
	History *Feed

	// Progress is told how far it is, twice a second, by one goroutine at a time.
	Progress func(RebuildProgress)

	needed func(ctx context.Context) (bool, error) // asked once nobody else rebuilds; nil is yes
}

// RebuildPlan is what a rebuild is about to do.
type RebuildPlan struct {
	Projection  string
	How         How           // that was asked for
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
	LeftOut    int64                 // of a rebuild: events that failed again, or are behind one of their stream that did, and stay skipped or parked
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
	if o.How != HowApply && o.How != HowSwap && o.How != HowAuto {
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
// projection go on that has failed or handles new events. A pause stays. What was skipped or is parked is tried: what can be applied is no
// debt any more, and what fails again is left out, see [Rebuilt], and stays on record as it was.
//
// No row of another table is changed, but for keys that follow their row (ON UPDATE CASCADE): one that refers to a row which has to go is named, with
// [ErrImpossible], before anything is written.
//
// All or nothing: after an error, when ctx ends, and when the process or the server dies, the live tables are untouched, or it is done. What
// a dead process has left is gone on with by the next call, or removed by [Manager.Cleanup].
//
// Row-level security has to show all rows to the role. Handlers must name tables without a schema. What can't work is refused with [ErrImpossible] before anything is made; what only running
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
	how, err := m.wayOf(ctx, name, command)
	if err != nil {
		return Rebuilt{}, err
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
func (m *Manager) PlanRebuild(ctx context.Context, name string, options RebuildOptions) (RebuildPlan, error) {
	return m.plan(ctx, name, "rebuild", options)
}

// PlanRollback says what [Manager.Rollback] would do, and changes nothing, as [Manager.PlanRebuild] does.
func (m *Manager) PlanRollback(ctx context.Context, name string, options RebuildOptions) (RebuildPlan, error) {
	return m.plan(ctx, name, "rollback", options)
}

func (m *Manager) plan(ctx context.Context, name, command string, options RebuildOptions) (plan RebuildPlan, err error) {
	r, err := m.runner(name)
	if err != nil {
		return plan, err
	}
	how, err := m.wayOf(ctx, name, command)
	if err != nil {
		return plan, err
	}
	if options, err = options.withDefaults(how); err != nil {
		return plan, err
	}
	plan = RebuildPlan{Projection: name, How: options.How, Events: -1}
	b, err := m.newRebuild(ctx, r, command, options)
	if err == nil {
		defer b.close()
		err = b.plan(ctx, &plan)
	}
	if err != nil {
		return RebuildPlan{}, fmt.Errorf("%s %s: %w", command, name, explain(err))
	}
	return plan, nil
}

func (b *rebuild) plan(ctx context.Context, plan *RebuildPlan) error {
	fingerprint, err := b.check(ctx)
	if err != nil {
		return err
	}
	var from eventsourced.Position
	if b.command == "rollback" {
		kept, left, err := b.back(ctx, fingerprint)
		if err != nil {
			return err
		}
		if from = kept.position; left != nil {
			from = left.position
		}
	}
	plan.SwapProblem = b.swapErr
	for _, table := range b.Tables {
		plan.Tables = append(plan.Tables, TableChange{Table: table})
	}
	head, err := b.history.head(ctx)
	if err == nil {
		plan.Events, err = b.history.count(ctx, from, head)
	}
	return err
}

// wayOf is the way of a command that is not told one: a rollback goes that of the rebuild.
func (m *Manager) wayOf(ctx context.Context, name, command string) (How, error) {
	if command != "rollback" {
		return HowApply, nil
	}
	kept, err := m.states.keptOf(ctx, name)
	if err != nil {
		return "", fmt.Errorf("rollback %s: %w", name, explain(err))
	}
	if len(kept) == 0 {
		return HowApply, nil
	}
	return How(kept[0].how), nil
}
