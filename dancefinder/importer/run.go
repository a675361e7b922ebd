package importer

import (
	"context"
	"errors"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// run is one import. Its rows are taken by one goroutine; what they lead to is
// done by the group's.
type run struct {
	options Options
	service *domain.Service
	log     Log
	known   *known
	group   *errgroup.Group // of together
	ctx     context.Context // the group's; a run lives no longer than the call

	mu     sync.Mutex
	result Result
	again  map[string]struct{} // bands and halls that were revived
}

// together calls do, and returns when all commands that it led to have ended, with
// the errors of both.
func (i *run) together(ctx context.Context, do func() error) error {
	i.group, i.ctx = errgroup.WithContext(ctx)
	i.group.SetLimit(i.options.Workers)
	err := do()
	failed := i.group.Wait()
	if failed != nil && errors.Is(err, context.Canceled) {
		return failed // it ended the group's context, and so the other
	}
	return errors.Join(err, failed)
}

func (i *run) rows(rows iter.Seq2[listing.Row, error]) error {
	for row, err := range rows {
		if err := i.ctx.Err(); err != nil {
			return err // the rest was not looked at
		}
		var rowErr *listing.RowError
		if errors.As(err, &rowErr) {
			i.problem(err)
		} else if err != nil {
			return err
		} else if err := i.row(row); err != nil {
			return err
		}
		i.count(func(r *Result) { r.Rows++ })
		if i.options.Progress != nil {
			i.options.Progress(i.result.Rows)
		}
	}
	return nil
}

// row decides what a row calls for, and has it done in the background. Its band and
// hall exist when it returns, unless a person deleted them.
func (i *run) row(row listing.Row) error {
	if row.Skip != "" {
		i.count(func(r *Result) { r.Skipped++ })
		return nil
	}
	band, reviveBand, err := i.band(domain.CreateBand{Name: row.Band})
	if err != nil {
		return i.refused(row.Line, err)
	}
	hall, reviveHall, err := i.hall(domain.CreateDanceHall{Name: row.Hall, City: row.City, Municipality: row.Municipality, State: row.State})
	if err != nil {
		return i.refused(row.Line, err)
	}
	details := domain.EventDetails{
		Date: row.Date, StartTime: row.Start, EndTime: row.End,
		BandID: band, DanceHallID: hall, ExtraInfo: row.Extra,
	}
	says := said{details.EndTime, details.ExtraInfo}
	dance := i.known.find(details)
	dance.revive = func(ctx context.Context) error { return errors.Join(reviveBand(ctx), reviveHall(ctx)) }
	switch {
	case dance.again: // the same dance, further down
		i.count(func(r *Result) { r.Skipped++ })
	case row.Cancelled && (dance.isNew || dance.gone):
		i.count(func(r *Result) { r.Skipped++ })
	case row.Cancelled:
		i.delete(row.Line, dance.id, reasonCancelled)
	case dance.isNew:
		i.do(row.Line, func(r *Result) { r.Created++ }, func() (eventsourced.Position, error) {
			if err := dance.revive(i.ctx); err != nil {
				return 0, err
			}
			_, position, err := i.service.CreateEvent(saying(i.ctx, says), domain.CreateEvent{EventID: dance.id, EventDetails: details})
			return position, err
		})
	case dance.same, dance.gone:
		i.count(func(r *Result) { r.Unchanged++ })
	default:
		changed := false
		i.do(row.Line, func(r *Result) {
			if changed {
				r.Updated++
			} else {
				r.Unchanged++
			}
		}, func() (position eventsourced.Position, err error) {
			changed, position, err = i.update(i.ctx, dance, says)
			return position, err
		})
	}
	return nil
}

// withdraw deletes the dances of the listing's months that it does not have.
func (i *run) withdraw() error {
	for _, id := range i.known.withdrawn() {
		if err := i.ctx.Err(); err != nil {
			return err
		}
		i.delete(0, id, reasonWithdrawn)
	}
	return nil
}

func (i *run) delete(line int, id domain.EventID, reason string) {
	i.do(line, func(r *Result) { r.Deleted++ }, func() (eventsourced.Position, error) {
		_, position, err := i.service.DeleteEvent(saying(i.ctx, said{}), domain.DeleteEvent{EventID: id, Reason: reason})
		return position, err
	})
}

// do runs a command in the background.
func (i *run) do(line int, count func(*Result), command func() (eventsourced.Position, error)) {
	i.group.Go(func() error {
		position, err := command()
		if err != nil {
			return i.refused(line, err)
		}
		i.count(func(r *Result) { count(r); r.Position = max(r.Position, position) })
		return nil
	})
}

// refused reports a refusal of the domain; any other error ends the import.
func (i *run) refused(line int, err error) error {
	var refusal *domain.Error
	if !errors.As(err, &refusal) {
		return err
	}
	if line > 0 {
		err = &listing.RowError{Line: line, Err: err}
	}
	i.problem(err)
	return nil
}

func (i *run) problem(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.result.Problems++
	if i.options.Problem != nil {
		i.options.Problem(err)
	}
}

func (i *run) count(change func(*Result)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(&i.result)
}
