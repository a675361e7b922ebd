package peers

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/hallgren/eventsourcing"
	"github.com/hallgren/eventsourcing/aggregate"
	"github.com/hallgren/eventsourcing/core"
	eventstore "github.com/hallgren/eventsourcing/eventstore/sql"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// hallgren is github.com/hallgren/eventsourcing with its SQL event store.
//
// Its store numbers events by a SERIAL column and its projections continue after
// the highest number that they have seen. A transaction that commits late, behind
// a higher number, is therefore missed for good.
type hallgren struct {
	pool  *pgxpool.Pool
	db    *sql.DB
	store *eventstore.Postgres
}

type hallgrenAccount struct {
	aggregate.Root
	balance int64
}

func (a *hallgrenAccount) Register(register aggregate.RegisterFunc) { register(&Deposited{}) }

func (a *hallgrenAccount) Transition(event eventsourcing.Event) {
	if deposited, ok := event.Data().(*Deposited); ok {
		a.balance += deposited.Amount
	}
}

// registerHallgren fills the library's global registry, which has no lock.
var registerHallgren = sync.OnceFunc(func() { aggregate.Register(&hallgrenAccount{}) })

func openHallgren(_ context.Context, pool *pgxpool.Pool) (Peer, error) {
	registerHallgren()
	db := stdlib.OpenDBFromPool(pool)
	store, err := eventstore.NewPostgres(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &hallgren{pool, db, store}, nil
}

func (h *hallgren) Append(ctx context.Context, account string) error {
	return untilSaved(ctx, eventsourcing.ErrConcurrency, func() error {
		a, err := h.load(ctx, account)
		if errors.Is(err, eventsourcing.ErrAggregateNotFound) {
			return h.AppendNew(ctx, account)
		} else if err != nil {
			return err
		}
		return h.deposit(a)
	})
}

func (h *hallgren) AppendNew(_ context.Context, account string) error {
	a := &hallgrenAccount{}
	if err := a.SetID(account); err != nil {
		return err
	}
	return h.deposit(a)
}

func (h *hallgren) deposit(a *hallgrenAccount) error {
	aggregate.TrackChange(a, &Deposited{Amount: 1})
	return aggregate.Save(h.store, a)
}

func (h *hallgren) Load(ctx context.Context, account string) (int64, error) {
	a, err := h.load(ctx, account)
	if errors.Is(err, eventsourcing.ErrAggregateNotFound) {
		return 0, nil
	}
	return a.balance, err
}

func (h *hallgren) load(ctx context.Context, account string) (*hallgrenAccount, error) {
	a := &hallgrenAccount{}
	return a, aggregate.Load(ctx, h.store, account, a)
}

// Project calls the library's Projection.RunOnce, which fetches all events behind
// those that it has seen and hands them to a callback one by one, until n are
// applied. The library stores no position and knows no transaction, but it tells
// the callback each event's global version, which lets the user commit the read
// view and its position together: here every 1,000 events and after RunOnce.
func (h *hallgren) Project(ctx context.Context, n int) (int, error) {
	page, err := openPage(ctx, h.pool)
	if err != nil {
		return 0, err
	}
	defer page.close(ctx)
	projection := eventsourcing.NewProjection(h.store.All(core.Version(page.at.last+1)), func(event eventsourcing.Event) error {
		return page.apply(ctx, event.AggregateID(), event.Data().(*Deposited).Amount, int64(event.GlobalVersion()))
	})
	for {
		ran, result := projection.RunOnce()
		err := result.Error
		if err == nil {
			err = page.commit(ctx)
		}
		if err != nil || page.applied >= n {
			return page.applied, err
		}
		if ran {
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return page.applied, ctx.Err()
		}
	}
}

func (h *hallgren) ResetProjection(ctx context.Context) error { return resetView(ctx, h.pool) }

func (h *hallgren) Close() error {
	err := h.db.Close()
	h.pool.Close()
	return err
}
