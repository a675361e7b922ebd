package readview

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/pgerr"
	"github.com/dancefinder/eventsourcing/internal/wait"
	"github.com/dancefinder/eventsourcing/readview/internal/shadow"
)

// awaitOldSnapshots returns when every snapshot has ended that was taken before the shadows were what they are:
// DDL is not MVCC, and such a transaction would find the new tables empty, or half full.
func (b *rebuild) awaitOldSnapshots(ctx context.Context, deadline time.Time) error {
	left, err := shadow.Snapshots(ctx, b.lock)
	if err != nil {
		return err
	}
	for {
		if left, err = shadow.Left(ctx, b.lock, left); err != nil {
			return err
		}
		if len(left) == 0 {
			b.origin.failpoint("gate")
			return nil
		}
		who := make([]consumer.Session, len(left))
		for i, s := range left {
			who[i] = s.Session
		}
		text := describeAll(who)
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: there are snapshots from before, which would see empty tables: %s", ErrImpatient, text)
		}
		b.report.wait(ctx, "the snapshots of "+text, who)
		if !wait.Sleep(ctx, lockTry) {
			return ctx.Err()
		}
	}
}

// swap lets the shadows change places with the live tables.
func (b *rebuild) swap(ctx context.Context, conn *pgx.Conn, before eventsourced.Position) error {
	if b.options.Verify {
		changes, err := b.tables.Diff(ctx, conn, b.schema)
		if err == nil {
			b.found(changes)
			err = b.explained(ctx, changes)
		}
		if err != nil {
			return err
		}
	}
	refused, err := b.tables.Swappable(ctx, conn)
	if err == nil {
		err = refused
	}
	if err != nil {
		return err
	}
	if err := b.report.enter(ctx, PhaseSwapping); err != nil {
		return err
	}
	who := b.whoIsInTheWay(ctx, conn.PgConn().PID(), b.try/2)
	b.tries++
	err = b.tables.LockAll(ctx, conn, b.tries, b.try.Milliseconds())
	if by := who(); pgerr.LockTimeout(err) {
		return &blockedError{"one of the tables " + strings.Join(b.Tables, ", "), by}
	}
	if pgerr.Deadlock(err) {
		return errNotYet
	}
	if err != nil {
		return err
	}
	b.origin.failpoint("locked tables")
	old := shadow.Name(b.tables.Tables[0].Schema+"_kept_"+b.Name, "_"+b.id[:8])
	if err := b.tables.Swap(ctx, conn, b.schema, old); err != nil {
		return err
	}
	b.origin.failpoint("swapped")
	return b.keep(ctx, conn, HowSwap, before, old)
}

// few names the first ones, and says how many more there are.
func few(names []string) string {
	const shown = 3
	if more := len(names) - shown; more > 0 {
		return fmt.Sprintf("%s; and %d more", strings.Join(names[:shown], "; "), more)
	}
	return strings.Join(names, "; ")
}

// whoIsInTheWay asks, again and again, for whom a session waits; the returned function tells whom it was last.
func (p *replay) whoIsInTheWay(ctx context.Context, pid uint32, every time.Duration) func() []consumer.Session {
	ctx, cancel := context.WithCancel(ctx)
	answer := make(chan []consumer.Session, 1)
	go func() {
		var last []consumer.Session
		for wait.Sleep(ctx, every) {
			if _, who := p.m.sessionsAt(ctx, pid); len(who) > 0 {
				last = who
			}
		}
		answer <- last
	}()
	return func() []consumer.Session {
		cancel()
		return <-answer
	}
}
