package twoevents

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// Run runs the read side, and beside it whatever commands makes of the repository, such as a server.
func Run(ctx context.Context, pool *pgxpool.Pool, commands func(*eventsourced.Repository[Account]) consumer.Runner) error {
	registry := eventsourced.MustRegistry(eventsourced.Type[Deposited]("Deposited"), eventsourced.Type[Withdrawn]("Withdrawn"))
	store := pgstore.New(pool, registry, pgstore.Config{})
	accounts := eventsourced.NewRepository[Account](store, "bank.Account", eventsourced.RepositoryConfig{})
	manager, err := readview.NewManager(nil, store, pool, readview.Config{}, balances)
	if err != nil {
		return err
	}
	return consumer.Run(ctx, manager, commands(accounts))
}
