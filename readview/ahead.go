package readview

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// lookAhead remembers what one status has found in the log, so that it costs one look for all projections that handle the
// same and stand at the same position, as those that have yet to begin, one count for all that are behind another one
// of which more waits than is counted, and no event is counted twice for those that handle the same. Their positions were read
// before, and the first of all is asked about first.
type lookAhead struct {
	log     eventsourced.LogReader
	head    eventsourced.Position // 0 when it was not read yet
	first   map[string]eventsourced.Recorded
	known   map[string]eventsourced.Backlog
	counted map[string]counted      // by names: what lies before the last one of those that handle these
	full    []eventsourced.LogQuery // of which there was more than was counted
}

// counted is how many events there are after a position.
type counted struct {
	after  eventsourced.Position
	events int64
}

func newLookAhead(log eventsourced.LogReader) *lookAhead {
	return &lookAhead{log: log, first: map[string]eventsourced.Recorded{}, known: map[string]eventsourced.Backlog{}, counted: map[string]counted{}}
}

func outlookKey(query eventsourced.LogQuery) string {
	return fmt.Sprintf("%d %q", query.After, query.Names)
}

// distinct returns each query once.
func distinct(queries []eventsourced.LogQuery) []eventsourced.LogQuery {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(queries), func(query eventsourced.LogQuery) bool {
		key := outlookKey(query)
		defer func() { seen[key] = true }()
		return seen[key]
	})
}

// survey asks at once for what backlog would ask for each of the queries. What it can't find out, that finds out, with the reason.
func (l *lookAhead) survey(ctx context.Context, queries []eventsourced.LogQuery) {
	log, ok := l.log.(eventsourced.Surveyor)
	if queries = distinct(queries); !ok || len(queries) < 2 || l.readHead(ctx) != nil {
		return
	}
	first, err := log.FirstOfEach(ctx, queries)
	if err != nil {
		return
	}
	for i, query := range queries {
		l.first[outlookKey(query)] = first[i]
	}
}

func (l *lookAhead) readHead(ctx context.Context) error {
	if l.head > 0 {
		return nil
	}
	head, err := l.log.Head(ctx)
	l.head = head
	return err
}

// backlog is [eventsourced.BacklogAfter].
func (l *lookAhead) backlog(ctx context.Context, query eventsourced.LogQuery) (eventsourced.Backlog, error) {
	key, names := outlookKey(query), fmt.Sprintf("%q", query.Names)
	if known, ok := l.known[key]; ok {
		return known, nil
	}
	if err := l.readHead(ctx); err != nil {
		return eventsourced.Backlog{}, err
	}
	log := foreseen{LogReader: l.log, head: l.head, whole: l.overflows(query), ahead: l.counted[names]}
	log.first, log.surveyed = l.first[key]
	found, err := eventsourced.BacklogAfter(ctx, log, query)
	if err != nil {
		return found, err
	}
	if found.More {
		l.full = append(l.full, query)
	} else {
		l.counted[names] = counted{query.After, found.Behind}
	}
	l.known[key] = found
	return found, nil
}

// foreseen is a log of which one status need not ask again what it knows.
type foreseen struct {
	eventsourced.LogReader
	head     eventsourced.Position
	whole    bool    // there is more than is counted
	ahead    counted // of the same names
	surveyed bool
	first    eventsourced.Recorded // when surveyed, at position 0 for none
}

func (f foreseen) Head(context.Context) (eventsourced.Position, error) { return f.head, nil }

func (f foreseen) CountLog(ctx context.Context, query eventsourced.LogQuery) (int64, error) {
	reaches := f.ahead.after > query.After
	switch {
	case f.surveyed && f.first.Position == 0:
		return 0, nil
	case f.whole:
		return int64(query.Limit), nil
	case f.surveyed && reaches && f.first.Position > f.ahead.after:
		return f.ahead.events, nil
	case reaches:
		query.UpTo, query.Limit = f.ahead.after, query.Limit-int(f.ahead.events) // which are fewer, or there was more than is counted
		n, err := f.LogReader.CountLog(ctx, query)
		return n + f.ahead.events, err
	}
	return f.LogReader.CountLog(ctx, query)
}

// ReadLog is asked for the first event.
func (f foreseen) ReadLog(ctx context.Context, query eventsourced.LogQuery) iter.Seq2[eventsourced.Recorded, error] {
	if !f.surveyed {
		return f.LogReader.ReadLog(ctx, query)
	}
	return func(yield func(eventsourced.Recorded, error) bool) { yield(f.first, nil) }
}

// overflows tells that more is before a query than is counted, as it has all of another's that has.
func (l *lookAhead) overflows(query eventsourced.LogQuery) bool {
	return slices.ContainsFunc(l.full, func(full eventsourced.LogQuery) bool {
		outside := func(name string) bool { return !slices.Contains(query.Names, name) }
		return full.After >= query.After && (len(query.Names) == 0 || len(full.Names) > 0 && !slices.ContainsFunc(full.Names, outside))
	})
}

// foretell completes statuses, each with its query, of which more is before than is counted, with how much it is, and all
// with how long it takes.
func (l *lookAhead) foretell(ctx context.Context, queries map[string]eventsourced.LogQuery, all []consumer.Status) {
	var long []eventsourced.LogQuery
	for _, status := range all {
		if query, ok := queries[status.Name]; ok && status.More {
			long = append(long, query)
		}
	}
	about := map[string]int64{}
	if log, ok := l.log.(eventsourced.Surveyor); ok && len(long) > 0 {
		long = distinct(long)
		if estimates, err := log.EstimateEach(ctx, long); err == nil { // it is no reason to do without the rest
			for i, query := range long {
				about[outlookKey(query)] = estimates[i]
			}
		}
	}
	for i := range all {
		status := &all[i]
		status.Estimate = status.Behind
		if status.More {
			status.Estimate = max(status.Behind, about[outlookKey(queries[status.Name])])
		}
		if status.Rate > 0 && status.Estimate > 0 && (!status.More || status.Estimate > status.Behind) {
			status.Left = time.Duration(float64(status.Estimate) / status.Rate * float64(time.Second))
		}
	}
}
