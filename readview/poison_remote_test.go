package readview_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	shared "github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview"
)

// The other context has the log: what is parked, or has failed, is kept here.
func TestPoisonEventOfAnotherContext(t *testing.T) {
	t.Parallel()
	for name, registries := range split {
		for _, policy := range []readview.OnFailure{readview.StopAtFailure, readview.ParkFailures} {
			t.Run(fmt.Sprintf("%s, policy %d", name, policy), func(t *testing.T) {
				t.Parallel()
				b := newBus(1, 0)
				c := newEvolvedContexts(t, b, registries[0]())
				c.old(oldPeople(1)[:4]...)
				position := c.old(shared.Old("Registered", `{"Name": "Eve", "Town": "Nowhere"}`))
				last := c.old(oldPeople(1)...)
				c.startRelayOver(b)
				var cured atomic.Bool
				projection := people(func(e *shared.Relocated) error {
					if e.Town == "Nowhere" && !cured.Load() {
						return errNowhere
					}
					return nil
				})
				projection.OnFailure = policy
				manager, router := c.peopleManager(b, registries[1](), projection)
				c.start(router)
				if policy == readview.StopAtFailure {
					require.Equal(t, position, c.branch.failed(manager, "people").Position)
					shown, err := manager.Show(t.Context(), "people", 0)
					require.NoError(t, err)
					require.Len(t, shown.Parts, 2)
					require.NoError(t, manager.Park(t.Context(), "people", position, "later"))
				}
				c.branch.waitFor(manager, last)
				c.branch.waitFor(manager, c.old(oldPeople(1)...))

				shown, err := manager.Show(t.Context(), "people", position)
				require.NoError(t, err)
				require.True(t, shown.Parked)
				require.Empty(t, shown.Problem)
				require.JSONEq(t, `{"Town": "Nowhere"}`, string(shown.Parts[1].Payload))
				rehearsal, err := manager.DryRun(t.Context(), "people", position)
				require.NoError(t, err)
				require.Equal(t, errNowhere.Error(), rehearsal.Error)
				require.Len(t, rehearsal.Changes, 2, "of both parts")
				_, err = manager.DryRun(t.Context(), "people", position+1)
				require.ErrorContains(t, err, "with the other context")

				result, err := manager.Retry(t.Context(), "people", readview.RetryOptions{})
				require.NoError(t, err)
				require.Len(t, result.Failed, 1)
				cured.Store(true)
				result, err = manager.Retry(t.Context(), "people", readview.RetryOptions{AggregateID: "p"})
				require.NoError(t, err)
				require.Zero(t, result.Left)
				c.branch.requireParts(c.bank)
			})
		}
	}
}

// Nodes apply, park and retry at the same time, and each event counts once, each stream's in order.
func TestParkingAmongNodes(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	var cured atomic.Bool
	projection := poisoned(&cured, failing)
	projection.OnFailure = readview.ParkFailures
	config := fast()
	config.Attempts, config.PageEvents = 1, 5
	var managers []*readview.Manager
	for range 3 {
		manager, router := b.manager(config, projection)
		b.start(router)
		managers = append(managers, manager)
	}
	for i := range 5 {
		b.record(fmt.Sprintf("account-%d", i), &Deposited{Amount: 99})
	}
	b.deposit(20)
	cured.Store(true)
	var working sync.WaitGroup
	for _, manager := range managers {
		working.Go(func() {
			for range 3 {
				_, err := manager.Retry(t.Context(), "balances", readview.RetryOptions{})
				require.NoError(t, err)
			}
		})
	}
	last := b.deposit(40)
	working.Wait()
	b.waitFor(managers[0], last)
	_, err := managers[0].Retry(t.Context(), "balances", readview.RetryOptions{})
	require.NoError(t, err)
	require.Zero(t, b.status(managers[0], "balances").Parked)
	require.Zero(t, b.int(`SELECT count(*) FROM readview_parked`))
	require.Equal(t, b.rows(`SELECT tstamp || ' ' || (payload->>'Amount') FROM events ORDER BY tstamp`),
		b.rows(`SELECT position || ' ' || amount FROM journal ORDER BY position`), "each once")
	require.Equal(t, []string{"account-0 111 13", "account-1 111 13", "account-2 111 13", "account-3 111 13", "account-4 111 13"},
		b.rows(`SELECT account || ' ' || amount || ' ' || version FROM balance ORDER BY account`), "the last version is that of the last event")
}

// A process dies at each point of parking and of a retry: nothing is lost or done twice.
func TestParkedEventOfAProcessThatDied(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	position := b.record("account-1", &Deposited{Amount: 99})
	last := b.deposit(3)
	var cured atomic.Bool
	projection := poisoned(&cured, failing)
	projection.OnFailure = readview.ParkFailures
	manager, router := b.manager(fast(), projection)
	b.start(router)
	b.waitFor(manager, last)
	parked, err := manager.Parked(t.Context(), "balances")
	require.NoError(t, err)
	require.Len(t, parked, 2)
	require.Equal(t, position, parked[0].Position)

	cured.Store(true)
	b.exec(`CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
		CREATE CONSTRAINT TRIGGER die AFTER DELETE ON readview_parked DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()`) // in the commit
	_, err = manager.Retry(t.Context(), "balances", readview.RetryOptions{})
	require.Error(t, err)
	require.EqualValues(t, 2, b.status(manager, "balances").Parked)
	require.EqualValues(t, 2, b.int(`SELECT count(*) FROM journal`), "the two of others")
	b.exec(`DROP TRIGGER die ON readview_parked`)
	result, err := manager.Retry(t.Context(), "balances", readview.RetryOptions{})
	require.NoError(t, err)
	require.Equal(t, readview.RetryResult{Applied: 2}, result)
	require.EqualValues(t, 4, b.int(`SELECT count(*) FROM journal`))
}
