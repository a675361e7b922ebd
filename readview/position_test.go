package readview_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

// progressTable is a position store of an application: its own table, its own columns,
// and its own names, as several applications share the table.
type progressTable struct{ application string }

const progressDDL = `CREATE TABLE progress (whose TEXT PRIMARY KEY, done_until BIGINT NOT NULL)`

func (p progressTable) Lock(ctx context.Context, tx readview.Tx, name string) (at eventsourced.Position, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO progress (whose, done_until) VALUES ($1, 0)
		ON CONFLICT (whose) DO UPDATE SET whose = EXCLUDED.whose RETURNING done_until`, p.application+"/"+name).Scan((*int64)(&at))
	return at, err
}

func (p progressTable) Set(ctx context.Context, tx readview.Tx, name string, to eventsourced.Position) error {
	return readview.ExecOne(ctx, tx, `UPDATE progress SET done_until = $2 WHERE whose = $1`, p.application+"/"+name, int64(to))
}

func (p progressTable) Positions(ctx context.Context, tx readview.Tx, names ...string) (map[string]eventsourced.Position, error) {
	all := map[string]eventsourced.Position{}
	rows, err := tx.QueryContext(ctx, `SELECT substr(whose, length($1) + 2), done_until FROM progress
		WHERE whose = ANY(SELECT $1 || '/' || n FROM unnest($2::text[]) AS n)`, p.application, names)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var at int64
		if err := rows.Scan(&name, &at); err != nil {
			return nil, err
		}
		all[name] = eventsourced.Position(at)
	}
	return all, rows.Err()
}

func TestPositionStores(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(progressDDL)
	db := b.db.SQL()
	for name, store := range map[string]readview.PositionStore{
		"the table readviews":              readview.Positions{},
		"the table readviews, of a schema": readview.Positions{Schema: b.db.Schema},
		"a table of the application":       progressTable{"bank"},
	} {
		t.Run(name, func(t *testing.T) { readviewtest.TestPositionStore(t, store, db) })
	}
}

// A manager keeps its positions where it is told to, and nothing else changes: not exactly-once, nor
// resets, pauses, waits and states.
func TestManagerWithPositionsOfTheApplication(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]readview.PositionStore{"ours": progressTable{"bank"}, "readviews": readview.Positions{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.exec(progressDDL)
			config := fast()
			config.Positions, config.PageEvents, config.Schema = store, 7, b.db.Schema
			first, firstRouter := b.manager(config, balances())
			second, secondRouter := b.manager(config, balances())
			b.deposit(20)
			b.start(firstRouter)
			b.start(secondRouter)
			last := b.deposit(20)
			b.waitFor(first, last)
			b.waitFor(second, last)
			b.requireExact(last)
			require.Equal(t, last, b.status(first, "balances").Position)
			if name == "ours" {
				require.Zero(t, b.int(`SELECT count(*) FROM readviews`))
				require.EqualValues(t, last, b.int(`SELECT done_until FROM progress WHERE whose = 'bank/balances'`))
			}

			require.NoError(t, first.ResetProjection(t.Context(), "balances"))
			b.waitFor(second, last)
			b.requireExact(last)

			require.NoError(t, first.Pause(t.Context(), "balances"))
			late := b.deposit(3)
			require.ErrorIs(t, first.WaitFor(t.Context(), late), readview.ErrNotRunning)
			require.Equal(t, last, b.status(second, "balances").Position)
			require.NoError(t, second.Resume(t.Context(), "balances"))
			b.waitFor(first, late)
			b.requireExact(late)

			consistency, err := readview.NewConsistency(t.Context(), first, b.pool, readview.ConsistencyConfig{Keys: [][]byte{make([]byte, readview.MinKey)}, Limit: time.Minute})
			require.NoError(t, err)
			latest := b.deposit(2)
			result, err := consistency.Wait(t.Context(), consistency.Token(latest))
			require.NoError(t, err)
			require.True(t, result.Satisfied)
			require.GreaterOrEqual(t, result.Projections[0].Position, latest)
		})
	}
}
