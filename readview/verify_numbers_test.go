package readview_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// A page that was rolled back has burnt numbers of sequences, which a replay draws anew: that makes no difference, and is said.
func TestVerifyOfNumbersThatAPageHasBurnt(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(`
		CREATE TABLE visitor (id BIGSERIAL PRIMARY KEY, account TEXT UNIQUE NOT NULL, code BIGINT GENERATED ALWAYS AS (id * 10) STORED);
		CREATE TABLE visit (visitor BIGINT NOT NULL REFERENCES visitor, position BIGINT NOT NULL UNIQUE, note TEXT, PRIMARY KEY (visitor, position));
		CREATE TABLE counted (id BIGSERIAL PRIMARY KEY);
		CREATE TABLE noted (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account TEXT NOT NULL, counted BIGINT REFERENCES counted)`)
	var failed atomic.Bool
	visits := readview.Projection{Name: "visits", Tables: []string{"visitor", "visit"}, Handlers: readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if err := readview.Exec(ctx, tx, `INSERT INTO visitor (account) VALUES ($1) ON CONFLICT DO NOTHING`, e.AggregateID()); err != nil {
			return err
		}
		if eventsourced.FromContext(ctx).Version == 2 && failed.CompareAndSwap(false, true) {
			return errThirteen
		}
		return readview.Exec(ctx, tx, `INSERT INTO visit (visitor, position) SELECT id, $2 FROM visitor WHERE account = $1`, e.AggregateID(), int64(eventsourced.FromContext(ctx).Position))
	})}}
	var failedToo atomic.Bool
	keyless := readview.Projection{Name: "keyless", Tables: []string{"noted", "counted"}, Handlers: readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		if err := readview.Exec(ctx, tx, `INSERT INTO counted DEFAULT VALUES`); err != nil {
			return err
		}
		if err := readview.Exec(ctx, tx, `INSERT INTO noted (account, counted) SELECT $1, max(id) FROM counted`, e.AggregateID()); err != nil {
			return err
		}
		if eventsourced.FromContext(ctx).Version == 2 && failedToo.CompareAndSwap(false, true) {
			return errThirteen
		}
		return nil
	})}}
	last := b.deposit(12)
	manager, router := b.manager(fast(), visits, keyless)
	stop := b.start(router)
	b.waitFor(manager, last)
	stop()
	for _, table := range []string{"visitor", "noted", "counted"} {
		require.Greater(t, b.int(`SELECT max(id) - count(*) FROM `+table), int64(0), "numbers of %s are burnt", table)
	}
	verified := func(name string) readview.Verified {
		t.Helper()
		found, err := manager.Verify(t.Context(), name, readview.VerifyOptions{})
		require.NoError(t, err)
		return found
	}
	left := []readview.LeftOutColumn{{Column: "id", Why: "a sequence fills it"}, {Column: "code", Why: "it is computed from id"}}

	found := verified("visits")
	require.True(t, found.Equal, "%+v", found)
	require.Equal(t, left, found.Tables[0].LeftOut)
	require.Empty(t, found.Tables[1].LeftOut, "of the visitor, the account is compared")
	require.True(t, found.Tables[0].Keyed && found.Tables[1].Keyed, "by another key")
	sample, err := manager.Verify(t.Context(), "visits", readview.VerifyOptions{Sample: 20})
	require.NoError(t, err)
	require.True(t, sample.Equal, "%+v", sample)
	require.Positive(t, sample.Sampled)

	// A row that refers to the wrong one.
	refer := func(to string) {
		b.exec(`UPDATE visit SET visitor = (SELECT id FROM visitor WHERE account = $1) WHERE position = (SELECT min(tstamp) FROM events)`, to)
	}
	refer("account-1")
	found = verified("visits")
	require.Equal(t, map[string]int64{"visitor -> visitor.account": 1}, found.Tables[1].Columns)
	wrong := found.Tables[1].First[0]
	require.Equal(t, []string{"account-1", "account-0"}, []string{*wrong.Columns["visitor -> visitor.account"][0], *wrong.Columns["visitor -> visitor.account"][1]})
	require.NotContains(t, string(wrong.Live), "->", "the row has its own columns")
	sample, err = manager.Verify(t.Context(), "visits", readview.VerifyOptions{Sample: 20})
	require.NoError(t, err)
	require.EqualValues(t, 1, sample.Tables[1].Differing)
	_, err = manager.Rebuild(t.Context(), "visits", readview.RebuildOptions{Verify: true})
	require.ErrorIs(t, err, readview.ErrDiffers)
	require.ErrorContains(t, err, "visit: 0 rows lacking, 1 different, 0 too many; a handler")

	found = verified("keyless")
	require.True(t, found.Equal, "%+v", found)
	require.False(t, found.Tables[0].Keyed)
	require.Equal(t, []readview.LeftOutColumn{left[0], {Column: "counted", Why: "it refers to counted.id"}}, found.Tables[0].LeftOut, "which has no key from the events")
	require.EqualValues(t, 12, found.Tables[1].Rows)
	b.exec(`UPDATE noted SET account = 'nobody' WHERE id = (SELECT min(id) FROM noted); UPDATE noted SET counted = NULL; DELETE FROM counted WHERE id = (SELECT max(id) FROM counted)`)
	found = verified("keyless")
	require.False(t, found.Equal)
	require.Equal(t, []int64{1, 1}, []int64{found.Tables[0].Missing, found.Tables[0].Extra})
	require.Equal(t, []int64{1, 0}, []int64{found.Tables[1].Missing, found.Tables[1].Extra}, "the rows are counted when nothing else can be compared")

	b.exec(`ALTER TABLE visit DROP CONSTRAINT visit_position_key`)
	found = verified("visits")
	require.Equal(t, []int64{1, 1}, []int64{found.Tables[1].Missing, found.Tables[1].Extra}, "without a key that comes from the events, too")
	refer("account-0")
	require.True(t, verified("visits").Equal)
	_, err = manager.PlanRebuild(t.Context(), "visits", readview.RebuildOptions{Verify: true})
	require.ErrorIs(t, err, readview.ErrImpossible)
	require.ErrorContains(t, err, "table visit has no key that a replay makes again: of visitor, position one follows a column that is no function of the events")
	_, err = manager.PlanRebuild(t.Context(), "visits", readview.RebuildOptions{})
	require.NoError(t, err, "what it is to be told by does not matter to what is written")

	b.exec(`ALTER TABLE visit ADD UNIQUE (position)`)
	done, err := manager.Rebuild(t.Context(), "visits", readview.RebuildOptions{Verify: true})
	require.NoError(t, err, "as the verification says")
	require.Equal(t, []string{
		"visitor: 5 rows had other numbers of a sequence in id, code, and nothing else that differs; verify leaves that out",
		"visit: 12 rows had other numbers of a sequence in visitor, and nothing else that differs; verify leaves that out",
	}, done.Warnings)
	require.Equal(t, b.rows(`SELECT aggregate_id FROM events ORDER BY tstamp`), b.rows(`SELECT account FROM visitor JOIN visit ON visitor = id AND code = 10 * id ORDER BY position`))
	b.exec(`UPDATE visit SET note = 'x' WHERE position = $1`, int64(last))
	require.EqualValues(t, map[string]int64{"note": 1}, verified("visits").Tables[1].Columns)
	_, err = manager.Rebuild(t.Context(), "visits", readview.RebuildOptions{Verify: true})
	require.ErrorIs(t, err, readview.ErrDiffers)
	require.ErrorContains(t, err, "visit: 0 rows lacking, 1 different, 0 too many; a handler")
}
