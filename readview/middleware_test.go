package readview_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

func sleepy(d time.Duration) readview.Handler {
	return readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
		return onDeposited(ctx, tx, e)
	})
}

// A page that takes longer than a Timeout lets it becomes smaller.
func TestTimeoutOfAMiddleware(t *testing.T) {
	t.Parallel()
	t.Run("shorter than the page", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		last := b.deposit(200)
		manager, router := b.manager(fast(), balances(sleepy(5*time.Millisecond)))
		router.AddMiddleware(middleware.Timeout(300 * time.Millisecond))
		b.start(router)
		b.waitFor(manager, last)
		b.requireExact(last)
	})
	t.Run("shorter than what the server needs", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		b.exec(`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$;
			CREATE TRIGGER slow BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION slow()`)
		last := b.deposit(200)
		manager, router := b.manager(fast(), balances())
		router.AddMiddleware(middleware.Timeout(300 * time.Millisecond))
		b.start(router)
		b.waitFor(manager, last)
		b.requireExact(last)
	})
	t.Run("shorter than an event", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		before := b.deposit(3)
		b.record("account-9", &Deposited{Amount: 99})
		b.deposit(3)
		manager, router := b.manager(fast(), balances(misuse(func(ctx context.Context, _ readview.Tx) error {
			<-ctx.Done()
			return ctx.Err()
		})))
		router.AddMiddleware(middleware.Timeout(time.Second))
		b.start(router)
		b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
		require.Contains(t, b.status(manager, "balances").Failure.Error, "Timeout")
		b.requireExact(before)
	})
}

// An ack is no proof that a page was applied, and does not end it.
func TestMiddlewaresThatAck(t *testing.T) {
	t.Parallel()
	ignoreAll := func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			produced, _ := next(msg)
			return produced, nil
		}
	}
	for name, middlewares := range map[string][]message.HandlerMiddleware{
		"InstantAck":           {middleware.InstantAck},
		"InstantAck and Retry": {middleware.InstantAck, middleware.Retry{MaxRetries: 2, InitialInterval: time.Millisecond}.Middleware},
		"Deduplicator":         {(&middleware.Deduplicator{Repository: &seen{keys: map[string]bool{}}}).Middleware},
		"errors ignored":       {ignoreAll},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.deposit(50)
			var broken atomic.Bool
			broken.Store(true)
			config := fast()
			config.PageEvents, config.Attempts = 10, 2
			manager, router := b.manager(config, balances(misuse(func(context.Context, readview.Tx) error {
				if broken.Load() {
					return errors.New("not yet")
				}
				return nil
			})))
			router.AddMiddleware(middlewares...)
			b.start(router)
			before := b.deposit(20)
			b.record("account-9", &Deposited{Amount: 99})
			last := b.deposit(20)
			b.eventually("it fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
			b.requireExact(before)
			broken.Store(false)
			require.NoError(t, manager.Resume(t.Context(), "balances"))
			b.waitFor(manager, last)
			b.requireExact(last)
			require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
			b.waitFor(manager, last)
			b.requireExact(last)
		})
	}
	t.Run("one that acks and never calls the handler", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		last := b.deposit(3)
		manager, router := b.manager(fast(), balances())
		var swallow atomic.Bool
		swallow.Store(true)
		router.AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) {
				if swallow.Load() {
					return nil, nil
				}
				return next(msg)
			}
		})
		b.start(router)
		b.eventually("it shows", func() bool { return b.status(manager, "balances").State == consumer.Retrying })
		require.Zero(t, b.status(manager, "balances").Position)
		require.Contains(t, b.status(manager, "balances").Failure.Error, "without calling the handler")
		swallow.Store(false)
		b.waitFor(manager, last)
		b.requireExact(last)
	})
}

// seen are the keys of messages that a Deduplicator has let pass.
type seen struct {
	mu   sync.Mutex
	keys map[string]bool
}

func (s *seen) IsDuplicate(_ context.Context, key string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.keys[key]
	s.keys[key] = true
	return before, nil
}

// A circuit that an outage has broken blames no event.
func TestCircuitBreaker(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := fast()
	config.Attempts = 1
	manager, router := b.manager(config, balances())
	router.AddMiddleware(breaker(2, 500*time.Millisecond))
	b.start(router)
	b.waitFor(manager, b.deposit(1))
	end := b.raising("journal", "INSERT", "53300")
	last := b.deposit(5)
	b.eventually("the circuit is broken", func() bool {
		failure := b.status(manager, "balances").Failure
		return failure != nil && failure.Attempts > 5
	})
	require.Equal(t, consumer.Retrying, b.status(manager, "balances").State)
	end()
	b.waitFor(manager, last)
	b.requireExact(last)
}

// breaker is a circuit breaker as Watermill's: after so many errors in a row it refuses
// everything for a while.
func breaker(limit int, pause time.Duration) message.HandlerMiddleware {
	failures, open := 0, time.Time{}
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(msg *message.Message) ([]*message.Message, error) {
			if time.Now().Before(open) {
				return nil, errors.New("circuit breaker is open")
			}
			produced, err := next(msg)
			if failures++; err == nil {
				failures = 0
			}
			if failures >= limit {
				open = time.Now().Add(pause)
			}
			return produced, err
		}
	}
}

// Projections can be added to a router that runs, with or without RunHandlers.
func TestAddToARouterThatRuns(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	require.NoError(t, manager.Add(audits()))
	last := b.record("account-1", &Audited{})
	b.waitFor(manager, last)
	require.EqualValues(t, 1, b.int(`SELECT count(*) FROM audit`))
	stop()
	err := manager.Add(readview.Projection{Name: "late", Handlers: readview.Handlers{readview.On(onAudited)}})
	require.ErrorContains(t, err, "the router is closed")
}

func TestTwoManagersOnOneRouter(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	_, router := b.manager(fast(), balances())
	second, err := readview.NewManager(router, b.store, b.pool, fast())
	require.NoError(t, err)
	require.ErrorContains(t, second.Add(balances()), "the router has a handler readview.balances already")
	require.NoError(t, second.Add(audits()))
}

func TestConstructorsRefuseWhatIsNil(t *testing.T) {
	t.Parallel()
	_, err := readview.NewManager(nil, nil, nil, readview.Config{PageBytes: -1}, balances())
	for _, problem := range []string{"the log is nil", "the pool is nil", "PageBytes is negative"} {
		require.ErrorContains(t, err, problem)
	}
	b := newBank(t)
	manager, _ := b.manager(fast())
	var none func(context.Context, readview.Tx, *Deposited) error
	err = manager.Add(
		readview.Projection{Name: "nothing", Handlers: readview.Handlers{readview.On(none)}, Reset: readview.ResetFunc(nil)},
		readview.Projection{Name: "zero", Handlers: readview.Handlers{{}}, Reset: readview.Truncate()},
		readview.Projection{Name: "looks", Handlers: readview.Handlers{readview.On(func(context.Context, readview.Tx, *Deposited) error { return nil }, nil)}},
	)
	for _, problem := range []string{`projection "nothing": it has a handler without a function`, "its Reset is a nil function", `projection "zero": it has a handler without`, `projection "looks": it has a handler without`, "truncates no table"} {
		require.ErrorContains(t, err, problem)
	}
}
