package readview_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestParking(t *testing.T) {
	t.Parallel()
	for _, pageEvents := range []int{1, 7, 1000} {
		t.Run(fmt.Sprintf("in pages of %d", pageEvents), func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.deposit(20)
			b.record("account-1", &Deposited{Amount: 99})
			b.record("account-3", &Deposited{Amount: 99})
			last := b.deposit(20)
			var cured atomic.Bool
			projection := poisoned(&cured, func(ctx context.Context, tx readview.Tx, e *Deposited) error {
				return errors.Join(onDeposited(ctx, tx, e), errPoison)
			})
			projection.OnFailure = readview.ParkFailures
			config := fast()
			config.PageEvents, config.Attempts = pageEvents, 2
			manager, router := b.manager(config, projection)
			b.start(router)
			b.waitFor(manager, last)
			last = b.deposit(10)
			b.waitFor(manager, last)

			require.Equal(t, []string{"account-0 10", "account-1 4", "account-2 10", "account-3 4", "account-4 10"},
				b.rows(`SELECT account || ' ' || amount FROM balance ORDER BY account`), "others flow")
			status := b.status(manager, "balances")
			require.Equal(t, consumer.Live, status.State)
			require.EqualValues(t, 14, status.Parked)
			parked, err := manager.Parked(t.Context(), "balances")
			require.NoError(t, err)
			require.Len(t, parked, 14)
			require.Contains(t, parked[0].Error, "poison")
			require.Equal(t, 2, parked[0].Tries)
			require.Empty(t, parked[0].Reason, "its policy has parked it")
			require.Equal(t, "account-1", parked[0].Stream.AggregateID)
			require.Zero(t, parked[2].Tries)
			require.Empty(t, parked[2].Error, "it only waits")

			result, err := manager.Retry(t.Context(), "balances", readview.RetryOptions{})
			require.NoError(t, err)
			require.Zero(t, result.Applied)
			require.Len(t, result.Failed, 2)
			require.Equal(t, 14, result.Left)
			require.Equal(t, 3, result.Failed[0].Tries)

			cured.Store(true)
			_, err = manager.Retry(t.Context(), "balances", readview.RetryOptions{AggregateID: "account-2"})
			require.ErrorIs(t, err, readview.ErrNotParked)
			result, err = manager.Retry(t.Context(), "balances", readview.RetryOptions{AggregateID: "account-1"})
			require.NoError(t, err)
			require.Equal(t, readview.RetryResult{Applied: 7, Left: 7}, result)
			b.waitFor(manager, b.record("account-1", &Deposited{Amount: 5}))
			result, err = manager.Retry(t.Context(), "balances", readview.RetryOptions{})
			require.NoError(t, err)
			require.Equal(t, readview.RetryResult{Applied: 7}, result)
			b.waitFor(manager, b.record("account-3", &Deposited{Amount: 6}))
			require.Zero(t, b.status(manager, "balances").Parked)

			require.Equal(t, []string{"account-0 10", "account-1 114", "account-2 10", "account-3 115", "account-4 10"},
				b.rows(`SELECT account || ' ' || amount FROM balance ORDER BY account`))
			require.Empty(t, b.rows(`SELECT a.position FROM (SELECT j.*, e.aggregate_id FROM journal j JOIN events e ON e.tstamp = j.position) a
				JOIN (SELECT j.*, e.aggregate_id FROM journal j JOIN events e ON e.tstamp = j.position) b
				ON a.aggregate_id = b.aggregate_id AND a.entry < b.entry AND a.position > b.position`), "each stream's in order")
		})
	}
}

// Of a projection that has never run nothing is parked.
func TestRetryOfWhatHasNeverRun(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	manager, _ := b.manager(fast(), balances())
	result, err := manager.Retry(t.Context(), "balances", readview.RetryOptions{})
	require.NoError(t, err)
	require.Zero(t, result)
	_, err = manager.Retry(t.Context(), "balances", readview.RetryOptions{AggregateID: "account-0"})
	require.ErrorIs(t, err, readview.ErrNotParked)
}

func TestParkingByHand(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	position := b.record("account-1", &Deposited{Amount: 99})
	last := b.deposit(10)
	var cured atomic.Bool
	manager, router := b.manager(fast(), poisoned(&cured, failing))
	b.start(router)
	require.Equal(t, position, b.failed(manager, "balances").Position)
	require.ErrorIs(t, manager.Park(t.Context(), "balances", last, "later"), readview.ErrNotThere)
	require.NoError(t, manager.Park(t.Context(), "balances", position, "later"))
	b.waitFor(manager, last)
	require.EqualValues(t, 3, b.status(manager, "balances").Parked)

	require.NoError(t, manager.Skip(t.Context(), "balances", position, "never"), "one that is parked")
	status := b.status(manager, "balances")
	require.EqualValues(t, 2, status.Parked, "those behind it stay")
	require.EqualValues(t, 1, status.Skipped)
	result, err := manager.Retry(t.Context(), "balances", readview.RetryOptions{})
	require.NoError(t, err)
	require.Equal(t, readview.RetryResult{Applied: 2}, result)
	require.EqualValues(t, 10, b.int(`SELECT count(*) FROM journal`))
}

func TestParkingHasALimit(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.record("account-1", &Deposited{Amount: 99}, &Deposited{Amount: 1})
	third := b.record("account-1", &Deposited{Amount: 1})
	var cured atomic.Bool
	projection := poisoned(&cured, failing)
	projection.OnFailure = readview.ParkFailures
	config := fast()
	config.MaxParked = 2
	manager, router := b.manager(config, projection)
	b.start(router)
	failure := b.failed(manager, "balances")
	require.Equal(t, third, failure.Position)
	require.Contains(t, failure.Error, "MaxParked")
	cured.Store(true)
	_, err := manager.Retry(t.Context(), "balances", readview.RetryOptions{})
	require.NoError(t, err)
	require.NoError(t, manager.Resume(t.Context(), "balances"))
	b.waitFor(manager, third)
	b.requireExact(third)
}

func TestNothingIsParkedForAFaultOfTheDatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken, mended string
		stops          bool
	}{
		"a table that is not there": {`ALTER TABLE balance RENAME TO elsewhere`, `ALTER TABLE elsewhere RENAME TO balance`, true},
		"a permission that is not there": {`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$;
			CREATE TRIGGER refuse BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION refuse()`, `DROP FUNCTION refuse CASCADE`, true},
		"a disk that is full": {`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$;
			CREATE TRIGGER refuse BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION refuse()`, `DROP FUNCTION refuse CASCADE`, false},
		"a server that is damaged": {`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE data_corrupted; END $$;
			CREATE TRIGGER refuse BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION refuse()`, `DROP FUNCTION refuse CASCADE`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			projection := balances()
			projection.OnFailure = readview.ParkFailures
			manager, router := b.manager(fast(), projection)
			b.start(router)
			b.waitFor(manager, b.deposit(5))
			b.exec(c.broken)
			last := b.deposit(5)
			if c.stops {
				b.failed(manager, "balances")
			} else {
				b.eventually("it is tried for ever", func() bool {
					s := b.status(manager, "balances")
					return s.State == consumer.Retrying && s.Failure.Attempts > 4
				})
			}
			require.Zero(t, b.status(manager, "balances").Parked)
			b.exec(c.mended)
			require.NoError(t, manager.Resume(t.Context(), "balances"))
			b.waitFor(manager, last)
			b.requireExact(last)
		})
	}
}
