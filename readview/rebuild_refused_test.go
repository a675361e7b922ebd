package readview_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/readview"
)

// What can't work is found before anything is made, or at its page; the live tables stay as they were.
func TestRebuildIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ddl     string
		how     readview.How
		handler func(ctx context.Context, tx readview.Tx, e *Deposited) error
		err     error
		text    string
	}{
		"a view, for a swap":                 {`CREATE VIEW v AS SELECT * FROM total`, readview.HowSwap, nil, readview.ErrImpossible, "view v depends on"},
		"a foreign key from elsewhere, too":  {`CREATE TABLE other (account TEXT REFERENCES total ON DELETE CASCADE)`, readview.HowSwap, nil, readview.ErrImpossible, "other"},
		"a function of the row type, too":    {`CREATE FUNCTION f(t total) RETURNS BIGINT LANGUAGE sql AS 'SELECT 1'`, readview.HowSwap, nil, readview.ErrImpossible, "function f(total)"},
		"a publication, too":                 {`DO $$BEGIN EXECUTE format('CREATE PUBLICATION %I FOR TABLE total', current_schema()); END$$`, readview.HowSwap, nil, readview.ErrImpossible, "publication"},
		"a trigger":                          {`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER mine BEFORE INSERT ON total FOR EACH ROW EXECUTE FUNCTION f()`, "", nil, readview.ErrImpossible, "trigger, mine"},
		"a rule":                             {`CREATE RULE r AS ON DELETE TO ledger DO INSTEAD NOTHING`, "", nil, readview.ErrImpossible, "table ledger has a rule, r"},
		"a sequence that is shared":          {`CREATE SEQUENCE free; ALTER TABLE ledger ADD n BIGINT DEFAULT nextval('free')`, "", nil, readview.ErrImpossible, "OWNED BY ledger.n"},
		"a partition":                        {`DROP TABLE ledger; CREATE TABLE whole (position BIGINT PRIMARY KEY, account TEXT, amount BIGINT, note TEXT) PARTITION BY RANGE (position); CREATE TABLE ledger PARTITION OF whole DEFAULT`, "", nil, readview.ErrImpossible, "table ledger is a partition"},
		"a view in place of a table":         {`ALTER TABLE ledger RENAME TO l; CREATE VIEW ledger AS SELECT * FROM l`, "", nil, readview.ErrImpossible, "table ledger is a view"},
		"a table without a key":              {`ALTER TABLE ledger DROP CONSTRAINT ledger_pkey`, "", nil, readview.ErrImpossible, "table ledger has no key"},
		"a key that a sequence fills":        {`ALTER TABLE ledger DROP CONSTRAINT ledger_pkey; ALTER TABLE ledger ADD id BIGSERIAL PRIMARY KEY`, "", nil, readview.ErrImpossible, "id is filled by a sequence"},
		"numbers that another refers to":     {`ALTER TABLE ledger ADD id BIGSERIAL UNIQUE; CREATE TABLE other (id BIGINT REFERENCES ledger (id))`, "", nil, readview.ErrImpossible, "the foreign key other_id_fkey of other refers to ledger.id, of which a replay gives other values (a sequence fills it)"},
		"a table with a schema":              {``, "", inSchema(`INSERT INTO {schema}.ledger (position, account, amount) VALUES (-1, 'a', 1)`), readview.ErrEscaped, ".ledger"},
		"a table with a schema that is read": {``, "", inSchema(`SELECT 1 FROM {schema}.total`), readview.ErrEscaped, ".total"},
		"a function with a path of its own":  {`DO $$BEGIN EXECUTE format('CREATE FUNCTION f() RETURNS void LANGUAGE sql SET search_path = %I AS ''DELETE FROM ledger WHERE position = -7''', current_schema()); END$$`, "", inSchema(`SELECT f()`), readview.ErrEscaped, ".ledger"},
		"a table that is not declared":       {`CREATE TABLE extra (n BIGINT)`, "", inSchema(`INSERT INTO extra VALUES (1)`), readview.ErrEscaped, "extra, which is not one of"},
		"a sequence that is used by hand":    {`CREATE SEQUENCE free`, "", inSchema(`SELECT nextval('free')`), readview.ErrEscaped, "free"},
		"a path that the handler sets":       {``, "", inSchema(`SET LOCAL search_path = {schema}; DELETE FROM ledger WHERE position = -7`), readview.ErrEscaped, ".ledger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBank(t)
			b.exec(ledgerTables)
			last := b.deposit(20)
			manager, router := b.manager(fast(), ledger())
			stop := b.start(router)
			b.waitFor(manager, last)
			stop()
			b.exec(`INSERT INTO total VALUES ('by hand', 1, 1)`)
			if c.ddl != "" {
				b.exec(c.ddl)
			}
			if strings.Contains(c.ddl, "PUBLICATION") {
				defer b.exec(`DROP PUBLICATION ` + b.db.Schema) // a schema's end is not its
			}
			projection := ledger()
			if c.handler != nil {
				schema := b.db.Schema
				projection = ledger(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
					if err := onLedger(ctx, tx, e); err != nil {
						return err
					}
					if eventsourced.FromContext(ctx).Position == last {
						return c.handler(context.WithValue(ctx, schemaKey{}, schema), tx, e)
					}
					return nil
				}))
			}
			manager, _ = b.manager(fast(), projection)
			_, err := manager.Rebuild(t.Context(), "ledger", readview.RebuildOptions{How: c.how})
			require.ErrorIs(t, err, c.err)
			require.ErrorContains(t, err, c.text)
			if c.handler != nil {
				var failed *readview.EventError
				require.ErrorAs(t, err, &failed)
				require.Equal(t, last, failed.Event.Position)
			}
			require.EqualValues(t, 1, b.int(`SELECT count(*) FROM total WHERE account = 'by hand'`))
			require.Equal(t, last, b.status(manager, "ledger").Position)
			b.requireNothingLeft()
		})
	}
}

type schemaKey struct{}

// inSchema returns a handler that executes a statement with the name of the test's schema.
func inSchema(statement string) func(ctx context.Context, tx readview.Tx, e *Deposited) error {
	return func(ctx context.Context, tx readview.Tx, _ *Deposited) error {
		schema, _ := ctx.Value(schemaKey{}).(string)
		_, err := tx.ExecContext(ctx, strings.ReplaceAll(statement, "{schema}", schema))
		return err
	}
}

// A swap needs no key, but whoever wants to know first what it changes does.
func TestSwapOfATableWithoutAKeyIsNotVerified(t *testing.T) {
	t.Parallel()
	b := newLoneBank(t)
	b.deposit(1)
	manager, _ := b.manager(fast(), balances())
	for _, how := range []readview.How{readview.HowSwap, readview.HowAuto} {
		_, err := manager.Rebuild(t.Context(), "balances", readview.RebuildOptions{How: how, Verify: true})
		require.ErrorIs(t, err, readview.ErrImpossible)
		require.ErrorContains(t, err, "table journal has no key")
		require.ErrorContains(t, err, "with Verify that goes for a swap, too")
	}
	b.requireNothingLeft()
}

// Rows of the projection that refer to numbers of a sequence must not refer to other rows afterwards.
func TestNumbersThatRowsReferToAreRefused(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	b.exec(ledgerTables + `; INSERT INTO total VALUES ('first', 0, 0); ALTER TABLE total ADD id BIGSERIAL UNIQUE; ALTER TABLE ledger ADD total BIGINT REFERENCES total (id)`)
	b.deposit(1)
	refused := func(projection readview.Projection, why, says string) {
		t.Helper()
		manager, _ := b.manager(fast(), projection)
		_, err := manager.PlanRebuild(t.Context(), "ledger", readview.RebuildOptions{})
		require.ErrorIs(t, err, readview.ErrImpossible)
		require.ErrorContains(t, err, "the foreign key ledger_total_fkey of ledger refers to total.id, of which a replay gives other values ("+why+"), and "+says)
	}
	manager, _ := b.manager(fast(), ledger())
	_, err := manager.PlanRebuild(t.Context(), "ledger", readview.RebuildOptions{})
	require.NoError(t, err, "all rows are written anew when it has to be")
	kept := ledger()
	kept.NotFromLog = []string{"total.id"}
	refused(kept, "declared in NotFromLog", "NotFromLog")
}
