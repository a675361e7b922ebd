package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/operate/terminal"
)

func projectorCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "projector",
		Short: "Apply events to the read views, relay and geocode until interrupted",
		Long: "Applies events to the read views, publishes them to RabbitMQ, and finds dance halls on the map, until\n" +
			"SIGINT or SIGTERM. Several projectors may run: for each projection, for the relay and for geocoding one is\n" +
			"active, the others stand by. Without AMQP_URL events are published in this process only.\n\n" +
			"A projector takes at most 16 connections to the database and one to listen. With pool_max_conns=N in the\n" +
			"database's URL it takes N and that one, at least 2. Behind PgBouncer in transaction mode the URL needs\n" +
			"default_query_exec_mode=cache_describe.\n\n" +
			"Halls are looked up in a list of places that is part of the program. In production use a Nominatim server:\n" +
			"--geocoder nominatim --contact you@example.org, and --nominatim-url for one of your own.",
		Example: "  dancefinder projector\n" +
			"  dancefinder projector --amqp-url amqp://guest:guest@localhost/ --geocoder nominatim --contact you@example.org",
		Annotations: runs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				if err := a.checkMigrated(cmd.Context()); err != nil {
					return err
				}
				if err := a.checkAdopted(cmd.Context()); err != nil {
					logger(cmd).WarnContext(cmd.Context(), err.Error()+": run 'dancefinder adopt-legacy'")
				}
				a.announce(cmd.Context(), logger(cmd))
				logger(cmd).InfoContext(cmd.Context(), "projector runs", "projections", a.manager.Names())
				return a.measured(cmd.Context(), setting(cmd, "metrics-listen", "METRICS_LISTEN"), a.Run)
			})
		},
	}
	addGeocoderFlags(command)
	addVerifyFlag(command)
	addMetricsFlag(command)
	return command
}

// defaultVerifyEvery is so short that the alert of a row that was changed by hand fires within a minute.
const defaultVerifyEvery = 20 * time.Second

func addVerifyFlag(command *cobra.Command) {
	command.Flags().String("verify-every", "", "how often to verify each read view that this process applies, at most; 0 for never (default: VERIFY_EVERY, then "+defaultVerifyEvery.String()+")")
}

// verifyEvery is how often the command verifies read views on schedule, 0 for never.
func verifyEvery(cmd *cobra.Command) (time.Duration, error) {
	if cmd.Flags().Lookup("verify-every") == nil {
		return 0, nil
	}
	text := setting(cmd, "verify-every", "VERIFY_EVERY")
	if text == "" {
		return defaultVerifyEvery, nil
	}
	every, err := time.ParseDuration(text)
	if err != nil || every < 0 {
		return 0, operate.UsageError{Err: fmt.Errorf("--verify-every or VERIFY_EVERY is %q: write a duration such as 20s or 5m, or 0 for never", text)}
	}
	return every, nil
}

func addGeocoderFlags(command *cobra.Command) {
	command.Flags().String("geocoder", "", "gazetteer, or nominatim (default: GEOCODER, then gazetteer)")
	command.Flags().String("nominatim-url", "", "the Nominatim server (default: NOMINATIM_URL, then the public one)")
	command.Flags().String("contact", "", "where Nominatim's operators can reach you (default: NOMINATIM_CONTACT)")
}

func migrateCommand() *cobra.Command {
	up := migrateStep("up", "applied", "up to date", "  dancefinder migrate up\n  dancefinder migrate up --to 2", "Make the tables, or bring them up to date",
		"Makes the tables, or brings them up to date, each step in a transaction. A database that holds the\n"+
			"legacy tables, made by whatever tool, is recognised and taken on from where it is: then run\n"+
			"'dancefinder adopt-legacy'. Other tables that are not DanceFinder's are refused and not touched.",
		migrations.UpTo)
	up.Flags().Int64("to", math.MaxInt64, "stop after DanceFinder's own step with this number; the framework's tables come after the last one")
	up.Flags().Lookup("to").DefValue = "the last"
	down := migrateStep("down", "undone", "nothing to undo", "  dancefinder migrate down --to 1", "Take back DanceFinder's own steps above a number",
		"Takes back DanceFinder's own steps above a number, the last one first. What can't be undone says so.",
		migrations.DownTo)
	down.Flags().Int64("to", -1, "keep this step and those before it (required)")
	down.Flags().Lookup("to").DefValue = "0"
	var asJSON bool
	status := &cobra.Command{
		Use:     "status",
		Short:   "Show which migrations are applied, DanceFinder's and those of the framework",
		Example: "  dancefinder migrate status --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				all, err := migrations.Status(cmd.Context(), a.pool)
				if err != nil && !errors.Is(err, migrations.ErrNewer) {
					return err
				}
				if asJSON {
					return errors.Join(err, terminal.JSON(cmd.OutOrStdout(), migrationsJSON(all)))
				}
				return errors.Join(err, terminal.Table(cmd.OutOrStdout(), "MIGRATION\tSTATE", all, func(m migrations.Migration) string {
					return m.Name + "\t" + map[bool]string{true: "applied", false: "pending"}[m.Applied]
				}))
			})
		},
	}
	status.Flags().BoolVar(&asJSON, "json", false, "print an array of objects for programs")
	return group("migrate", "Make the database's tables", up, down, status)
}

// migrationJSON is a migration for programs.
type migrationJSON struct {
	Name    string `json:"name"`
	Applied bool   `json:"applied"`
}

func migrationsJSON(all []migrations.Migration) []migrationJSON {
	rows := make([]migrationJSON, len(all))
	for i, m := range all {
		rows[i] = migrationJSON{m.Name, m.Applied}
	}
	return rows
}

func migrateStep(use, verb, nothing, example, short, long string, migrate func(context.Context, *pgxpool.Pool, int64) ([]string, error)) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		RunE: func(cmd *cobra.Command, _ []string) error {
			version, err := cmd.Flags().GetInt64("to")
			if err != nil {
				return err
			}
			if version < 0 {
				return operate.UsageError{Err: errors.New("--to wants the number of a step, or 0")}
			}
			return withApp(cmd, func(a *app) error {
				done, err := migrate(cmd.Context(), a.pool, version)
				if errors.Is(err, migrations.ErrUnknownStep) {
					return operate.UsageError{Err: fmt.Errorf("--to: %w", err)}
				}
				if asJSON {
					rows := make([]migrationJSON, len(done))
					for i, name := range done {
						rows[i] = migrationJSON{name, verb == "applied"}
					}
					return errors.Join(err, terminal.JSON(cmd.OutOrStdout(), rows))
				}
				for _, name := range done {
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), verb, name)
				}
				if err == nil && len(done) == 0 {
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), nothing)
				}
				return err
			})
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print what was done as an array of objects for programs")
	return command
}

// operateCommands are those of the framework, on DanceFinder.
func operateCommands() *operate.Commands {
	var names []string
	for _, p := range projections.All() {
		names = append(names, p.Name)
	}
	return operate.New(func(cmd *cobra.Command, do func(operate.System) error) error {
		return withApp(cmd, func(a *app) error { return do(a.system()) })
	}, operate.Config{Program: "dancefinder", Starts: "dancefinder projector", Projections: names, Relay: relayName})
}

// system is what the framework's commands look after.
func (a *app) system() operate.System {
	return operate.System{
		Manager: a.manager, Log: a.store, Pool: a.pool, Consumers: a.positions, Reactors: []*reactor.Reactor{a.reactor},
		Relay:      func(name string) (*relay.Relay, error) { return a.relayNamed(name, a.logger) },
		CheckReset: a.checkAdopted,
		Hint:       a.hint,
	}
}
