package graph

import (
	"context"
	"slices"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/graph/internal/model"
	"github.com/dancefinder/eventsourcing/dancefinder/live"
	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// maxTogether is how many changes are compared with the filter by one statement.
const maxTogether = 100

// EventsChanged implements [exec.SubscriptionResolver].
func (r subscriptions) EventsChanged(ctx context.Context, filter model.EventFilter) (<-chan *model.EventChange, error) {
	f, err := filterOf(ctx, filter)
	if err != nil {
		return nil, err
	}
	if _, err := r.reader.Match(ctx, f); err != nil { // nothing, but a filter that is wrong
		return nil, err
	}
	q := requestOf(ctx)
	client := "address " + q.client
	if who := user(ctx); who != nil {
		client = "user " + who.Subject
	}
	subscription, err := r.config.Hub.Subscribe(ctx, client)
	if err != nil {
		return nil, err
	}
	changes := make(chan *model.EventChange)
	q.working.Go(func() {
		defer close(changes)
		defer subscription.Close()
		if err := r.pass(ctx, subscription, f, changes); err != nil {
			q.fail(err)
		}
	})
	return changes, nil
}

// pass hands on the changes that concern the filter, until the subscription ends.
func (r *resolver) pass(ctx context.Context, from *live.Subscription, f query.Filter, to chan<- *model.EventChange) error {
	for change := range from.Changes() {
		together := []live.Change{change}
		for more := true; more && len(together) < maxTogether; {
			select {
			case change, more = <-from.Changes():
				if more {
					together = append(together, change)
				}
			default:
				more = false
			}
		}
		concerning, err := r.concerning(ctx, f, together)
		if err != nil {
			return err
		}
		for _, c := range concerning {
			select {
			case to <- c:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return from.Err()
}

// concerning returns those of the changes that concern dances of the filter.
func (r *resolver) concerning(ctx context.Context, f query.Filter, changes []live.Change) (concerning []*model.EventChange, err error) {
	var dances []query.Dance
	var ids []string
	for _, c := range changes {
		for _, details := range []*domain.EventDetails{c.Before, c.After} {
			if details != nil {
				dances = append(dances, query.Dance{Date: domain.Date(details.Date), BandID: string(details.BandID), DanceHallID: string(details.DanceHallID)})
			}
		}
		if c.After != nil {
			ids = append(ids, c.EventID)
		}
	}
	matches, err := r.reader.Match(ctx, f, dances...)
	if err != nil {
		return nil, err
	}
	events, err := r.eventsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		concerns, now := true, true
		switch {
		case c.EventID != "":
			before := c.Before != nil && matches[0]
			matches = matches[count(c.Before):]
			now = c.After != nil && matches[0]
			matches = matches[count(c.After):]
			concerns = before || now
		case c.BandID != "":
			of := f
			of.BandIDs = narrow(f.BandIDs, c.BandID)
			concerns, err = r.hasDances(ctx, of, of.BandIDs)
		case c.DanceHallID != "":
			of := f
			of.DanceHallIDs = narrow(f.DanceHallIDs, c.DanceHallID)
			concerns, err = r.hasDances(ctx, of, of.DanceHallIDs)
		}
		if err != nil {
			return nil, err
		}
		if concerns {
			concerning = append(concerning, &model.EventChange{
				Kind: model.ChangeKind(c.Kind), EventID: nonEmpty(c.EventID), BandID: nonEmpty(c.BandID), DanceHallID: nonEmpty(c.DanceHallID),
				Matches: now, Event: events[c.EventID],
			})
		}
	}
	return concerning, nil
}

func count(details *domain.EventDetails) int {
	if details == nil {
		return 0
	}
	return 1
}

func (r *resolver) eventsOf(ctx context.Context, ids []string) (map[string]*model.Event, error) {
	found, err := r.reader.EventsByID(ctx, ids...)
	if err != nil {
		return nil, err
	}
	events := map[string]*model.Event{}
	source := r.source(ctx)
	for id, event := range found {
		events[id] = source.Events(event)[0]
	}
	return events, nil
}

// narrow returns id alone if it is among ids, or if those are none: then all are meant.
func narrow(ids []string, id string) []string {
	if len(ids) > 0 && !slices.Contains(ids, id) {
		return nil
	}
	return []string{id}
}

// hasDances tells whether the filter shows dances, if it is narrowed to something.
func (r *resolver) hasDances(ctx context.Context, f query.Filter, narrowed []string) (bool, error) {
	if len(narrowed) == 0 {
		return false, nil
	}
	page, err := r.reader.Events(ctx, f, query.ByDate, 1, "")
	return len(page.Items) > 0, err
}
