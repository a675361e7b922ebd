package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/readview"
)

// app is DanceFinder on one database.
type app struct {
	pool    *pgxpool.Pool
	store   *pgstore.Store
	service *domain.Service
	router  *message.Router
	manager *readview.Manager
}

// openApp connects to the database. Nothing runs yet.
func openApp(ctx context.Context, url string, logger *slog.Logger) (*app, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, usageError{fmt.Errorf("the database URL: %w", err)}
	}
	// Each projection holds two connections at times, listening one, and the
	// import's workers want theirs.
	config.MaxConns = max(config.MaxConns, 24)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("the database does not answer: %w", err)
	}
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	if err != nil {
		pool.Close()
		return nil, err
	}
	a := &app{pool: pool, store: pgstore.New(pool, registry, pgstore.Config{})}
	a.service = domain.NewService(a.store)
	if err := a.wire(logger); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// wire makes the router with the projections on it.
func (a *app) wire(logger *slog.Logger) (err error) {
	// What goes wrong with a projection is logged by its manager, once and with
	// the event; the router's own word is for debugging.
	quiet := watermill.NewSlogLoggerWithLevelMapping(logger, map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelDebug,
	})
	if a.router, err = message.NewRouter(message.RouterConfig{}, quiet); err != nil {
		return err
	}
	a.router.AddMiddleware(middleware.Recoverer)
	if a.manager, err = readview.NewManager(a.router, a.store, a.pool, readview.Config{Logger: logger}); err != nil {
		return err
	}
	return a.manager.Add(projections.All()...)
}

// Run applies events until ctx ends.
func (a *app) Run(ctx context.Context) error { return a.router.Run(ctx) }

// Close lets go of the database. Run must have returned.
func (a *app) Close() {
	a.store.Close()
	a.pool.Close()
}

// withApp opens the app on the database that the command line or the environment
// names.
func withApp(cmd *cobra.Command, do func(*app) error) error {
	flag, err := cmd.Flags().GetString("database-url")
	if err != nil {
		return err
	}
	url := cmp.Or(flag, os.Getenv("DATABASE_URL"))
	if url == "" {
		return usageError{errors.New("no database: set DATABASE_URL or give --database-url postgres://user:password@host:port/database")}
	}
	a, err := openApp(cmd.Context(), url, logger(cmd))
	if err != nil {
		return err
	}
	defer a.Close()
	return do(a)
}

func logger(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
}
