package readview_test

import (
	"context"

	"github.com/dancefinder/eventsourcing/eventsourced"
	shared "github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview"
)

// The bounded context of these tests, and a read view of it that shows every event applied
// twice, missed or out of order. Its handlers are deliberately not idempotent.
type (
	Account   = shared.Account
	Deposited = shared.Deposited
	Audited   = shared.Audited
)

var registry, newAccounts = shared.Registry, shared.Accounts

const tables = `
	CREATE TABLE balance (account TEXT PRIMARY KEY, amount BIGINT NOT NULL, version BIGINT NOT NULL, CHECK (amount < 1000000));
	CREATE TABLE journal (entry BIGINT GENERATED ALWAYS AS IDENTITY, position BIGINT NOT NULL, amount BIGINT NOT NULL);
	CREATE TABLE audit (audits BIGINT NOT NULL);`

func onDeposited(ctx context.Context, tx readview.Tx, e *Deposited) error {
	recorded := eventsourced.FromContext(ctx)
	_, err := tx.ExecContext(ctx, `INSERT INTO balance AS b (account, amount, version) VALUES ($1, $2, $3)
		ON CONFLICT (account) DO UPDATE SET amount = b.amount + EXCLUDED.amount, version = EXCLUDED.version`,
		e.AggregateID(), e.Amount, int64(recorded.Version))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO journal (position, amount) VALUES ($1, $2)`, int64(recorded.Position), e.Amount)
	return err
}

func onAudited(ctx context.Context, tx readview.Tx, _ *Audited) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO audit (audits) VALUES (1)`)
	return err
}

func balances(handlers ...readview.Handler) readview.Projection {
	if handlers == nil {
		handlers = readview.Handlers{readview.On(onDeposited)}
	}
	return readview.Projection{
		Name:     "balances",
		Handlers: handlers,
		Reset:    readview.Truncate("balance", "journal"),
		Tables:   []string{"balance", "journal"},
	}
}

// entries is a projection like balances that writes one row an event, by one statement:
// they go together.
func entries() readview.Projection {
	return balances(readview.On(func(ctx context.Context, tx readview.Tx, e *Deposited) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO journal (position, amount) VALUES ($1, $2)`, int64(eventsourced.FromContext(ctx).Position), e.Amount)
		return err
	}))
}

func audits() readview.Projection {
	return readview.Projection{
		Name:     "audits",
		Handlers: readview.Handlers{readview.On(onAudited)},
		Reset:    readview.Truncate("audit"),
		Tables:   []string{"audit"},
	}
}
