package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// pageOverhead is what a page's message has besides its events, about.
const pageOverhead = 1 << 10

// found is what collecting has come to.
type found int

const (
	someOfIt  found = iota // there is more, and the page has room
	aPage                  // the page is full
	allOfIt                // there is no more
	anInvalid              // the next event can't be sent
)

// collect adds to a window's page what comes up to a position, as far as one look at the log goes.
// With anInvalid comes the error, a [*consumer.WorkError]; any other error changes nothing.
func (r *Relay) collect(ctx context.Context, w *window, upTo eventsourced.Position) (found, error) {
	names, none := r.storedNames(w.request.Names)
	if w.scanned >= upTo || none {
		w.scanned = max(w.scanned, upTo)
		return allOfIt, nil
	}
	if err := r.loadSkips(ctx); err != nil {
		return someOfIt, err
	}
	events, more, err := r.readHistory(ctx, eventsourced.LogQuery{After: w.scanned, UpTo: upTo, Names: names, Limit: w.limit + 1}, w.limit)
	if err != nil {
		return someOfIt, fmt.Errorf("read the history of %s: %w", w.request.Topic, err)
	}
	limit := r.sizes.limit(w.request.ReplyTo, r.config.PageBytes)
	for i, recorded := range events { // the query has ended: Translate may need its connection
		parts, size, err := r.wanted(ctx, w, recorded)
		var invalid *consumer.WorkError
		switch {
		case errors.As(err, &invalid) && ctx.Err() == nil:
			w.scanned = max(w.scanned, recorded.Position-1)
			return anInvalid, err
		case err != nil:
			return someOfIt, err
		case len(w.events) > 0 && (w.size+size+pageOverhead > limit || len(w.events)+len(parts) > min(r.config.PageEvents, w.leftEvents)):
			w.limit = i + 1 // what is read beyond that is read in vain
			return aPage, nil
		}
		if len(w.events) == 0 && len(parts) > 0 {
			w.first = &events[i]
		}
		w.events, w.size, w.scanned = append(w.events, parts...), w.size+size, recorded.Position
	}
	w.limit = min(2*w.limit, r.config.PageEvents)
	switch {
	case !more:
		w.scanned = upTo
		return allOfIt, nil
	case len(w.events) >= min(r.config.PageEvents, w.leftEvents):
		return aPage, nil
	}
	return someOfIt, nil
}

// wanted returns what of an event is in the history that was asked for, marshaled, and its size.
func (r *Relay) wanted(ctx context.Context, w *window, recorded eventsourced.Recorded) (parts []json.RawMessage, size int, err error) {
	out, err := r.outgoing(ctx, consumer.PartBeside, recorded)
	if err != nil {
		return nil, 0, err
	}
	for _, o := range out { // all of them, as they share a position
		if o.topic != w.request.Topic || len(w.request.Names) > 0 && !slices.Contains(w.request.Names, o.event.Name) {
			continue
		}
		part, err := marshalEvent(o.event)
		if err != nil {
			return nil, 0, &consumer.WorkError{Event: recorded, Err: err}
		}
		parts, size = append(parts, part), size+len(part)+1
	}
	return parts, size, nil
}

// storedNames returns the names in the log of the events that are wanted, and tells whether
// there can't be any.
func (r *Relay) storedNames(wanted []string) (names []string, none bool) {
	if len(wanted) == 0 || r.translates() { // which may name them otherwise
		return r.names, false
	}
	if len(r.config.Names) > 0 {
		wanted = slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return !slices.Contains(r.config.Names, name) })
	}
	return r.log.Registry().StoredNames(wanted...), len(wanted) == 0
}

// readHistory reads limit events at most, of a page's bytes and one event at most, and
// tells whether there are more.
func (r *Relay) readHistory(ctx context.Context, query eventsourced.LogQuery, limit int) (events []eventsourced.Recorded, more bool, err error) {
	size := 0
	for recorded, err := range r.log.ReadLog(ctx, query) {
		if err != nil {
			return nil, false, err
		}
		if len(events) == limit || size >= r.config.PageBytes {
			return events, true, nil
		}
		events = append(events, recorded)
		size += len(recorded.Payload)
	}
	return events, false, nil
}
