package geocoding

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/dancefinder/internal/need"
)

// maxQueue is how far ahead slots are handed out. Whoever finds the queue longer
// than that comes back later, holding nothing: slots that their owners can't wait
// for would be lost, and the queue would only grow.
const maxQueue = 10 * time.Second

// What was written before the clock went back may lie years ahead. A slot is never
// further away than the queue is long, and a pause not longer than the longest one:
// what is, is over.
const (
	slotAt     = `CASE WHEN l.next_at > clock_timestamp() + $2::interval + $4::interval THEN '-infinity' ELSE l.next_at END`
	pauseUntil = `CASE WHEN l.paused_until > clock_timestamp() + $5::interval THEN '-infinity' ELSE l.paused_until END`
)

// Limiter spaces the requests to a provider, over all processes that use one
// database: it hands out slots from the provider's row in geocoding_limit. The
// clock is the database's. It is safe for concurrent use.
//
// A slot whose owner does not use it is lost; the others don't wait for it.
type Limiter struct {
	pool     *pgxpool.Pool
	provider string
	interval time.Duration
}

// NewLimiter returns a limiter of one request in each interval. Limiters with the
// same provider share their slots. It panics with all that is wrong: no pool, no provider, a negative interval.
func NewLimiter(pool *pgxpool.Pool, provider string, interval time.Duration) *Limiter {
	var problems []error
	if provider == "" {
		problems = append(problems, errors.New("the provider has no name"))
	}
	if interval < 0 {
		problems = append(problems, fmt.Errorf("the interval is %s", interval))
	}
	need.All("geocoding.NewLimiter", map[string]any{"pool": pool}, problems...)
	return &Limiter{pool: pool, provider: provider, interval: interval}
}

// Slot is a time at which one request may be made.
type Slot struct {
	At   time.Time     // by the database's clock
	Wait time.Duration // until then, when the slot was handed out; 0 for now
}

// Reserve takes the next slot, in one short statement. It returns a
// [*RateLimitedError], and takes none, during a [Limiter.Pause] and when the next
// slot is more than 10 seconds ahead, or after the deadline of ctx.
func (l *Limiter) Reserve(ctx context.Context) (Slot, error) {
	ahead := maxQueue
	if deadline, ok := ctx.Deadline(); ok {
		ahead = min(ahead, time.Until(deadline))
	}
	for {
		var slot Slot
		// Whoever comes second waits for the row, for as long as a commit takes,
		// and sees what the first has made of it.
		err := l.pool.QueryRow(ctx, `
			INSERT INTO geocoding_limit AS l (provider, next_at)
			VALUES ($1, clock_timestamp() + $2::interval)
			ON CONFLICT (provider) DO UPDATE
			SET next_at = greatest(`+slotAt+`, clock_timestamp()) + $2::interval
			WHERE `+pauseUntil+` <= clock_timestamp() AND `+slotAt+` <= clock_timestamp() + $3::interval
			RETURNING next_at - $2::interval, greatest(next_at - $2::interval - clock_timestamp(), interval '0')`,
			l.provider, l.interval, ahead, maxQueue, maxPause).Scan(&slot.At, &slot.Wait)
		if err == nil {
			return slot, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return Slot{}, fmt.Errorf("reserve a slot of %s: %w", l.provider, err)
		}
		pause, queue, err := l.ahead(ctx)
		if err != nil {
			return Slot{}, err
		}
		if wait := max(pause, queue-ahead); wait > 0 {
			return Slot{}, &RateLimitedError{RetryAfter: wait}
		}
	}
}

// Wait returns when a request may be made. It takes a slot as [Limiter.Reserve]
// does, with its errors, and waits for it, outside any transaction. When there was
// a pause meanwhile, the slot does not count, and it returns a [*RateLimitedError].
func (l *Limiter) Wait(ctx context.Context) error {
	slot, err := l.Reserve(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, slot.Wait); err != nil {
		return err
	}
	if slot.Wait == 0 {
		return nil
	}
	pause, _, err := l.ahead(ctx)
	if err == nil && pause > 0 {
		err = &RateLimitedError{RetryAfter: pause}
	}
	return err
}

// Pause makes all limiters of the provider hand out no slot for d, and revokes
// those that were handed out. A longer pause that is under way stays. The longest is
// a day.
func (l *Limiter) Pause(ctx context.Context, d time.Duration) error {
	_, err := l.pool.Exec(ctx, `
		INSERT INTO geocoding_limit AS l (provider, next_at, paused_until)
		VALUES ($1, clock_timestamp(), clock_timestamp() + $2::interval)
		ON CONFLICT (provider) DO UPDATE
		SET paused_until = CASE WHEN l.paused_until > clock_timestamp() + $3::interval THEN EXCLUDED.paused_until
			ELSE greatest(l.paused_until, EXCLUDED.paused_until) END`, l.provider, min(d, maxPause), maxPause)
	if err != nil {
		return fmt.Errorf("pause %s: %w", l.provider, err)
	}
	return nil
}

// ahead returns how long the pause goes on and when the next slot is, both from
// now on; below 0 when they are over.
func (l *Limiter) ahead(ctx context.Context) (pause, queue time.Duration, err error) {
	err = l.pool.QueryRow(ctx, `
		SELECT CASE WHEN paused_until > clock_timestamp() + $2::interval THEN interval '0' ELSE paused_until - clock_timestamp() END,
			next_at - clock_timestamp()
		FROM geocoding_limit WHERE provider = $1`, l.provider, maxPause).Scan(&pause, &queue)
	if err != nil {
		return 0, 0, fmt.Errorf("ask for the pause of %s: %w", l.provider, err)
	}
	return pause, queue, nil
}

// sleep returns after d, or with the error of ctx when that ends before.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
