package readview_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestPoisonEventStopsItsProjectionOnly(t *testing.T) {
	t.Parallel()
	errPoison := errors.New("poison")
	const poisoned = 13
	// Each case makes deposit number poisoned one that can't be applied, and cures it.
	for name, c := range map[string]struct {
		handler   func(cured *atomic.Bool) readview.Handler
		poison    func(b *bank, position eventsourced.Position)
		cure      func(b *bank, position eventsourced.Position)
		wantError string
	}{
		"by an error": {
			handler: func(cured *atomic.Bool) readview.Handler {
				return readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
					if err := onDeposited(ctx, tx, e); err != nil || e.Amount != 99 || cured.Load() {
						return err
					}
					return errPoison
				})
			},
			wantError: "poison",
		},
		"by a panic": {
			handler: func(cured *atomic.Bool) readview.Handler {
				return readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
					if e.Amount == 99 && !cured.Load() {
						panic("poison")
					}
					return onDeposited(ctx, tx, e)
				})
			},
			wantError: "panic: poison",
		},
		"by a payload that does not decode": {
			poison: func(b *bank, position eventsourced.Position) {
				b.exec(`UPDATE events SET payload = '{"Amount": "many"}' WHERE tstamp = $1`, int64(position))
			},
			cure: func(b *bank, position eventsourced.Position) {
				b.exec(`UPDATE events SET payload = '{"Amount": 99}' WHERE tstamp = $1`, int64(position))
			},
			wantError: "cannot unmarshal string",
		},
		"by a schema version of the future": {
			poison: func(b *bank, position eventsourced.Position) {
				b.exec(`UPDATE events SET schema_version = 2 WHERE tstamp = $1`, int64(position))
			},
			cure: func(b *bank, position eventsourced.Position) {
				b.exec(`UPDATE events SET schema_version = 1 WHERE tstamp = $1`, int64(position))
			},
			wantError: "newer version of the program",
		},
		"by a violated constraint": {
			poison: func(b *bank, _ eventsourced.Position) {
				b.exec(`ALTER TABLE journal ADD CONSTRAINT journal_amount CHECK (amount <> 99)`)
			},
			cure: func(b *bank, _ eventsourced.Position) {
				b.exec(`ALTER TABLE journal DROP CONSTRAINT journal_amount`)
			},
			wantError: "journal_amount",
		},
		"by an error of the database that the handler ignores": {
			handler: func(cured *atomic.Bool) readview.Handler {
				return readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
					if e.Amount == 99 && !cured.Load() {
						_, _ = tx.ExecContext(ctx, `INSERT INTO no_such_table VALUES (1)`)
						return nil
					}
					return onDeposited(ctx, tx, e)
				})
			},
			wantError: "ignored an error of the database",
		},
	} {
		for _, pageEvents := range []int{1, 7, 1000} {
			t.Run(fmt.Sprintf("%s, in pages of %d", name, pageEvents), func(t *testing.T) {
				t.Parallel()
				b := newBank(t)
				var cured atomic.Bool
				handler := readview.On(onDeposited)
				if c.handler != nil {
					handler = c.handler(&cured)
				}
				before := b.deposit(poisoned - 1)
				position := b.record("account-9", &Deposited{Amount: 99})
				if c.poison != nil {
					c.poison(b, position)
				}
				after := b.deposit(5)
				b.record("account-1", &Audited{})
				last := b.record("account-2", &Audited{})

				config := fast()
				config.PageEvents = pageEvents
				config.Attempts = 2
				manager, router := b.manager(config, balances(handler), audits())
				b.start(router)

				b.waitFor(manager, last, "audits")
				require.EqualValues(t, 2, b.int(`SELECT count(*) FROM audit`), "the others go on")
				b.eventually("the projection fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
				status := b.status(manager, "balances")
				require.Equal(t, before, status.Position, "the position stays just before the event")
				require.EqualValues(t, 6, status.Behind, "the audits are not for it")
				require.Equal(t, "Deposited", status.Failure.EventName)
				require.Equal(t, position, status.Failure.Position)
				require.Equal(t, b.eventID(position), status.Failure.EventID.String())
				require.WithinDuration(t, time.Now(), status.Failure.Time, time.Minute)
				require.Contains(t, status.Failure.Error, c.wantError)
				require.Contains(t, status.Failure.Error, "bank.Account/account-9")
				b.requireExact(before)
				err := manager.WaitFor(t.Context(), last, "balances")
				require.ErrorIs(t, err, readview.ErrNotRunning)
				require.ErrorContains(t, err, c.wantError)

				// Resumed too early it fails again, at the same place.
				require.NoError(t, manager.Resume(t.Context(), "balances"))
				b.eventually("the projection fails again", func() bool {
					again := b.status(manager, "balances")
					return again.State == consumer.Failed && again.Failure.Time.After(status.Failure.Time)
				})
				b.requireExact(before)

				cured.Store(true)
				if c.cure != nil {
					c.cure(b, position)
				}
				require.NoError(t, manager.Resume(t.Context(), "balances"))
				b.waitFor(manager, last)
				b.requireExact(after)
				b.eventually("the failure is forgotten", func() bool { return b.status(manager, "balances").Failure == nil })
			})
		}
	}
}

func TestRestartTriesAFailedProjectionAgain(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`ALTER TABLE journal ADD CONSTRAINT journal_amount CHECK (amount <> 99)`)
	last := b.record("account-1", &Deposited{Amount: 99})
	manager, router := b.manager(fast(), balances())
	stop := b.start(router)
	b.eventually("the projection fails", func() bool { return b.status(manager, "balances").State == consumer.Failed })
	stop()
	b.exec(`ALTER TABLE journal DROP CONSTRAINT journal_amount`)
	manager, router = b.manager(fast(), balances())
	b.start(router)
	b.eventually("the event is applied", func() bool { return b.status(manager, "balances").Position == last })
	b.requireExact(last)
}

func TestErrorsThatPassAreRetriedForEver(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	last := b.deposit(3)
	failures := 0
	config := fast()
	config.Attempts = 1
	manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if failures++; failures <= 4 {
			_, err := tx.ExecContext(ctx, `DO $$ BEGIN RAISE EXCEPTION 'as if' USING ERRCODE = 'deadlock_detected'; END $$`)
			return err
		}
		return onDeposited(ctx, tx, e)
	})))
	b.start(router)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.Greater(t, failures, 4)
}

func TestMiddlewaresOfTheRouter(t *testing.T) {
	t.Parallel()
	t.Run("Retry gets a fresh transaction each time", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		last := b.deposit(10)
		failures := 0
		config := fast()
		config.Attempts = 1
		manager, router := b.manager(config, balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			if err := onDeposited(ctx, tx, e); err != nil || e.AggregateID() != "account-3" || failures == 4 {
				return err
			}
			failures++
			return errors.New("not yet")
		})))
		router.AddMiddleware(middleware.Retry{MaxRetries: 5, InitialInterval: time.Millisecond}.Middleware, middleware.Recoverer)
		b.start(router)
		b.waitFor(manager, last)
		b.requireExact(last)
		require.Equal(t, 4, failures)
	})
	t.Run("Duplicator changes nothing", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		last := b.deposit(10)
		manager, router := b.manager(fast(), balances())
		router.AddMiddleware(middleware.Duplicator)
		b.start(router)
		b.waitFor(manager, last)
		b.requireExact(last)
	})
	t.Run("Timeout rolls a page back", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		last := b.deposit(3)
		slow := true
		manager, router := b.manager(fast(), balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			if err := onDeposited(ctx, tx, e); err != nil || !slow {
				return err
			}
			slow = false
			_, err := tx.ExecContext(ctx, `SELECT pg_sleep(60)`)
			return err
		})))
		router.AddMiddleware(middleware.Timeout(300 * time.Millisecond))
		b.start(router)
		b.waitFor(manager, last)
		b.requireExact(last)
	})
	t.Run("a middleware that refuses pages blames no event and shows", func(t *testing.T) {
		t.Parallel()
		b := newBank(t)
		last := b.deposit(3)
		config := fast()
		config.Attempts = 1
		manager, router := b.manager(config, balances())
		var refuse atomic.Bool
		refuse.Store(true)
		router.AddMiddleware(func(next message.HandlerFunc) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) {
				if refuse.Load() {
					return nil, errors.New("not today")
				}
				return next(msg)
			}
		})
		b.start(router)
		b.eventually("it shows", func() bool {
			status := b.status(manager, "balances")
			return status.State == consumer.Retrying && status.Failure.Attempts > 2
		})
		failure := b.status(manager, "balances").Failure
		require.Contains(t, failure.Error, "middleware")
		require.Empty(t, failure.EventName)
		refuse.Store(false)
		b.waitFor(manager, last)
		b.requireExact(last)
		b.eventually("it is forgotten", func() bool { return b.status(manager, "balances").State == consumer.Live })
	})
}

func TestLostConnectionsLoseNothing(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	config := fast()
	config.PageEvents = 10
	manager, router := b.manager(config, balances(), audits())
	b.start(router)
	admin := b.db.SQL()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var killed atomic.Int64
	var killer sync.WaitGroup
	killer.Go(func() { // all sessions of this test, the writers' and the listening one too
		for ctx.Err() == nil {
			killed.Add(int64(terminate(ctx, admin, b.application)))
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	deposits := 0
	for enough := int64(soak.Times(25, 1000)); killed.Load() < enough; {
		require.NoError(t, ctx.Err())
		_, err := b.accounts.Update(t.Context(), "account-1", func(a *Account) error {
			return eventsourced.Record(a, &Deposited{Amount: 1})
		})
		if err == nil {
			deposits++
		}
	}
	cancel()
	killer.Wait()
	require.Positive(t, deposits)
	last := b.deposit(1)
	b.waitFor(manager, last)
	b.requireExact(last)
	require.GreaterOrEqual(t, b.int(`SELECT count(*) FROM journal`), int64(deposits+1), "what was confirmed is there")
}

// terminate ends a random session of an application, but for its own.
func terminate(ctx context.Context, admin *sql.DB, application string) (ended int) {
	_ = admin.QueryRowContext(ctx, `SELECT count(pg_terminate_backend(pid)) FROM (
		SELECT pid FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND application_name = $1 ORDER BY random() LIMIT 1) s`, application).Scan(&ended)
	return ended
}

// A handler that sets a savepoint sees an error at once: nothing needs to be
// repeated.
func TestSavepoint(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`CREATE TABLE attempt (n BIGINT CHECK (n < 5)); CREATE TABLE outcome (n BIGINT, error TEXT)`)
	var last eventsourced.Position
	for n := range int64(10) {
		last = b.record("account-1", &Deposited{Amount: n})
	}
	calls := 0
	onDeposited := func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		calls++
		if _, err := tx.ExecContext(ctx, `SAVEPOINT before`); err != nil {
			return err
		}
		_, refused := tx.ExecContext(ctx, `INSERT INTO attempt (n) VALUES ($1)`, e.Amount)
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT before`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO outcome (n, error) VALUES ($1, $2)`, e.Amount, fmt.Sprint(refused))
		return err
	}
	manager, router := b.manager(fast(), readview.Projection{Name: "attempts", Handlers: readview.Handlers{readview.On(onDeposited)}})
	b.start(router)
	b.waitFor(manager, last, "attempts")
	require.Equal(t, []string{"0 4", "5 9"}, b.rows(`SELECT min(n) || ' ' || max(n) FROM outcome GROUP BY error LIKE '%attempt_n_check%' ORDER BY 1`))
	require.Equal(t, 10, calls)
}
