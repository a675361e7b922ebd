package readview

import (
	"context"
	"errors"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// sample verifies some rows only: by a replay of the streams whose ids are in them. It returns errDoubt when it can't tell
// that all is well, as other streams make a row, too.
func (v *verification) sample(ctx context.Context) error {
	history, ofLog := v.history.(*logHistory)
	if !ofLog {
		return fmt.Errorf("%w: a sample is replayed from the log, and the events come from elsewhere", errDoubt)
	}
	texts, ok, err := v.tables.Sample(ctx, v.lock, v.schema, v.options.Sample)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: a table has no rows, or no key", errDoubt)
	}
	if history.s.streams, err = v.streamsOf(ctx, texts); err != nil {
		return err
	}
	if err := v.once(ctx); err != nil {
		if failedEvent(err) != nil { // it wants rows that other streams make
			return fmt.Errorf("%w: %w", errDoubt, err)
		}
		return err
	}
	for _, t := range v.result.Tables {
		if t.Missing+t.Extra+t.Differing > 0 {
			return fmt.Errorf("%w: some rows are not what the events of these streams alone make", errDoubt)
		}
		v.result.Sampled += t.Rows
	}
	return nil
}

// errDoubt says that a sample can't tell.
var errDoubt = errors.New("a sample can't tell")

// whole verifies all rows, after a sample.
func (v *verification) whole(ctx context.Context, fingerprint string) error {
	if history, ofLog := v.history.(*logHistory); ofLog {
		history.s.streams = nil
	}
	v.tables.WholeTables()
	v.result = Verified{}
	return v.build(ctx, fingerprint)
}

// streamsOf are all that may have one of the ids, of the aggregates whose events the projection handles. Most of them are not there.
func (v *verification) streamsOf(ctx context.Context, ids []string) (streams []eventsourced.Stream, err error) {
	aggregates := map[string]bool{}
	for _, name := range v.handled {
		for recorded, err := range v.m.log.ReadLog(ctx, eventsourced.LogQuery{Names: []string{name}, Limit: 1}) {
			if err != nil {
				return nil, err
			}
			aggregates[recorded.Stream.AggregateName] = true
		}
	}
	for aggregate := range aggregates {
		for _, id := range ids {
			if len(id) <= eventsourced.MaxName {
				streams = append(streams, eventsourced.Stream{AggregateName: aggregate, AggregateID: id})
			}
		}
	}
	if len(streams) == 0 {
		return nil, fmt.Errorf("%w: no row has the id of an aggregate", errDoubt)
	}
	return streams, nil
}
