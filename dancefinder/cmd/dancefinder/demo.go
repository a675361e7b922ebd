package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

func demoCommand() *cobra.Command {
	var config generator.Config
	var once, stay bool
	var listen, metricsListen string
	command := &cobra.Command{
		Use:   "demo",
		Short: "Show all of it on private servers with made-up dances",
		Long: "Starts a private PostgreSQL, and a RabbitMQ if there is one, makes the tables, imports a made-up listing and the\n" +
			"changes to it through real commands, projects and relays them, finds the halls on the map, and serves the page\n" +
			"and GraphQL, where anybody may log in with any name. In a terminal it then stays up until interrupted; otherwise it\n" +
			"asks the page and GraphQL a question each and ends. Nothing is left behind. DATABASE_URL and AMQP_URL are not used.",
		Example: "  dancefinder demo --days 60\n  dancefinder demo --stay --listen 127.0.0.1:8080",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLength(config); err != nil {
				return err
			}
			if once && stay {
				return operate.UsageError{Err: errors.New("--once and --stay: choose one")}
			}
			past := 90 // so that there is something to dance to now
			if config.Days > 0 {
				past = config.Days / 2
			}
			config.Start = time.Now().AddDate(0, 0, -past)
			return demo(cmd, config, listen, metricsListen, stay || !once && terminal.Is(cmd.OutOrStdout()))
		},
	}
	addGeneratorFlags(command, &config)
	command.Flags().BoolVar(&once, "once", false, "ask a question each and end, also in a terminal")
	command.Flags().BoolVar(&stay, "stay", false, "stay up until interrupted, also without a terminal")
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address and port of the page; 0 is a free port")
	command.Flags().StringVar(&metricsListen, "metrics-listen", "127.0.0.1:0", "address and port of /metrics for Prometheus; 0 is a free port")
	return command
}

func demo(cmd *cobra.Command, config generator.Config, listen, metricsListen string, stay bool) (err error) {
	ctx, out, errOut := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	servers, err := startServers(ctx, errOut)
	defer func() { err = errors.Join(err, servers.Close()) }()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: slog.LevelWarn}))
	demonstrated := appOptions{databaseURL: servers.postgres.URL(), amqpURL: servers.amqpURL(), logger: log}
	if stay {
		demonstrated.verifyEvery = defaultVerifyEvery
	}
	a, err := openApp(ctx, demonstrated)
	if err != nil {
		return err
	}
	defer a.Close()
	if _, err := migrations.Up(ctx, a.pool); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return operate.UsageError{Err: fmt.Errorf("--listen: %w", err)}
	}
	options := webOptions{demoLogin: true, development: true, keys: [][]byte{newKey()}, logger: log}
	w, err := a.openWebsite(ctx, options, listener)
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	measured, err := listenForMetrics(ctx, metricsListen)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	metricsURL := "not served: --metrics-listen is empty"
	if measured != nil {
		metricsURL = "http://" + measured.Addr().String() + "/metrics"
	}

	runCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ctx, giveUp := context.WithCancel(ctx) // nobody waits for what has stopped
	ran := make(chan error, 1)
	go func() {
		defer giveUp()
		ran <- a.measuredAt(runCtx, measured, func(ctx context.Context) error { return w.serve(ctx, a.Run) })
	}()
	defer func() {
		stop()
		err = errors.Join(err, <-ran)
	}()

	if err := a.importDemo(ctx, config, out, errOut); err != nil {
		return err
	}
	if err := operateCommands().Await(ctx, a.system(), errOut); err != nil {
		return err
	}
	if err := a.awaitGeocoding(ctx, errOut); err != nil {
		return err
	}
	if err := a.writeOverview(ctx, out); err != nil {
		return err
	}
	if !stay {
		return w.ask(ctx, out)
	}
	_, _ = fmt.Fprintf(out, `
It stays up, and keeps projecting, until Ctrl-C. Look at it from another terminal:
  psql '%[1]s'
  go run ./dancefinder/cmd/dancefinder readviews status --database-url '%[1]s'
  go run ./dancefinder/cmd/dancefinder readviews reset event --database-url '%[1]s'

and in a browser, where you may log in with any name:
  DanceFinder  %[2]s/
  admin        %[2]s/admin/ (log in with a name and the role of an operator)
  GraphiQL     %[2]s/graphiql/

for Prometheus, with the rules of docs/monitoring/alerts.yml:
  metrics      %[3]s
`, servers.postgres.URL(), w.url, metricsURL)
	<-ctx.Done()
	return nil
}

// servers are the private ones of the demo.
type servers struct {
	postgres *devservices.Postgres
	rabbitMQ *devservices.RabbitMQ // nil when there is none
}

// startServers starts both at once, as RabbitMQ takes a while. PostgreSQL is
// installed when it is missing, RabbitMQ is done without. What was started is
// returned also with an error.
func startServers(ctx context.Context, log io.Writer) (s servers, err error) {
	var broker errgroup.Group
	broker.Go(func() (err error) {
		s.rabbitMQ, err = devservices.StartRabbitMQ(ctx, devservices.RabbitMQConfig{})
		return err
	})
	postgres, err := startPostgres(ctx, log)
	s.postgres = postgres
	switch brokerErr := broker.Wait(); {
	case errors.Is(brokerErr, devservices.ErrNotInstalled):
		_, _ = fmt.Fprintln(log, "without RabbitMQ, events are published in this process only:", brokerErr)
	case brokerErr != nil:
		err = errors.Join(err, brokerErr)
	default:
		_, _ = fmt.Fprintln(log, "started RabbitMQ, to which events are published")
	}
	return s, err
}

func (s servers) amqpURL() string {
	if s.rabbitMQ == nil {
		return ""
	}
	return s.rabbitMQ.URL()
}

// Close stops what was started.
func (s servers) Close() (err error) {
	if s.rabbitMQ != nil {
		err = s.rabbitMQ.Close()
	}
	if s.postgres != nil {
		err = errors.Join(err, s.postgres.Close())
	}
	return err
}

func startPostgres(ctx context.Context, log io.Writer) (*devservices.Postgres, error) {
	config := devservices.PostgresConfig{Log: log}
	server, err := devservices.StartPostgres(ctx, config)
	if errors.Is(err, devservices.ErrNotInstalled) {
		if err := devservices.InstallPostgres(ctx, log); err != nil {
			return nil, err
		}
		server, err = devservices.StartPostgres(ctx, config)
	}
	return server, err
}

// importDemo imports both editions of the listing, and gives some users
// preferences.
func (a *app) importDemo(ctx context.Context, config generator.Config, out, errOut io.Writer) error {
	for _, edition := range generator.Editions(config) {
		total := 0
		for range edition.Rows {
			total++
		}
		bar := terminal.NewProgress(errOut, fmt.Sprintf("edition %d", edition.Number), "rows", int64(total))
		result, err := importer.Import(ctx, a.service, a.store, withoutErrors(edition.Rows), importer.Options{
			Progress: func(rows int) { bar.Set(int64(rows)) },
		})
		bar.Done()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "edition %d, ", edition.Number)
		writeResult(out, result)
	}
	return a.demoPreferences(ctx, config)
}

func withoutErrors(rows iter.Seq[listing.Row]) iter.Seq2[listing.Row, error] {
	return func(yield func(listing.Row, error) bool) {
		for row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// demoUsers is how many users have preferences in the demo.
const demoUsers = 50

// demoPreferences gives each user a home and things not to see, taken from the
// listing's first rows.
func (a *app) demoPreferences(ctx context.Context, config generator.Config) error {
	next, stop := iter.Pull(generator.Generate(config))
	defer stop()
	for user := range demoUsers {
		row, ok := next()
		if !ok {
			return nil
		}
		subject := fmt.Sprintf("demo-user-%d", user+1)
		place := domain.Place{City: row.City, Municipality: row.Municipality, State: row.State}
		preferences := []domain.Preference{
			domain.AddOrigin{Subject: subject, Origin: row.Municipality},
			domain.IgnoreBand{Subject: subject, BandID: domain.BandIDFor(domain.BandName(row.Band))},
			domain.IgnoreDanceHall{Subject: subject, DanceHallID: domain.DanceHallIDFor(domain.HallName(row.Hall), place)},
			domain.IgnoreMunicipality{Subject: subject, Municipality: row.Municipality},
			domain.IgnoreState{Subject: subject, State: row.State},
		}
		if row.City != "" {
			preferences = append(preferences, domain.IgnoreCity{Subject: subject, City: row.City})
		}
		for _, preference := range preferences {
			if _, _, err := a.service.Prefer(ctx, preference); err != nil {
				return fmt.Errorf("preferences of %s: %w", subject, err)
			}
		}
	}
	return nil
}

// behind returns how many events the slowest of all consumers has before it.
func (a *app) behind(ctx context.Context) (int64, error) {
	all, err := a.system().Status(ctx)
	if err != nil {
		return 0, err
	}
	relay, err := a.relay.Status(ctx) // which may not be registered yet
	behind := relay.Behind
	for _, c := range all {
		behind = max(behind, c.Behind)
		if c.More {
			exact, countErr := a.store.CountLog(ctx, eventsourced.LogQuery{After: c.Position})
			behind, err = max(behind, exact), errors.Join(err, countErr)
		}
	}
	return behind, err
}

// awaitGeocoding waits until every hall was looked up, and then until all that
// came of it is in the read views and relayed.
func (a *app) awaitGeocoding(ctx context.Context, errOut io.Writer) error {
	bar := terminal.NewProgress(errOut, "geocoding", "halls", generator.Halls)
	defer bar.Done()
	for {
		queuedAll, err := a.behind(ctx)
		if err != nil {
			return err
		}
		halls, err := a.geocoding.Status(ctx)
		if err != nil {
			return err
		}
		behind, err := a.behind(ctx)
		if err != nil {
			return err
		}
		bar.Set(halls.Done + halls.NotFound + halls.Failed)
		if queuedAll == 0 && halls.Pending == 0 && behind == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// writeOverview prints the status of the projections and what is in their tables.
func (a *app) writeOverview(ctx context.Context, out io.Writer) error {
	events, err := a.store.CountLog(ctx, eventsourced.LogQuery{})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "\n%d events in the log\n\n", events)
	all, err := a.system().Status(ctx)
	if err != nil {
		return err
	}
	if err := operateCommands().WriteStatus(ctx, a.system(), out, all); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out)
	if err := a.writeGeocoding(ctx, out); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out)
	counts, err := a.tableCounts(ctx)
	if err != nil {
		return err
	}
	return terminal.Table(out, "TABLE\tROWS", counts, func(c tableCount) string { return fmt.Sprintf("%s\t%d", c.table, c.rows) })
}

type tableCount struct {
	table string
	rows  int64
}

func (a *app) tableCounts(ctx context.Context) (counts []tableCount, err error) {
	for _, projection := range projections.All() {
		for _, name := range projection.Tables {
			var rows int64
			if err := a.pool.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{name}.Sanitize()).Scan(&rows); err != nil {
				return nil, err
			}
			counts = append(counts, tableCount{name, rows})
		}
	}
	return counts, nil
}
