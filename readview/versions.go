package readview

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// ChangePolicy is what becomes of a projection whose tables have what another version of it
// made, see [Projection.Version].
type ChangePolicy int

const (
	// RefuseWhenChanged has the projection refused, with [ErrChanged], until somebody rebuilds or
	// resets it. What runs the version before goes on.
	RefuseWhenChanged ChangePolicy = iota
	// ResetWhenChanged resets it, once, when the first process with the new version starts:
	// its tables are empty and then incomplete until it has caught up.
	ResetWhenChanged
	// RebuildWhenChanged rebuilds it beside its tables, by one of the processes with the new
	// version: readers notice nothing, and what runs the version before goes on meanwhile.
	RebuildWhenChanged
)

// shapeSQL digests what tables are like: their columns and constraints. Other indexes and
// triggers don't matter to what is in them.
const shapeSQL = `SELECT md5(coalesce(string_agg(line, E'\n' ORDER BY line), '')) FROM (
	SELECT format('%s.%s %s %s %s %s %s', t.name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
		pg_get_expr(d.adbin, d.adrelid)) AS line
	FROM unnest($1::text[]) AS t(name) JOIN pg_attribute a ON a.attrelid = to_regclass(quote_ident(t.name)) AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	UNION ALL
	SELECT format('%s %s', t.name, pg_get_constraintdef(c.oid))
	FROM unnest($1::text[]) AS t(name) JOIN pg_constraint c ON c.conrelid = to_regclass(quote_ident(t.name)) AND c.contype IN ('p', 'u', 'c', 'x')) AS lines`

// shape digests the tables of a projection.
func (s states) shape(ctx context.Context, d *definition) (shape string, err error) {
	if err := s.pool.QueryRow(ctx, shapeSQL, d.Tables).Scan(&shape); err != nil {
		return "", fmt.Errorf("look at the tables of %s: %w", d.Name, err)
	}
	return shape, nil
}

// reshaped returns [ErrChanged] when the tables are not like those that were filled.
func (s states) reshaped(ctx context.Context, d *definition, stored record) error {
	if d.Version == 0 || d.Version != stored.programs.version || stored.Position == 0 || stored.programs.shape == "" {
		return nil
	}
	shape, err := s.shape(ctx, d)
	if err == nil && shape != stored.programs.shape {
		err = fmt.Errorf("%w: the definition of %s is not what it was when version %d of %s began to fill them; %s",
			ErrChanged, strings.Join(d.Tables, ", "), d.Version, d.Name, d.remedy())
	}
	return err
}

// shaped notes what the tables are like that this version begins to fill.
func (s states) shaped(ctx context.Context, d *definition, stored record) error {
	if d.Version == 0 || d.Version != stored.programs.version || stored.programs.shape != "" {
		return nil
	}
	sql, err := s.sql(ctx)
	if err != nil {
		return err
	}
	shape, err := s.shape(ctx, d)
	if err == nil {
		_, err = s.pool.Exec(ctx, sql.shaped, d.Name, stored.Generation, shape)
	}
	return err
}

// remedy names the commands that put up with a change.
func (d *definition) remedy() string {
	return fmt.Sprintf("rebuild it with this program (Manager.Rebuild, 'readviews rebuild %s') or reset it ('readviews reset %s')", d.Name, d.Name)
}

// versioned tells why a program with d can't run what is stored, as far as versions tell.
func (p programs) versioned(d *definition, position eventsourced.Position) error {
	switch {
	case d.Version < p.version:
		return fmt.Errorf("%w: %s has version %d, and this program has %d, which stands by; to go back to it, reset or rebuild %s with it",
			ErrOlderProgram, d.Name, p.version, d.Version, d.Name)
	case d.Version > p.version && d.Version <= p.withdrawn:
		return fmt.Errorf("%w: somebody has gone back to version %d of %s, and version %d stands by; to bring it back, reset or rebuild %s with it",
			ErrOlderProgram, p.version, d.Name, d.Version, d.Name)
	case d.Version > p.version && position > 0:
		return fmt.Errorf("%w: %s has what version %d made, and this program has version %d; %s",
			ErrChanged, d.Name, p.version, d.Version, d.remedy())
	}
	return nil
}

// refused tells that an error says that a projection's tables don't have what this program would
// have there.
func refused(err error) bool {
	return errors.Is(err, ErrNewEvents) || errors.Is(err, ErrChanged) || errors.Is(err, ErrOtherTopic)
}

// remade tells likewise that the projection is made anew then, as its policy says. Another topic may be a slip of the pen: nothing is
// emptied for that.
func (d *definition) remade(err error) bool {
	return refused(err) && d.WhenChanged != RefuseWhenChanged && !errors.Is(err, ErrOtherTopic)
}

// defineVersion checks the version and what is to become of others.
func (d *definition) defineVersion() error {
	var problems []error
	if d.Version < 0 {
		problems = append(problems, errors.New("its Version is negative"))
	}
	switch {
	case d.WhenChanged < RefuseWhenChanged || d.WhenChanged > RebuildWhenChanged:
		problems = append(problems, fmt.Errorf("its WhenChanged is %d, want RefuseWhenChanged, ResetWhenChanged or RebuildWhenChanged", d.WhenChanged))
	case d.WhenChanged == ResetWhenChanged && d.Reset == nil && len(d.Tables) == 0:
		problems = append(problems, errors.New("its WhenChanged is ResetWhenChanged, and it has neither Reset nor Tables"))
	case d.WhenChanged == RebuildWhenChanged && len(d.Tables) == 0:
		problems = append(problems, errors.New("its WhenChanged is RebuildWhenChanged, and it has no Tables"))
	}
	return errors.Join(problems...)
}

// remake carries out the policy for a projection that this program can't run for cause, and tells
// whether it has, or another node meanwhile. What is stored was read before.
func (a *applier) remake(ctx context.Context, stored record, cause error) (done bool, err error) {
	if !a.remade(cause) || stored.status == "paused" || time.Now().Before(a.remakeAt) {
		return false, nil
	}
	a.logger.WarnContext(ctx, "projection is made anew", "because", cause.Error())
	if a.WhenChanged == RebuildWhenChanged {
		return a.rebuildChanged(ctx)
	}
	op := a.m.operation(ctx, a.Name, "reset", map[string]string{"because": cause.Error()})
	err = a.reset(ctx, op, stored.Generation)
	switch {
	case errors.Is(err, errStale):
		return true, nil // another node has
	case err != nil:
		return false, fmt.Errorf("reset %s: %w", a.Name, err)
	}
	a.m.config.Observer.Reset(ctx, a.id())
	return true, nil
}

// rebuildChanged rebuilds the projection. One that fails is not begun again soon: it may read all of the log
// before it does.
func (a *applier) rebuildChanged(ctx context.Context) (done bool, err error) {
	began := time.Now()
	needed := func(ctx context.Context) (bool, error) { // perhaps another node has
		stored, err := a.m.states.read(ctx, a.Name)
		if err == nil {
			cause := stored.programs.refusal(ctx, a.log, a.definition, stored.Position)
			if cause == nil {
				cause = a.m.states.reshaped(ctx, a.definition, stored)
			}
			return a.remade(cause), nil
		}
		return false, err
	}
	_, err = a.m.Rebuild(ctx, a.Name, RebuildOptions{needed: needed})
	switch {
	case err == nil || errors.Is(err, errStale):
		return true, nil
	case ctx.Err() != nil || errors.Is(err, ErrRebuilding): // another node's turn
		return false, nil
	}
	a.remakeAt = time.Now().Add(max(remakePause, 2*time.Since(began)))
	a.logger.ErrorContext(ctx, "projection was not rebuilt", "error", err, "again_at", a.remakeAt)
	return false, nil
}

// remakePause is how long a rebuild that has failed is not tried again at least.
const remakePause = time.Minute
