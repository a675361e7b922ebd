package oneevent

import (
	"context"

	"github.com/dancefinder/eventsourcing/readview"
)

var balances = readview.Projection{
	Name:     "balances",
	Handlers: readview.Handlers{readview.On(onDeposited)},
	Tables:   []string{"balance"},
}

func onDeposited(ctx context.Context, tx readview.Tx, e *Deposited) error {
	return readview.Exec(ctx, tx, `INSERT INTO balance AS b (account, amount) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET amount = b.amount + EXCLUDED.amount`, e.AggregateID(), e.Amount)
}
