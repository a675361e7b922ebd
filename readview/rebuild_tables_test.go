package readview_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// Tables with all that a table may have are rebuilt, and keep it.
func TestRebuildOfTablesOfEveryKind(t *testing.T) {
	t.Parallel()
	const kinds = `
		CREATE SEQUENCE odd_name;
		CREATE TABLE parent (account TEXT PRIMARY KEY, n BIGINT NOT NULL DEFAULT nextval('odd_name'), rank BIGINT UNIQUE NOT NULL, made INT GENERATED ALWAYS AS (1) STORED,
			doc JSON, spot POINT, loaded TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), filled TEXT, "odd ""column" NUMERIC(10, 2) DEFAULT 1.5, EXCLUDE USING btree (rank WITH =)) WITH (fillfactor = 70);
		ALTER SEQUENCE odd_name OWNED BY parent.n;
		CREATE TABLE child (position BIGINT PRIMARY KEY, id BIGINT GENERATED ALWAYS AS IDENTITY, account TEXT NOT NULL REFERENCES parent ON DELETE CASCADE, before BIGINT REFERENCES child);
		CREATE INDEX child_account ON child (account) INCLUDE (id) WHERE position > 0;
		CREATE UNIQUE INDEX parent_lower ON parent (lower(account) text_pattern_ops);
		CREATE STATISTICS parent_statistics ON rank, filled FROM parent;
		COMMENT ON TABLE parent IS 'it''s a parent'; COMMENT ON INDEX child_account IS 'mine';
		ALTER TABLE parent ALTER rank SET STATISTICS 7;
		CREATE POLICY own ON parent AS RESTRICTIVE FOR SELECT TO pg_monitor USING (account <> 'account-0'); COMMENT ON POLICY own ON parent IS 'hidden';
		ALTER TABLE parent ENABLE ROW LEVEL SECURITY;
		CREATE INDEX parent_rank ON parent (rank, (rank + n)); ALTER TABLE parent CLUSTER ON parent_rank; ALTER INDEX parent_rank ALTER COLUMN 2 SET STATISTICS 9;
		GRANT SELECT ON child TO PUBLIC; GRANT UPDATE (rank) ON parent TO pg_monitor;
		CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.filled = upper(NEW.account); RETURN NEW; END';
		CREATE TRIGGER fill BEFORE INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION fill();`
	projection := readview.Projection{
		Name: "kinds", Tables: []string{"child", "parent"}, Triggers: []string{"fill"}, NotFromLog: []string{"parent.loaded"},
		Handlers: readview.Handlers{readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
			at := int64(eventsourced.FromContext(ctx).Position)
			err := readview.Exec(ctx, tx, `INSERT INTO parent (account, rank, doc, spot) VALUES ($1, $2, '{"a": 1}', '(1,2)') ON CONFLICT (account) DO UPDATE SET rank = excluded.rank`, e.AggregateID(), at)
			if err != nil {
				return err
			}
			return readview.Exec(ctx, tx, `INSERT INTO child (position, account, before) VALUES ($1, $2, (SELECT max(position) FROM child))`, at, e.AggregateID())
		})},
	}
	for _, how := range []readview.How{readview.HowApply, readview.HowSwap} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			b := newLoneBank(t)
			b.exec(kinds)
			if how == readview.HowApply {
				b.exec(`CREATE VIEW rich AS SELECT * FROM parent; CREATE TABLE beside (account TEXT REFERENCES parent ON UPDATE CASCADE)`)
			}
			last := b.deposit(20)
			manager, router := b.manager(fast(), projection)
			indexes := map[string]int64{} // that only readers need, in the shadow
			readview.SetFailpoint(manager, func(point string) {
				if point == "replayed" || point == "indexed" {
					indexes[point] = b.int(`SELECT count(*) FROM pg_class WHERE relname = 'child_account' AND relnamespace <> 'public'::regnamespace`)
				}
			})
			b.start(router)
			b.waitFor(manager, last)
			content := `SELECT (account, n, rank, made, doc::text, spot::text, filled, "odd ""column")::text FROM parent ORDER BY account`
			definition := `SELECT concat_ws(' ', relname, relkind, relacl, reloptions, obj_description(oid), pg_get_indexdef(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i', 'S') ORDER BY 1`
			constraints := `SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1`
			children := `SELECT (position, id, account, before)::text FROM child ORDER BY position`
			more := `SELECT concat_ws(' ', c.relname, c.relrowsecurity, c.relforcerowsecurity, p.polname, p.polpermissive, p.polcmd, p.polroles, pg_get_expr(p.polqual, p.polrelid), obj_description(p.oid), i.indisclustered, a.attstattarget)
				FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 2
				WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i') ORDER BY 1`
			all := func() [][]string {
				return [][]string{b.rows(content), b.rows(children), b.rows(definition), b.rows(constraints), b.rows(more)}
			}
			before := all()

			// Two rows exchange a unique value, a child's parent is another one, one is too many.
			b.exec(`UPDATE parent SET rank = rank + 1000000000000000, doc = '{}'`)
			b.exec(`UPDATE parent SET rank = (SELECT max(position) FROM child) WHERE account = 'account-1'`)
			b.exec(`DELETE FROM child WHERE position = (SELECT max(position) FROM child WHERE account = 'account-4')`)
			b.exec(`INSERT INTO parent (account, rank) VALUES ('nobody', 7)`)
			found, err := manager.Verify(t.Context(), "kinds", readview.VerifyOptions{})
			require.NoError(t, err)
			require.Equal(t, []readview.LeftOutColumn{{Column: "n", Why: "a sequence fills it"}, {Column: "loaded", Why: "declared in NotFromLog"}}, found.Tables[1].LeftOut)
			require.EqualValues(t, 1, found.Tables[1].Extra)
			_, err = manager.Rebuild(t.Context(), "kinds", readview.RebuildOptions{How: how})
			require.NoError(t, err)
			require.Equal(t, map[string]int64{"replayed": 0, "indexed": 1}, indexes, "it was made at the end")
			require.Equal(t, before, all())
			found, err = manager.Verify(t.Context(), "kinds", readview.VerifyOptions{})
			require.NoError(t, err)
			require.True(t, found.Equal, "%+v", found)

			_, err = manager.Rollback(t.Context(), "kinds", readview.RebuildOptions{})
			require.NoError(t, err)
			require.EqualValues(t, 1, b.int(`SELECT count(*) FROM parent WHERE account = 'nobody'`))
			_, err = manager.Rollback(t.Context(), "kinds", readview.RebuildOptions{})
			require.NoError(t, err)
			last = b.deposit(5)
			b.waitFor(manager, last)
			found, err = manager.Verify(t.Context(), "kinds", readview.VerifyOptions{})
			require.NoError(t, err)
			require.True(t, found.Equal, "%+v", found)
		})
	}
}
