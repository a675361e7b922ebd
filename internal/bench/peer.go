package main

import (
	"context"
	"fmt"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/bench/peers"
)

// Sizes of the peers' figures: one writer, so that they differ by what they do.
const (
	peerAppends = 1000
	peerHistory = 100 // events of the account that is loaded
	peerLoads   = 300
)

// accountJob is what a peer, and the framework, does.
type accountJob interface {
	Append(ctx context.Context, account string) error
	AppendNew(ctx context.Context, account string) error
	Load(ctx context.Context, account string) (int64, error)
	Project(ctx context.Context, n int) (int, error)
	ResetProjection(ctx context.Context) error
}

func preparePeers(measure func(context.Context, accountJob) (float64, error)) func(context.Context, *environment) ([]contender, error) {
	return func(ctx context.Context, e *environment) ([]contender, error) {
		contenders := []contender{{ours, func(ctx context.Context) (float64, error) { return measure(ctx, &ourJob{e: e}) }}}
		for _, name := range peers.Names() {
			own, err := newEnvironment(ctx, e.admin)
			if err != nil {
				return nil, err
			}
			if _, err := own.pool.Exec(ctx, `DROP TABLE events, snapshots, log_identity, readviews, readview_states, balance`); err != nil {
				return nil, err
			}
			peer, err := peers.Open(ctx, name, own.url)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			contenders = append(contenders, contender{name, func(ctx context.Context) (float64, error) { return measure(ctx, peer) }})
		}
		return contenders, nil
	}
}

var round int // makes the accounts of each run new

func peerAppend(ctx context.Context, job accountJob) (float64, error) {
	round++
	return rate(peerAppends, func() error {
		for n := range peerAppends {
			if err := job.AppendNew(ctx, fmt.Sprint("append-", round, "-", n)); err != nil {
				return err
			}
		}
		return nil
	})
}

func peerLoad(ctx context.Context, job accountJob) (float64, error) {
	round++
	account := fmt.Sprint("load-", round)
	for range peerHistory {
		if err := job.Append(ctx, account); err != nil {
			return 0, err
		}
	}
	return rate(peerLoads, func() error {
		for range peerLoads {
			balance, err := job.Load(ctx, account)
			if err != nil {
				return err
			}
			if balance == 0 {
				return fmt.Errorf("the account is empty")
			}
		}
		return nil
	})
}

func peerProject(ctx context.Context, job accountJob) (float64, error) {
	if err := job.ResetProjection(ctx); err != nil {
		return 0, err
	}
	round++
	for n := range peerAppends {
		if err := job.AppendNew(ctx, fmt.Sprint("project-", round, "-", n)); err != nil {
			return 0, err
		}
	}
	applied := 0
	value, err := rate(1, func() (err error) {
		applied, err = job.Project(ctx, peerAppends)
		return err
	})
	return value * float64(applied), err
}

// ourJob is the account job with the framework.
type ourJob struct{ e *environment }

type account struct {
	eventsourced.Root
	balance int64
}

func (a *account) Apply(event eventsourced.Event) {
	if e, ok := event.(*Deposited); ok {
		a.balance += e.Amount
	}
}

func (j *ourJob) accounts() *eventsourced.Repository[account] {
	return eventsourced.NewRepository[account](j.e.store, "bank.Account", eventsourced.RepositoryConfig{})
}

func (j *ourJob) Append(ctx context.Context, id string) error {
	_, err := j.accounts().Update(ctx, id, func(a *account) error { return eventsourced.Record(a, &Deposited{Amount: 1}) })
	return err
}

func (j *ourJob) AppendNew(ctx context.Context, id string) error {
	_, err := j.e.deposit(ctx, id)
	return err
}

func (j *ourJob) Load(ctx context.Context, id string) (int64, error) {
	a, err := j.accounts().Load(ctx, id)
	if err != nil {
		return 0, err
	}
	return a.balance, nil
}

func (j *ourJob) Project(ctx context.Context, n int) (int, error) {
	_, err := j.e.run(ctx, j.e.pool, j.e.store, n, balances)
	if err != nil {
		return 0, err
	}
	var applied int
	err = j.e.pool.QueryRow(ctx, `SELECT coalesce(sum(amount), 0) FROM balance`).Scan(&applied)
	return applied, err
}

func (j *ourJob) ResetProjection(ctx context.Context) error { return j.e.clear(ctx, 0) }
