package operate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/readview"
)

// Of several projections, none is touched when one of them can't be; what could not be told is in what programs read.
func TestSeveralProjectionsAreRebuiltOrNone(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	b.live(5)
	_, err := b.db.Pool.Exec(t.Context(), `CREATE TABLE odd (n BIGINT PRIMARY KEY); CREATE RULE r AS ON DELETE TO odd DO INSTEAD NOTHING; UPDATE deposit SET amount = 6`)
	require.NoError(t, err)
	odd := b.projection
	odd.Name, odd.Tables = "odd", []string{"odd"}
	b.others = []readview.Projection{odd}
	amount := func() (amount int64) {
		require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT amount FROM deposit`).Scan(&amount))
		return amount
	}

	code, out, said := b.run("readviews rebuild deposits odd --json")
	require.Equal(t, operate.ExitFailed, code, out)
	require.Contains(t, said, "rebuild odd: it can't be done beside the live tables: table odd has a rule, r")
	require.Contains(t, said, "\nnothing was done")
	require.Regexp(t, `^\[\s+\{\s+"projection": "deposits",\s+"error": "nothing was done"\s+\},\s+\{\s+"projection": "odd",\s+"error": "rebuild odd: it can't be done`, out)
	code, out, _ = b.run("readviews rebuild deposits odd --json --dry-run")
	require.Equal(t, operate.ExitFailed, code, out)
	require.Regexp(t, `"projection": "deposits",\s+"events": 1,[^}]*\},\s+\{\s+"projection": "odd",\s+"error": "rebuild odd: it can't be done`, out)
	code, _, said = b.run("readviews rebuild deposits deposits")
	require.Equal(t, operate.ExitUsage, code)
	require.Contains(t, said, "deposits is named twice")
	code, _, said = b.run("readviews rebuild deposits --patience=-1s")
	require.Equal(t, operate.ExitUsage, code)
	require.Contains(t, said, "--patience is -1s")
	code, _, said = b.run("readviews show deposits --position 5")
	require.Equal(t, operate.ExitFailed, code)
	require.Contains(t, said, "position 5 of deposits: there is no such event")
	code, out, said = b.run("readviews log deposist")
	require.Equal(t, operate.ExitUsage, code, out)
	require.Contains(t, said, `unknown name "deposist", want one of: deposits, odd; did you mean deposits?`)
	require.Contains(t, b.done("readviews log deposits"), "OUTCOME", "known, and nothing was done")
	require.NoError(t, b.manager().Record(t.Context(), "gone", "look", nil))
	require.Contains(t, b.done("readviews log gone"), "look", "a projection that is no more")
	require.EqualValues(t, 6, amount())

	code, out, said = b.run("readviews verify deposits odd --json")
	require.Equal(t, operate.ExitFailed, code, said)
	var all []struct {
		Projection string
		Equal      *bool
		Error      string
	}
	require.NoError(t, json.Unmarshal([]byte(out), &all), out)
	require.Len(t, all, 2)
	require.False(t, *all[0].Equal)
	require.Nil(t, all[1].Equal)
	require.Equal(t, "odd", all[1].Projection)
	require.Contains(t, all[1].Error, "table odd has a rule")

	require.Contains(t, b.done("readviews rebuild deposits"), "0 rows inserted, 1 updated")
	require.Regexp(t, `deposits +kept .* kept until .* what was there before the apply at .*, at position \d+\n`, b.done("readviews cleanup deposits --dry-run"))
	require.Contains(t, b.done("readviews rollback deposits --dry-run"), "deposits: would replay 0 events on what is kept of deposit, then write the rows that differ")
	code, _, said = b.run("readviews rollback deposits odd")
	require.Equal(t, operate.ExitFailed, code)
	require.Contains(t, said, "rollback odd: it can't be done")
	require.EqualValues(t, 5, amount(), "nothing is rolled back")
	require.Contains(t, b.done("readviews rollback deposits"), "1 updated")
	require.Regexp(t, `\np\d+ +\S+ +projection +deposits +rollback `, b.done("readviews log"), "an operation has a name, whichever of the logs it is in")
	require.EqualValues(t, 6, amount())
	require.Regexp(t, `\n\ndeposits: last rollback done at \S+: 0 events replayed .*\ndeposits: last verify done at \S+: not equal, .*\n$`, b.done("readviews status"), "a line each")
}

// What the database adds to an error is on no record, as it may have values of rows; who is shown the error is told where it is to be had.
func TestShowLeadsToWhatTheDatabaseAdds(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	_, err := b.db.Pool.Exec(t.Context(), "CREATE UNIQUE INDEX \"odd\x1b[2J\" ON deposit (amount); INSERT INTO deposit VALUES (-1, 5)")
	require.NoError(t, err)
	last, err := bank.Accounts(b.store).Update(t.Context(), "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 5}) })
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	manager, ran := b.manager(), make(chan error, 1)
	go func() { ran <- manager.Run(ctx) }()
	require.ErrorIs(t, manager.WaitFor(t.Context(), last), readview.ErrNotRunning)
	stop()
	require.NoError(t, <-ran)
	show := b.done("readviews show deposits")
	require.Contains(t, show, "at the statement:")
	require.Contains(t, show, fmt.Sprintf("'bank readviews dry-run deposits --position %d' tells what the database adds", last))
	_, would, said := b.run("readviews dry-run deposits")
	require.Contains(t, would, "already exists")

	// Whoever has written it, a terminal does not act on it.
	all := show + would + said + b.done("readviews status")
	_, out, said := b.run("readviews status --check")
	all += out + said + b.done(fmt.Sprintf("readviews park deposits --position %d --reason \x1b[31m", last)) + b.done("readviews parked deposits") + b.done("readviews log")
	require.NotContains(t, all, "\x1b")
	require.Contains(t, show, `"odd\x1b[2J"`)
}
