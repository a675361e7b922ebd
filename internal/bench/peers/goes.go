package peers

import (
	"context"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/modernice/goes/aggregate"
	"github.com/modernice/goes/aggregate/repository"
	"github.com/modernice/goes/backend/postgres"
	"github.com/modernice/goes/codec"
	"github.com/modernice/goes/event"
	"github.com/modernice/goes/projection"
	"github.com/modernice/goes/projection/schedule"
)

// goes is github.com/modernice/goes with its PostgreSQL event store.
//
// Its log has no numbers: events are ordered by the time that the writer's clock
// gave them before the insert, and projections continue from the highest time that
// they have seen. An event that is inserted after one with a higher time has been
// seen is therefore missed for good.
type goes struct {
	pool     *pgxpool.Pool
	store    event.Store
	accounts *repository.TypedRepository[*goesAccount]
}

const goesDeposited = "bank.deposited"

type goesAccount struct {
	*aggregate.Base
	balance int64
}

func newGoesAccount(id uuid.UUID) *goesAccount {
	a := &goesAccount{Base: aggregate.New("bank.account", id)}
	event.ApplyWith(a, func(e event.Of[Deposited]) { a.balance += e.Data().Amount }, goesDeposited)
	return a
}

func (a *goesAccount) deposit() { aggregate.Next(a, goesDeposited, Deposited{Amount: 1}) }

// goesID makes an aggregate's id of an account's name, since those of the library
// are UUIDs. In the read view, too, the account has this id.
func goesID(account string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceOID, []byte(account)) }

func openGoes(ctx context.Context, pool *pgxpool.Pool) (Peer, error) {
	registry := codec.New()
	codec.Register[Deposited](registry, goesDeposited)
	store := postgres.NewEventStore(registry, postgres.Pool(pool))
	if err := store.Connect(ctx); err != nil {
		return nil, err
	}
	return &goes{pool, store, repository.Typed(repository.New(store), newGoesAccount)}, nil
}

// Append calls the repository's Use with a new aggregate each time. The library's
// own repetition, for an aggregate with a method RetryUse, takes the same one
// again, to which the event that wasn't saved stays applied.
func (g *goes) Append(ctx context.Context, account string) error {
	return untilSaved(ctx, nil, func() error {
		return g.accounts.Use(ctx, goesID(account), func(a *goesAccount) error {
			a.deposit()
			return nil
		})
	})
}

func (g *goes) AppendNew(ctx context.Context, account string) error {
	a := newGoesAccount(goesID(account))
	a.deposit()
	return g.accounts.Save(ctx, a)
}

func (g *goes) Load(ctx context.Context, account string) (int64, error) {
	a, err := g.accounts.Fetch(ctx, goesID(account))
	return a.balance, err
}

// Project subscribes to a periodic schedule, whose first job catches up and which
// then polls. The library stores no position and knows no transaction. A projection
// that is ProgressAware tells it before a job where to go on, and is told after the
// job where it ended; keeping that is the user's part. Since a job that catches up
// is the whole log, the handler keeps it itself, from the time and id of each event,
// and commits the read view with it: every 1,000 events and after the job. A job
// holds all its events in memory.
func (g *goes) Project(ctx context.Context, n int) (int, error) {
	page, err := openPage(ctx, g.pool)
	if err != nil {
		return 0, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	target := newGoesBalance(running, page)
	jobs := schedule.Periodically(g.store, pause, []string{goesDeposited})
	errs, err := jobs.Subscribe(running, func(job projection.Job) error {
		if running.Err() != nil {
			return nil
		}
		err := target.end(running, job.Apply(running, target))
		if err != nil || page.applied >= n {
			stop()
		}
		return err
	}, projection.StartupAsync())
	if err != nil {
		return 0, err
	}
	for range errs { // until the last job has ended
	}
	err = target.close(ctx)
	if err == nil && page.applied < n {
		err = ctx.Err()
	}
	return page.applied, err
}

// goesBalance is the projection. Its handler has nowhere to return an error to, and
// Job.Apply, when it returns early, leaves a goroutine that still applies.
type goesBalance struct {
	*projection.Base
	*projection.Progressor

	mu   sync.Mutex
	page *page
	err  error // the first one, after which nothing is applied
}

func newGoesBalance(ctx context.Context, page *page) *goesBalance {
	b := &goesBalance{
		Base:       projection.New(),
		Progressor: &projection.Progressor{LastEventTime: page.at.last, LastEvents: page.at.events},
		page:       page,
	}
	event.ApplyWith(b, func(e event.Of[Deposited]) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.err == nil {
			id, _, _ := e.Aggregate()
			b.err = page.apply(ctx, id.String(), e.Data().Amount, e.Time().UnixNano(), e.ID())
		}
	}, goesDeposited)
	return b
}

// end commits the rest of a job, unless the job or a handler failed.
func (b *goesBalance) end(ctx context.Context, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
	if b.err == nil {
		b.err = b.page.commit(ctx)
	}
	return b.err
}

// close returns the error, if one ended it.
func (b *goesBalance) close(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.page.close(ctx)
	return b.err
}

func (g *goes) ResetProjection(ctx context.Context) error { return resetView(ctx, g.pool) }

func (g *goes) Close() error {
	g.pool.Close()
	return nil
}
