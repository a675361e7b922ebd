package readview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
)

// verification is one under way.
type verification struct {
	*replay
	options VerifyOptions
	began   time.Time
	result  Verified
}

func (v *verification) run(ctx context.Context) error {
	fingerprint, err := v.describe(ctx)
	if err != nil {
		return err
	}
	if err := v.open(ctx, fingerprint); err != nil {
		return err
	}
	defer v.report.run(ctx)()
	if v.options.Sample > 0 {
		if v.at > 0 { // another sample was being verified
			if err := v.build(ctx, fingerprint); err != nil {
				return err
			}
		}
		err := v.sample(ctx)
		if !errors.Is(err, errDoubt) && !errors.Is(err, errMeanwhile) {
			return err
		}
		v.logger.InfoContext(ctx, "all rows are verified", "cause", err)
		if err := v.whole(ctx, fingerprint); err != nil {
			return err
		}
	}
	for tries := 1; ; tries++ {
		err := v.once(ctx)
		if !errors.Is(err, errMeanwhile) || tries == 3 {
			return err
		}
		v.logger.InfoContext(ctx, "a verification begins again", "cause", err)
		v.debt = replayDebt{}
		if err := v.build(ctx, fingerprint); err != nil {
			return err
		}
	}
}

// errMeanwhile says that the live tables were given another content than the shadows can have.
var errMeanwhile = errors.New("the projection was reset, or parked events were applied, meanwhile: verify it again")

// stand returns where the live tables are, and reads what they lack up to there.
func (v *verification) stand(ctx context.Context) (eventsourced.Position, error) {
	stored, err := v.m.states.read(ctx, v.Name)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // then it has never run
		return 0, err
	}
	return stored.Position, v.debt.load(ctx, v.m, v.Name)
}

func (v *verification) once(ctx context.Context) error {
	at, err := v.stand(ctx)
	if err != nil {
		return err
	}
	total, err := v.history.count(ctx, 0, at)
	if err != nil {
		return err
	}
	v.report.expect(total, int64(at))
	for range 20 { // what was applied meanwhile, until that is little
		began := time.Now()
		if err := v.replayTo(ctx, at); err != nil {
			return err
		}
		if time.Since(began) < time.Second {
			break
		}
		if at, err = v.stand(ctx); err != nil {
			return err
		}
	}
	v.origin.failpoint("replayed")
	if err := v.tables.Analyze(ctx, v.lock, v.schema); err != nil {
		return err
	}
	if err := v.report.enter(ctx, PhaseComparing); err != nil {
		return err
	}
	return v.compare(ctx)
}

// compare takes a snapshot in which the live tables and the shadows are at one position, and compares them in it while the
// live ones go on.
func (v *verification) compare(ctx context.Context) error {
	if err := v.freeze(ctx); err != nil {
		return err
	}
	defer func() { _, _ = v.lock.Exec(context.WithoutCancel(ctx), `ROLLBACK`) }()
	v.origin.failpoint("compared")
	// What the snapshot has: a migration may have come meanwhile.
	if err := v.tables.Check(ctx, v.lock, v.schema, false, false); err != nil {
		return err
	}
	if _, err := v.lock.Exec(ctx, `SELECT set_config('search_path', $1, true)`, v.tables.LivePath()); err != nil {
		return err
	}
	all, err := v.tables.Compare(ctx, v.lock, v.schema, v.options.First)
	if err != nil {
		return err
	}
	r := &v.result
	r.Projection, r.Position, r.Events, r.Took, r.Warnings = v.Name, v.at, v.replayed(), time.Since(v.began), v.warnings()
	r.Equal = r.Skipped+r.Parked == 0
	for _, c := range all {
		r.Equal = r.Equal && !c.Any()
		r.Tables = append(r.Tables, verifiedTable(c))
	}
	return nil
}

// freeze holds the projection until the shadows are where it is and a snapshot has both.
func (v *verification) freeze(ctx context.Context) error {
	return v.m.held(ctx, v.Name, func(at eventsourced.Position) error {
		if err := v.sameDebt(ctx); err != nil {
			return err
		}
		if at < v.at {
			return errMeanwhile
		}
		if err := v.replayTo(ctx, at); err != nil {
			return err
		}
		stored, err := v.m.states.read(ctx, v.Name)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		v.result.Skipped, v.result.Parked = stored.skipped, stored.parked
		if _, err := v.lock.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ`); err != nil {
			return err
		}
		var one int
		return v.lock.QueryRow(ctx, `SELECT 1 FROM pg_class LIMIT 1`).Scan(&one) // takes the snapshot
	})
}

// sameDebt reads anew what the live tables lack, and returns errMeanwhile when the shadows lack something else.
func (v *verification) sameDebt(ctx context.Context) error {
	before := v.debt.known
	if err := v.debt.load(ctx, v.m, v.Name); err != nil {
		return err
	}
	for _, at := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(v.debt.known)), v.debt.passed) {
		_, then := before[at]
		_, now := v.debt.known[at]
		if at <= v.at && (then != now || !now) {
			return errMeanwhile
		}
	}
	return nil
}

// end removes the shadows and puts on record what came of it.
func (v *verification) end(ctx context.Context, cause error) error {
	phase, text := PhaseDone, v.result.String()
	switch {
	case ctx.Err() != nil:
		phase, cause = PhaseCancelled, fmt.Errorf("%w: %w", ErrCancelled, context.Cause(ctx))
		text = cause.Error()
	case cause != nil:
		phase, text = PhaseFailed, cause.Error()
	}
	if errors.Is(cause, errLostRun) {
		return cause
	}
	if v.schema == "" {
		return v.untold(ctx, cause)
	}
	var result *string
	if cause == nil {
		bare := v.result
		bare.Tables = nil
		for _, t := range v.result.Tables {
			t.First = nil // rows may be anybody's secrets
			bare.Tables = append(bare.Tables, t)
		}
		if encoded, err := json.Marshal(bare); err == nil {
			s := string(encoded)
			result = &s
		}
	}
	mine := 0
	err := wait.Detached(ctx, func(ctx context.Context) error {
		if v.lock == nil || v.lock.Conn().IsClosed() {
			if err := v.reenter(ctx); err != nil {
				return err
			}
		}
		if err := dropSchema(ctx, v.lock, v.schema, v.comment(v.kind)); err != nil {
			return err
		}
		return v.lock.QueryRow(ctx, v.sql.end, v.Name, v.kind, v.id, string(phase), pgerr.Text(text), result).Scan(&mine)
	})
	if err != nil {
		v.logger.WarnContext(ctx, "what a verification has left is not removed yet: readviews cleanup", "error", err)
	}
	if mine == 0 {
		return v.untold(ctx, cause)
	}
	return cause
}

// untold puts on record why one on schedule could not even begin, and returns that.
func (v *verification) untold(ctx context.Context, cause error) error {
	if v.options.scheduled && cause != nil && ctx.Err() == nil {
		v.m.untold(ctx, v.definition, cause)
	}
	return cause
}
