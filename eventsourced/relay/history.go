package relay

import (
	"context"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// Limits of a page of history.
const (
	pageEvents = 1000
	pageBytes  = 1 << 20 // of payloads; a single event may be larger
)

// history returns a page of a topic, and tells whether there is more of it up to
// upTo. It looks at limit events at most, and sets the limit for the next page: what is
// read beyond the limit of bytes is read in vain.
func (r *Relay) history(ctx context.Context, topic string, after, upTo eventsourced.Position, limit *int) (page Page, more bool, err error) {
	page = Page{After: after, UpTo: max(after, upTo)}
	if after >= upTo {
		return page, false, nil
	}
	if err := r.loadSkips(ctx); err != nil {
		return Page{}, false, err
	}
	events, more, err := r.readHistory(ctx, after, upTo, *limit)
	if err != nil {
		return Page{}, false, fmt.Errorf("read the history of %s: %w", topic, err)
	}
	bytes := 0
	for i, recorded := range events { // the query has ended: Translate may need its connection
		out, err := r.outgoing(ctx, consumer.PartBeside, recorded)
		if before := recorded.Position - 1; err != nil && before > after {
			page.UpTo = before // what comes before it can be had: the next page is the error
			return page, true, nil
		}
		if err != nil {
			return Page{}, false, err
		}
		page.UpTo = recorded.Position
		for _, part := range out { // all of them, as they share a position
			if part.topic == topic {
				page.Events = append(page.Events, part.event)
				bytes += len(part.event.Payload)
			}
		}
		if bytes >= pageBytes && (more || i < len(events)-1) {
			*limit = i + 1
			return page, true, nil
		}
	}
	if !more {
		page.UpTo = upTo
	}
	*limit = min(2**limit, pageEvents)
	return page, more, nil
}

// readHistory reads limit events at most, of a megabyte and one event at most, and
// tells whether there are more.
func (r *Relay) readHistory(ctx context.Context, after, upTo eventsourced.Position, limit int) (events []eventsourced.Recorded, more bool, err error) {
	query := eventsourced.LogQuery{After: after, UpTo: upTo, Names: r.names, Limit: limit + 1}
	bytes := 0
	for recorded, err := range r.log.ReadLog(ctx, query) {
		if err != nil {
			return nil, false, err
		}
		if len(events) == limit || bytes >= pageBytes {
			return events, true, nil
		}
		events = append(events, recorded)
		bytes += len(recorded.Payload)
	}
	return events, false, nil
}
