package readview

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// programs is what is stored of those that run a projection: the event names that the
// newest one handles, and what it follows on.
//
// Of two programs that handle different events only one may apply: what the other one
// does not handle, it would pass over. The one that was started last does, and those
// that it has replaced stand by. A program that starts is taken for newer, except when it
// was replaced before by one that handles more.
type programs struct {
	handled    []string                         // sorted
	dropped    map[string]eventsourced.Position // names that were in handled once, and up to which position
	superseded [][]string                       // what programs had in handled that were replaced
	version    int                              // of the projection, see Projection.Version
	shape      string                           // of its tables, as it began to fill them, "" when nobody has looked
	withdrawn  int                              // the highest version that somebody has gone back from
	topic      *string                          // that it is fed by, nil when it is not known, or it is fed by the log
}

// maxSuperseded bounds what is remembered of older programs.
const maxSuperseded = 32

// lacking returns what the stored program handles and d does not.
func (p programs) lacking(d *definition) []string {
	return slices.DeleteFunc(slices.Clone(p.handled), func(name string) bool { return slices.Contains(d.handled, name) })
}

// older tells that d was replaced by a program that handles more than it.
func (p programs) older(d *definition) error {
	lacking := p.lacking(d)
	if len(lacking) == 0 || !slices.ContainsFunc(p.superseded, func(names []string) bool { return slices.Equal(names, d.handled) }) {
		return nil
	}
	return olderProgramError(d.Name, lacking)
}

func olderProgramError(name string, lacking []string) error {
	if len(lacking) == 0 {
		return fmt.Errorf("%w: %s is run by one that was started later and handles less, and this one stands by as long as that runs", ErrOlderProgram, name)
	}
	return fmt.Errorf("%w: %s is run by one that also handles %s, and this one stands by; to go back to this one, reset %s with it",
		ErrOlderProgram, name, strings.Join(lacking, ", "), name)
}

// replacedBy returns what is stored when d takes over at a position.
func (p programs) replacedBy(d *definition, position eventsourced.Position) programs {
	next := programs{handled: d.handled, dropped: map[string]eventsourced.Position{}}
	for name, upTo := range p.dropped {
		next.dropped[name] = upTo
	}
	for _, name := range p.lacking(d) {
		next.dropped[name] = position
	}
	for _, name := range d.handled {
		delete(next.dropped, name)
	}
	next.superseded = slices.DeleteFunc(append(slices.Clone(p.superseded), p.handled),
		func(names []string) bool { return slices.Equal(names, d.handled) })
	next.superseded = next.superseded[max(0, len(next.superseded)-maxSuperseded):]
	return next
}

func (p programs) superseding() string {
	encoded, _ := json.Marshal(append([][]string{}, p.superseded...))
	return string(encoded)
}

// passedOver returns [ErrNewEvents] when the log has events up to the position that d
// handles and that were passed over.
func (p programs) passedOver(ctx context.Context, log eventsourced.LogReader, d *definition, position eventsourced.Position) error {
	if position == 0 || d.AcceptNewEvents {
		return nil
	}
	var passed []string
	for _, name := range d.handled {
		if slices.Contains(p.handled, name) {
			continue
		}
		after := p.dropped[name]
		if log == nil { // nobody can tell
			passed = append(passed, name)
			continue
		}
		for _, err := range log.ReadLog(ctx, eventsourced.LogQuery{After: after, UpTo: position, Names: []string{name}, Limit: 1}) {
			if err != nil {
				return fmt.Errorf("look for %s in the log: %w", name, err)
			}
			passed = append(passed, name)
		}
	}
	if len(passed) > 0 {
		return newEventsError(d.Name, position, passed)
	}
	return nil
}

// refusal tells why a program with d can't run what is stored: [ErrOlderProgram],
// [ErrChanged], [ErrNewEvents] or [ErrOtherTopic], nil when it can.
func (p programs) refusal(ctx context.Context, log eventsourced.LogReader, d *definition, position eventsourced.Position) error {
	if err := p.otherTopic(d); err != nil && position > 0 {
		return err
	}
	if err := p.versioned(d, position); err != nil {
		return err
	}
	if d.Version != p.version || slices.Equal(p.handled, d.handled) { // of another one nothing is applied yet
		return nil
	}
	if err := p.older(d); err != nil {
		return err
	}
	return p.passedOver(ctx, log, d, position)
}

// otherTopic returns [ErrOtherTopic] when what is stored is fed by another topic than d.
func (p programs) otherTopic(d *definition) error {
	if p.topic == nil || *p.topic == d.topic {
		return nil
	}
	fed := fmt.Sprintf("the topic %q", d.topic)
	if d.topic == "" {
		fed = "the log"
	}
	return fmt.Errorf("%w: the position of %s is one of the topic %q, and this program has it fed by %s: go back to that topic, or reset %s with this program, "+
		"and it reads all from the beginning", ErrOtherTopic, d.Name, *p.topic, fed, d.Name)
}

// fed notes which topic feeds a projection, if nobody has, or nothing was applied of the one before and first says that
// this program has just started.
func (s states) fed(ctx context.Context, d *definition, stored record, first bool) error {
	known := stored.programs.topic != nil && (*stored.programs.topic == d.topic || stored.Position > 0 || !first)
	if d.topic == "" || known {
		return nil
	}
	sql, err := s.sql(ctx)
	if err == nil {
		_, err = s.pool.Exec(ctx, sql.fed, d.Name, stored.Generation, d.topic, stored.programs.topic)
	}
	return err
}

// register makes the rows of a new projection, or lets the program of d take over.
// What the log has is asked for without the lock: as long as the position is the same,
// the answer is.
func (s states) register(ctx context.Context, log eventsourced.LogReader, d *definition) error {
	for {
		stored, err := s.read(ctx, d.Name)
		if err == nil {
			err = stored.programs.refusal(ctx, log, d, stored.Position)
		}
		if err != nil && err != pgx.ErrNoRows { //nolint:errorlint // of read, as it is
			return err
		}
		isNew, moved := err != nil, false
		err = s.locked(ctx, d, func(tx *sql.Tx, sql *statements, position eventsourced.Position) error {
			if isNew {
				return nil // its rows are there now
			}
			if moved = position != stored.Position; moved {
				return nil
			}
			next := stored.programs.replacedBy(d, position)
			dropped, err := json.Marshal(next.dropped)
			if err == nil {
				_, err = tx.ExecContext(ctx, sql.register, d.Name, d.handled, string(dropped), next.superseding(), stored.Generation, d.Version)
			}
			return err
		})
		if err != nil || !moved {
			return err
		}
	}
}
