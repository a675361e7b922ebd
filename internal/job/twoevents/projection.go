package twoevents

import (
	"context"

	"github.com/dancefinder/eventsourcing/readview"
)

var balances = readview.Projection{
	Name:     "balances",
	Handlers: readview.Handlers{readview.On(onDeposited), readview.On(onWithdrawn)},
	Tables:   []string{"balance"},
}

func onDeposited(ctx context.Context, tx readview.Tx, e *Deposited) error {
	return readview.Exec(ctx, tx, `INSERT INTO balance AS b (account, amount) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET amount = b.amount + EXCLUDED.amount`, e.AggregateID(), e.Amount)
}

func onWithdrawn(ctx context.Context, tx readview.Tx, e *Withdrawn) error {
	return readview.Exec(ctx, tx, `UPDATE balance SET amount = amount - $2 WHERE account = $1`, e.AggregateID(), e.Amount)
}
