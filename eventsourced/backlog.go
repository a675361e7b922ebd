package eventsourced

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"
)

// MaxBacklog is how far [BacklogAfter] counts: a status that is asked for often must not cost what
// has piled up, and nobody does anything else at 10,001 than at a million.
const MaxBacklog = 10_000

// Backlog is what of a log lies before somebody who goes through it.
type Backlog struct {
	Head   Position // of the log; below the position asked for, the log is another one, or went back
	Behind int64    // how many events
	More   bool     // there are more than that: it is where the counting ended

	// Lag is how long the first of them has been waiting; 0 when there is none.
	Lag time.Duration

	// FromFuture tells that the first of them was appended later than now, as after a
	// clock went back. It waits, for a time that is not known: Lag counts from when it
	// occurred, and is 0 if that is later than now as well.
	FromFuture bool
}

// String returns how many events they are: "7", or "10000+" when there are more.
func (b Backlog) String() string {
	if b.More {
		return fmt.Sprintf("%d+", b.Behind)
	}
	return fmt.Sprint(b.Behind)
}

// fromFuture is how much later than now an event's position is before the clock must
// have gone back: those of two machines differ.
const fromFuture = time.Second

// BacklogAfter returns what of a query's events lies before a consumer: After is where it stands,
// and Names what it handles. It counts up to Limit, or [MaxBacklog]; Backwards is nothing to it.
// Its errors are those of log.
func BacklogAfter(ctx context.Context, log LogReader, query LogQuery) (b Backlog, err error) {
	if b.Head, err = log.Head(ctx); err != nil {
		return Backlog{}, err
	}
	most := min(cmp.Or(query.Limit, MaxBacklog), math.MaxInt-1)
	query.Backwards, query.Limit = false, most+1
	if b.Behind, err = log.CountLog(ctx, query); err != nil || b.Behind == 0 {
		return b, err
	}
	if b.More = b.Behind > int64(most); b.More {
		b.Behind = int64(most)
	}
	query.Limit = 1
	for first, err := range log.ReadLog(ctx, query) {
		if err != nil {
			return Backlog{}, err
		}
		waited := time.Since(first.Position.Time())
		if b.FromFuture = waited < -fromFuture; b.FromFuture {
			waited = time.Since(first.Time)
		}
		b.Lag = max(waited, 0)
	}
	return b, nil
}
