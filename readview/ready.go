package readview

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Verdict is what becomes of a projection when this program runs it.
type Verdict string

const (
	// VerdictReady is of one that goes on where it is.
	VerdictReady Verdict = "ready"
	// VerdictNew is of one that nobody has run: it begins with the first event.
	VerdictNew Verdict = "new"
	// VerdictRefused is of one that does not run until somebody rebuilds or resets it.
	VerdictRefused Verdict = "refused"
	// VerdictReset is of one that is reset as it starts.
	VerdictReset Verdict = "reset"
	// VerdictRebuild is of one that is rebuilt as it starts, while readers see what there is.
	VerdictRebuild Verdict = "rebuild"
	// VerdictStandby is of one of which a newer version runs.
	VerdictStandby Verdict = "standby"
	// VerdictNoTable is of one whose tables are missing: the migrations come first.
	VerdictNoTable Verdict = "no table"
)

// Readiness says whether a program may go live with a projection.
type Readiness struct {
	Name     string
	Verdict  Verdict
	Version  int   // of this program's projection
	Deployed int   // of what is in the tables
	Err      error // why it does not just go on: [ErrChanged], [ErrNewEvents], [ErrOtherTopic], [ErrOlderProgram], [ErrNoTable]; nil when it does
}

// OK tells that it goes live without a reset or a rebuild.
func (r Readiness) OK() bool { return r.Verdict == VerdictReady || r.Verdict == VerdictNew }

// Ready tells for each projection, in the order of Add, what would become of it if this program
// ran it, and changes nothing: a deployment asks before it goes live. What the projections of a
// feed have missed it can't tell.
func (m *Manager) Ready(ctx context.Context) ([]Readiness, error) {
	var all []Readiness
	for _, name := range m.Names() {
		r, err := m.runner(name)
		if err != nil {
			return nil, err
		}
		ready, err := r.ready(ctx)
		if err != nil {
			return nil, fmt.Errorf("ready of %s: %w", name, explain(err))
		}
		all = append(all, ready)
	}
	return all, nil
}

func (r *runner) ready(ctx context.Context) (Readiness, error) {
	ready := Readiness{Name: r.Name, Verdict: VerdictReady, Version: r.Version}
	if err := r.m.missingTables(ctx, r.definition); errors.Is(err, ErrNoTable) {
		ready.Verdict, ready.Err = VerdictNoTable, err
		return ready, nil
	} else if err != nil {
		return ready, err
	}
	stored, err := r.m.states.read(ctx, r.Name)
	if errors.Is(err, pgx.ErrNoRows) {
		ready.Verdict = VerdictNew
		return ready, nil
	}
	if err != nil {
		return ready, err
	}
	ready.Deployed = stored.programs.version
	err = stored.programs.refusal(ctx, r.log, r.definition, stored.Position)
	if err == nil {
		err = r.m.states.reshaped(ctx, r.definition, stored)
	}
	switch {
	case err == nil:
		return ready, nil
	case errors.Is(err, ErrOlderProgram):
		ready.Verdict = VerdictStandby
	case !refused(err):
		return ready, err
	default:
		policy := r.WhenChanged
		if !r.remade(err) {
			policy = RefuseWhenChanged
		}
		ready.Verdict = [...]Verdict{VerdictRefused, VerdictReset, VerdictRebuild}[policy]
	}
	ready.Err = err
	return ready, nil
}
