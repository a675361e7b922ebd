package pgstore

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Limits of a [Chain].
const (
	MaxCauses  = 32  // from the event up, and levels of effects from it down
	MaxEffects = 100 // events
)

// Chain is what led to an event and what came of it, as far as the metadata of the log's events
// tell, see [eventsourced.MetaCausation]. The events are without payloads.
type Chain struct {
	Causes    []eventsourced.Recorded // each led to the next one, and the last one to the event
	CausesCut bool                    // there are more than [MaxCauses]
	Origin    string                  // what the first of them, or the event, names as its cause and is no event of this log: a command's id mostly; "" for nothing

	Effects    []Effect              // a tree: each is below what led to it, and those of one cause are in the order of the log
	EffectsCut bool                  // there may be more: beyond [MaxEffects] or [MaxCauses] levels, or above SoughtTo
	Archived   eventsourced.Position // up to there the log is archived, and neither was sought; 0 if it does not matter
	SoughtTo   eventsourced.Position // effects were sought up to there, among [InspectorConfig] Scan events
}

// Effect is an event that came of another one.
type Effect struct {
	eventsourced.Recorded
	Depth int // 1 for what came of the event directly
}

// Chain returns the causes and effects of an event. Causes are found by their ids. There is no index
// by cause, so effects are sought among the events after it, as far as [InspectorConfig] Scan goes, that
// share its correlation or name it as their cause. Errors: [ErrTooLong].
func (i *Inspector) Chain(ctx context.Context, event *eventsourced.Recorded) (chain Chain, err error) {
	err = i.search(ctx, "follow the causes and effects", func(ctx context.Context, tx inspection) error {
		chain = Chain{}
		if err := i.causes(ctx, tx, event, &chain); err != nil {
			return err
		}
		return i.effects(ctx, tx, event, &chain)
	})
	return chain, err
}

func (i *Inspector) causes(ctx context.Context, tx inspection, event *eventsourced.Recorded, chain *Chain) error {
	for {
		cause := event.Metadata[eventsourced.MetaCausation]
		id, err := eventsourced.ParseEventID(cause)
		if err != nil {
			chain.Origin = cause
			break
		}
		found, err := collect(ctx, tx, i.store.sql.listedByID, [16]byte(id))
		if err != nil {
			return err
		}
		// A cause is before its effect, so whatever metadata say, this ends.
		if len(found) == 0 || found[0].Position >= event.Position {
			chain.Origin, chain.Archived = cause, tx.archived
			break
		}
		if chain.CausesCut = len(chain.Causes) == MaxCauses; chain.CausesCut {
			break
		}
		event = &found[0]
		chain.Causes = append(chain.Causes, *event)
	}
	slices.Reverse(chain.Causes)
	return nil
}

func (i *Inspector) effects(ctx context.Context, tx inspection, event *eventsourced.Recorded, chain *Chain) error {
	window := eventsourced.LogQuery{After: event.Position}
	chain.Archived = max(chain.Archived, tx.above(&window))
	last, cut, err := i.reach(ctx, tx, window)
	if err != nil {
		return err
	}
	chain.SoughtTo, chain.EffectsCut = last, cut
	window.UpTo, window.Limit = max(last, window.After), tx.scan
	shared := event.Metadata[eventsourced.MetaCorrelation]
	if shared == "" {
		shared = event.ID.String() // as those have it that came of it
	}
	sql, arguments := i.store.sql.relatives(window, shared, event.ID.String())
	rows, err := tx.Query(ctx, sql, arguments...)
	if err != nil {
		return err
	}
	depths := map[eventsourced.EventID]int{event.ID: 0} // of the event and its effects
	parents, positions := map[eventsourced.Position]eventsourced.EventID{}, []int64{}
	var at int64
	var id [16]byte
	var cause string
	_, err = pgx.ForEachRow(rows, []any{&at, &id, &cause}, func() error {
		parent, err := eventsourced.ParseEventID(cause)
		depth, known := depths[parent]
		switch {
		case err != nil || !known:
		case len(positions) == MaxEffects || depth == MaxCauses:
			chain.EffectsCut = true
		default:
			depths[id] = depth + 1
			parents[eventsourced.Position(at)] = parent
			positions = append(positions, at)
		}
		return nil
	})
	if err != nil || len(positions) == 0 {
		return err
	}
	events, err := collect(ctx, tx, i.store.sql.listedAt, positions)
	chain.Effects = tree(event.ID, events, parents)
	return err
}

// tree puts events, in the order of the log, below what led to them.
func tree(root eventsourced.EventID, events []eventsourced.Recorded, parents map[eventsourced.Position]eventsourced.EventID) (all []Effect) {
	children := map[eventsourced.EventID][]eventsourced.Recorded{}
	for _, event := range events {
		parent := parents[event.Position]
		children[parent] = append(children[parent], event)
	}
	var add func(parent eventsourced.EventID, depth int)
	add = func(parent eventsourced.EventID, depth int) {
		for _, event := range children[parent] {
			all = append(all, Effect{event, depth})
			add(event.ID, depth+1)
		}
	}
	add(root, 1)
	return all
}
