package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/geocoding"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/eventsourced"
	log "github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/health"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/operate/metrics"
	"github.com/dancefinder/eventsourcing/operate/tracing"
	"github.com/dancefinder/eventsourcing/readview"
)

// app is DanceFinder on one database.
type app struct {
	logger    *slog.Logger
	pool      *pgxpool.Pool
	store     *pgstore.Store
	service   *domain.Service
	router    *message.Router
	manager   *readview.Manager
	bus       bus
	positions *log.Store
	relay     *relay.Relay
	reactor   *reactor.Reactor
	geocoding *geocoding.Worker
	metrics   *metrics.Metrics
	traces    *sdk.TracerProvider // nil without
	tracer    *tracing.Tracing    // likewise
	health    *health.Health
}

// appOptions are what the command line and the environment say.
type appOptions struct {
	databaseURL  string
	amqpURL      string        // "" is without RabbitMQ
	queueType    string        // of RabbitMQ; "" is classic
	declare      string        // what is made there; "" is all
	geocoder     string        // gazetteer or nominatim; "" is gazetteer
	nominatimURL string        // "" is the public one
	contact      string        // for nominatim
	archive      string        // the directory of archived events; "" is without
	verifyEvery  time.Duration // read views, on schedule; 0 is never
	logger       *slog.Logger
}

// openApp connects to the database. Nothing runs yet.
func openApp(ctx context.Context, options appOptions) (*app, error) {
	pool, err := openPool(ctx, options.databaseURL)
	if err != nil {
		return nil, err
	}
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	if err != nil {
		pool.Close()
		return nil, err
	}
	a := &app{logger: options.logger, pool: pool}
	a.metrics = a.newMetrics()
	log := pgstore.Config{Observer: a.metrics, Logger: options.logger}
	if options.archive != "" {
		log.Archive = os.DirFS(options.archive)
	}
	if a.traces, err = openTraces(ctx, options.logger); err != nil {
		pool.Close()
		return nil, err
	}
	if a.traces != nil {
		a.tracer = tracing.New(a.traces, tracing.Config{})
		log.Tracer = a.tracer
	}
	a.store = pgstore.New(pool, registry, log)
	a.service = domain.NewService(a.store)
	if err := errors.Join(a.wire(options), a.integrate(options)); err != nil {
		a.Close()
		return nil, err
	}
	if a.health, err = health.New(pool, health.Config{Status: a.status, Loops: []health.Loop{a.manager, a.reactor}, Logger: options.logger}); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// wire makes the router with the projections on it.
func (a *app) wire(options appOptions) (err error) {
	// What goes wrong with a projection is logged by its manager, once and with
	// the event; the router's own word is for debugging.
	quiet := watermill.NewSlogLoggerWithLevelMapping(options.logger, map[slog.Level]slog.Level{
		slog.LevelInfo: slog.LevelDebug, slog.LevelError: slog.LevelDebug,
	})
	if a.router, err = message.NewRouter(message.RouterConfig{}, quiet); err != nil {
		return err
	}
	a.router.AddMiddleware(middleware.Recoverer)
	if a.manager, err = readview.NewManager(a.router, a.store, a.pool, readview.Config{Config: a.observed(options.logger), VerifyEvery: options.verifyEvery}); err != nil {
		return err
	}
	return a.manager.Add(projections.All()...)
}

// observed is the configuration that all have in common who go through the log.
func (a *app) observed(logger *slog.Logger) log.Config {
	config := log.Config{Observer: a.metrics, Logger: logger}
	if a.tracer != nil {
		config.Tracer = a.tracer
	}
	return config
}

// Run applies, relays and reacts to events until ctx ends or one of these fails. What makes
// work for others ends before them.
func (a *app) Run(ctx context.Context) error {
	return log.Run(ctx, a.manager, a.relay, a.geocoding, a.reactor)
}

// Close lets go of the database and the broker. Run must have returned.
func (a *app) Close() {
	if a.bus.publisher != nil {
		// What it confirmed is safe, and the rest is published again.
		_ = a.bus.publisher.Close()
		_ = a.bus.requests.Close()
	}
	a.store.Close()
	a.pool.Close()
	a.closeTraces()
}

// withApp opens the app on what the command line or the environment names.
func withApp(cmd *cobra.Command, do func(*app) error) error {
	flag := func(name, variable string) string { return setting(cmd, name, variable) }
	broker := ""
	if cmd.Flags().Lookup("geocoder") != nil {
		broker = "AMQP_URL" // only a projector publishes: the others work whatever it is
	}
	every, err := verifyEvery(cmd)
	if err != nil {
		return err
	}
	options := appOptions{
		verifyEvery:  every,
		databaseURL:  flag("database-url", "DATABASE_URL"),
		amqpURL:      flag("amqp-url", broker),
		queueType:    flag("amqp-queue-type", "AMQP_QUEUE_TYPE"),
		declare:      flag("amqp-declare", "AMQP_DECLARE"),
		geocoder:     flag("geocoder", "GEOCODER"),
		nominatimURL: flag("nominatim-url", "NOMINATIM_URL"),
		contact:      flag("contact", "NOMINATIM_CONTACT"),
		archive:      flag("archive-dir", "ARCHIVE_DIR"),
		logger:       logger(cmd),
	}
	if options.databaseURL == "" {
		return operate.UsageError{Err: errors.New("no database: set DATABASE_URL or give --database-url postgres://user:password@host:port/database")}
	}
	a, err := openApp(cmd.Context(), options)
	if err != nil {
		return err
	}
	defer a.Close()
	return a.explain(cmd.Context(), do(a))
}

func logger(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
}
