package readview_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

// One cell that is changed by hand among a million is found and named, at no more than 1.5 times the cost of a replay. With
// SOAK and -v it says what took how long.
func TestOneCellAmongMany(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	n := int64(soak.Times(2_000, 1_000_000))
	b.exec(`CREATE TABLE entry (position BIGINT PRIMARY KEY, account TEXT NOT NULL, amount BIGINT NOT NULL, note TEXT NOT NULL); CREATE INDEX ON entry (account)`)
	const first = 1_700_000_000_000_000
	b.exec(`INSERT INTO events (tstamp, id, name, aggregate_name, aggregate_id, version, occurred_at, payload)
		SELECT $1::bigint + n, gen_random_uuid(), 'Deposited', 'bank.Account', 'account-' || n % 1000, 1 + n / 1000, now(), jsonb_build_object('Amount', n % 977) FROM generate_series(0, $2::bigint - 1) AS n`, int64(first), n)
	b.exec(`ANALYZE events`)
	projection := readview.Projection{Name: "entries", Tables: []string{"entry"}, Handlers: readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		return readview.Exec(ctx, tx, `INSERT INTO entry VALUES ($1, $2, $3, 'as it came')`, int64(eventsourced.FromContext(ctx).Position), e.AggregateID(), e.Amount)
	})}}
	config := fast()
	config.PageEvents = 0 // the default
	manager, router := b.manager(config, projection)
	began := time.Now()
	b.start(router)
	ctx, cancel := context.WithTimeout(t.Context(), soak.For(time.Minute, time.Hour))
	defer cancel()
	require.NoError(t, manager.WaitFor(ctx, eventsourced.Position(first+n-1)))
	t.Logf("%d events applied in %s", n, time.Since(began))

	verified := func(events int) readview.Verified {
		t.Helper()
		began := time.Now()
		var replayed time.Duration
		found, err := manager.Verify(ctx, "entries", readview.VerifyOptions{Events: events, Progress: func(p readview.RebuildProgress) {
			if replayed == 0 && p.Phase == readview.PhaseComparing {
				replayed = time.Since(began)
			}
		}})
		require.NoError(t, err)
		require.EqualValues(t, n, found.Events)
		t.Logf("verified in %s, of which %s are the replay; all in all %s", found.Took, replayed, time.Since(began))
		if soak.On {
			require.Less(t, found.Took.Seconds(), 1.5*replayed.Seconds())
		}
		return found
	}
	require.True(t, verified(0).Equal)
	at := eventsourced.Position(first + rand.N(n))
	b.exec(`UPDATE entry SET amount = amount + 1 WHERE position = $1`, int64(at))
	found := verified(1).Tables[0]
	require.EqualValues(t, 1, found.Differing)
	require.Equal(t, map[string]int64{"amount": 1}, found.Columns)
	require.Equal(t, []readview.TouchingEvent{{Position: at, Name: "Deposited", Op: "INSERT"}}, found.First[0].Events)

	began = time.Now()
	made, err := manager.Explain(ctx, "entries", readview.ExplainOptions{Where: "account = 'account-7'", Limit: 5})
	require.NoError(t, err)
	t.Logf("explained in %s", time.Since(began))
	last := eventsourced.Position(first + n - 1000 + 7)
	require.Equal(t, last, made.Steps[len(made.Steps)-1].Position, "the last event of that account")
}
