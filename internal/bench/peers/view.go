package peers

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// position is where a projection goes on: behind the event with that number, or
// behind the events with that time.
type position struct {
	last   int64
	events []uuid.UUID // those with that time, which may not be all
}

func createView(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `
		CREATE TABLE IF NOT EXISTS balance (account TEXT PRIMARY KEY, amount BIGINT NOT NULL);
		CREATE TABLE IF NOT EXISTS balance_position (last BIGINT NOT NULL, events UUID[]);
		INSERT INTO balance_position SELECT 0 WHERE NOT EXISTS (SELECT FROM balance_position)`)
	return err
}

func resetView(ctx context.Context, pool *pgxpool.Pool) error {
	_, err := pool.Exec(ctx, `TRUNCATE balance; UPDATE balance_position SET last = 0, events = NULL`)
	return err
}

// page applies events to the read view in transactions of about pageEvents. Each
// is committed with the position of its last event, so that the two change together
// or not at all.
type page struct {
	pool    *pgxpool.Pool
	tx      pgx.Tx // nil while no event waits for its commit
	at      position
	size    int // events in tx
	applied int // events committed
}

func openPage(ctx context.Context, pool *pgxpool.Pool) (*page, error) {
	p := &page{pool: pool}
	err := pool.QueryRow(ctx, `SELECT last, events FROM balance_position`).Scan(&p.at.last, &p.at.events)
	return p, err
}

// apply upserts for the event with this number; or for the one with this time, and
// then its id. Events of one time are in one transaction.
func (p *page) apply(ctx context.Context, account string, amount, number int64, id ...uuid.UUID) (err error) {
	if p.size >= pageEvents && number != p.at.last {
		if err := p.commit(ctx); err != nil {
			return err
		}
	}
	if p.tx == nil {
		if p.tx, err = p.pool.Begin(ctx); err != nil {
			return err
		}
	}
	_, err = p.tx.Exec(ctx, `INSERT INTO balance (account, amount) VALUES ($1, $2)
		ON CONFLICT (account) DO UPDATE SET amount = balance.amount + EXCLUDED.amount`, account, amount)
	if number != p.at.last {
		p.at = position{last: number}
	}
	p.at.events = append(p.at.events, id...)
	p.size++
	return err
}

// commit ends the transaction, if there is one.
func (p *page) commit(ctx context.Context) error {
	if p.tx == nil {
		return nil
	}
	if _, err := p.tx.Exec(ctx, `UPDATE balance_position SET last = $1, events = $2`, p.at.last, p.at.events); err != nil {
		return err
	}
	if err := p.tx.Commit(ctx); err != nil {
		return err
	}
	p.applied += p.size
	p.tx, p.size = nil, 0
	return nil
}

// close drops what is not committed.
func (p *page) close(ctx context.Context) {
	if p.tx != nil {
		_ = p.tx.Rollback(ctx)
	}
}
