package readview

import (
	"context"
	"slices"
	"sync"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// backlog are the messages that a subscriber has handed out and nobody has handled, as those of a broker which sends some ahead. While one is
// handled the others wait for it. What has piled up while nothing was applied goes through in pages so, as a log does that is
// read, and not with a transaction a message.
type backlog struct {
	mu  sync.Mutex
	all []*delivery // in the order of what they follow
}

func (b *backlog) add(d *delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, _ := slices.BinarySearchFunc(b.all, d, byTurn)
	b.all = slices.Insert(b.all, i, d)
}

func (b *backlog) remove(d *delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = slices.DeleteFunc(b.all, func(other *delivery) bool { return other == d })
}

// before returns one whose turn is before d's, nil if there is none.
func (b *backlog) before(d *delivery) *delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.all) > 0 && byTurn(b.all[0], d) < 0 {
		return b.all[0]
	}
	return nil
}

// from returns those that follow a position.
func (b *backlog) from(position eventsourced.Position) []*delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.IndexFunc(b.all, func(d *delivery) bool { return d.content.UpTo > position })
	if i < 0 {
		return nil
	}
	return slices.Clone(b.all[i:])
}

// gather returns the page of a live message, together with those of the ones behind it that wait and are as ordinary, which it
// returns, too. Events of all of them are applied as those of one page are, and what fails is on record as the event's that it is of.
func (s *feedSource) gather(ctx context.Context, d *delivery) (p *page, with []*delivery) {
	if !d.live() || d.failed || s.again {
		return d.page, nil
	}
	p = d.page
	known, most, heard := lastOf(d, s.known), int(s.pageCap.Load()), max(s.heard, d.content.Publication)
	for _, next := range s.waits.from(p.upTo) {
		ordinary := next.live() && !next.failed && next.content.After != unknown && next.content.After >= known && next.content.Publication <= heard
		if !ordinary || next.content.After > p.upTo || len(p.items)+len(next.content.Events) > most {
			break
		}
		page := s.page(ctx, next.content)
		if len(with) == 0 {
			p = newPage(s.Name, p.after, p.upTo, p.generation)
			p.items = slices.Clone(d.page.items)
		}
		p.items, p.upTo = append(p.items, page.items...), page.upTo
		known, with = lastOf(next, known), append(with, next)
	}
	return p, with
}

// lastOf returns the position of a message's last event, or of the one before.
func lastOf(d *delivery, before eventsourced.Position) eventsourced.Position {
	if n := len(d.content.Events); n > 0 {
		return max(before, d.content.Events[n-1].Position)
	}
	return before
}
