package readview_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

// The live tables are untouched or done, wherever a rebuild or a rollback dies; the next one goes on, and nothing is left over.
func TestRebuildKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	// The shadows are made and filled in the same way for a swap, and by a rollback.
	filled := []string{"shadow locked", "shadow applied", "shadow advanced", "shadow committed", "replayed", "indexed", "caught up"}
	if !soak.On {
		filled = []string{"shadow committed", "caught up"}
	}
	applied, swapped := []string{"held", "compared", "applied rows"}, []string{"gate", "held", "locked tables", "swapped"}
	for name, points := range map[string][][]string{
		"rebuild apply":  {{"building", "built"}, filled, applied},
		"rebuild swap":   {swapped},
		"rollback apply": {{"restoring", "shadow applied"}, {"applied rows"}},
		"rollback swap":  {{"restoring", "caught up"}, {"swapped"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command, how, _ := strings.Cut(name, " ")
			c := newCrashes(t, command, how)
			for _, point := range append(slices.Concat(points...), "replaced", "concluded") {
				c.dies(point, 1)
			}
		})
	}
}

// Verifications change nothing, wherever they die.
func TestVerifyKilled(t *testing.T) {
	t.Parallel()
	b, manager, _ := ledgerBank(t, 20)
	for _, point := range []string{"building", "shadow applied", "replayed", "compared"} {
		require.ErrorContains(t, b.spawn(childDoes+"=verify", childDies+"=SIGKILL "+point+" 1").Wait(), "killed")
		found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{})
		require.NoError(t, err)
		require.True(t, found.Equal)
		b.requireNothingLeft()
	}
}

// What a program has left that died, another one with other handlers does not go on with.
func TestAnotherProgramBeginsAnew(t *testing.T) {
	t.Parallel()
	b, _, _ := ledgerBank(t, 20)
	changed := func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if err := onLedger(ctx, tx, e); err != nil {
			return err
		}
		return readview.Exec(ctx, tx, `UPDATE ledger SET note = 'new' WHERE position = $1`, int64(eventsourced.FromContext(ctx).Position))
	}
	manager, _ := b.manager(fast(), ledger(readview.On(changed)))
	readview.SetExecutable(manager, "another")
	died := func(command string) {
		t.Helper()
		require.ErrorContains(t, b.spawn(childDoes+"="+command, childDies+"=SIGKILL shadow committed 2").Wait(), "killed")
	}
	died("verify")
	found, err := manager.Verify(t.Context(), "ledger", readview.VerifyOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 20, found.Tables[1].Differing, "all rows lack its note")
	died("rebuild apply")
	_, err = manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 20, b.int(`SELECT count(*) FROM ledger WHERE note = 'new'`))
}

// Kills at random moments, while writers append and a node runs the projection.
func TestRebuildKilledAtRandom(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"apply", "swap"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			c := newCrashes(t, "rebuild", how)
			stop := c.write(2)
			for range soak.Times(2, 100) {
				node := c.spawn(childDoes+"="+c.command+" "+how, fmt.Sprint(childPage, "=", 20))
				time.Sleep(rand.N(700 * time.Millisecond))
				_ = node.Process.Kill()
				_ = node.Wait()
				c.requireConsistentLedger()
			}
			stop()
			c.again()
		})
	}
}

// crashes is a bank in which a rebuild or a rollback dies, again and again.
type crashes struct {
	*bank
	manager      *readview.Manager
	command, how string
	last         eventsourced.Position
}

func newCrashes(t *testing.T, command, how string) *crashes {
	t.Helper()
	c := &crashes{command: command, how: how}
	c.bank, c.manager, c.last = ledgerFor(t, readview.How(how), 20)
	if command == "rollback" {
		c.exec(`UPDATE ledger SET note = 'before'`)
		_, err := c.manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: readview.How(how)})
		require.NoError(t, err)
	}
	return c
}

// dies has it die at a point that it passes so many times.
func (c *crashes) dies(point string, times int) {
	t := c.t
	t.Helper()
	if c.command == "rebuild" {
		c.exec(`UPDATE ledger SET note = 'before'`)
	} else {
		c.last = c.deposit(1) // there is something to replay
		c.waitFor(c.manager, c.last)
	}
	before := c.rows(`SELECT ledger::text FROM ledger ORDER BY position`)
	node := c.spawn(childDoes+"="+c.command+" "+c.how, fmt.Sprintf("%s=SIGKILL %s %d", childDies, point, times))
	require.ErrorContains(t, node.Wait(), "killed", point)
	if point != "concluded" {
		require.Equal(t, before, c.rows(`SELECT ledger::text FROM ledger ORDER BY position`), point)
	}
	if c.command == "rollback" && point == "concluded" {
		return
	}
	c.again()
}

// again does it in this process, to the end.
func (c *crashes) again() {
	t := c.t
	t.Helper()
	options := readview.RebuildOptions{How: readview.How(c.how)}
	var err error
	if c.command == "rollback" {
		before := c.int(`SELECT count(*) FROM ledger WHERE note = 'before'`)
		_, err = c.manager.Rollback(t.Context(), "ledger", options)
		require.NoError(t, err)
		require.Equal(t, before == 0, c.int(`SELECT count(*) FROM ledger WHERE note = 'before'`) == 20, "what was there is back")
	} else {
		_, err = c.manager.Rebuild(t.Context(), "ledger", options)
		require.NoError(t, err)
		c.last = c.deposit(1)
		c.waitFor(c.manager, c.last)
		c.requireLedger(c.last)
	}
	c.requireNothingLeft("kept")
	require.NotZero(t, c.int(`SELECT count(*) FROM ledger`))
}

// requireConsistentLedger fails unless, in one snapshot, the ledger has exactly the events up to its position.
func (b *bank) requireConsistentLedger() {
	b.t.Helper()
	require.Zero(b.t, b.int(`SELECT (SELECT count(*) FROM ledger) - count(*) FROM events, readviews r WHERE r.name = 'ledger' AND tstamp <= r.position AND events.name = 'Deposited'`))
	require.Zero(b.t, b.int(`SELECT (SELECT sum(deposits) FROM total)::bigint - (SELECT count(*) FROM ledger)`))
}
