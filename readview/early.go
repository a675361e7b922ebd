package readview

import (
	"cmp"
	"slices"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

// delivery is what a message has.
type delivery struct {
	content relay.Page
	page    *page     // nil until it is wanted
	size    int       // in bytes
	missed  time.Time // what comes before it, since when
	failed  bool      // the projection failed while it was held
	handled bool      // with another one
}

// live tells that it is no page of history.
func (d *delivery) live() bool { return d.content.Head == 0 }

// byTurn is the order of what they follow.
func byTurn(a, b *delivery) int { return cmp.Compare(a.content.After, b.content.After) }

// early are messages that came before what they follow: a transport may swap them, and what
// is missing may be on its way. They are acknowledged: if they are lost with this process, the next one
// asks for them.
type early struct {
	all        []delivery // in the order of what they follow
	size       int
	generation int64
	since      time.Time // the first of them came, or a message had its turn
}

// Limits of what is kept.
const (
	earlyMessages = 500
	earlyBytes    = 4 << 20
	earlyPatience = 100 * time.Millisecond // before what is missing is asked for
)

// keep takes a message in. When there are too many, those go that are further away.
func (e *early) keep(d delivery, at checkpoint) {
	if e.generation != at.Generation {
		*e = early{generation: at.Generation}
	}
	if len(e.all) == 0 {
		e.since = time.Now()
	}
	i, _ := slices.BinarySearchFunc(e.all, d, func(a, b delivery) int { return byTurn(&a, &b) })
	e.all, e.size = slices.Insert(e.all, i, d), e.size+d.size
	for len(e.all) > earlyMessages || e.size > earlyBytes {
		last := len(e.all) - 1
		e.size -= e.all[last].size
		e.all[last] = delivery{}
		e.all = e.all[:last]
	}
}

// next takes out the one whose turn it is at a checkpoint, and those that it has passed.
func (e *early) next(at checkpoint) (d delivery, found bool) {
	for len(e.all) > 0 && e.generation == at.Generation {
		d = e.all[0]
		if d.page.after > at.Position {
			return delivery{}, false
		}
		e.all, e.size = slices.Delete(e.all, 0, 1), e.size-d.size
		if d.page.upTo > at.Position {
			return d, true
		}
	}
	return delivery{}, false
}

// overdue tells that what comes before them should have come.
func (e *early) overdue(at checkpoint) bool {
	return len(e.all) > 0 && e.generation == at.Generation && time.Since(e.since) >= earlyPatience
}
