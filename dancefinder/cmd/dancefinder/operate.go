package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/readview"
)

func projectorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "projector",
		Short: "Apply events to the read views until interrupted",
		Long: "Applies events to the read views until SIGINT or SIGTERM.\n" +
			"Several projectors may run: of each projection one is active, the others stand by.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				if err := checkMigrated(cmd, a); err != nil {
					return err
				}
				logger(cmd).InfoContext(cmd.Context(), "projector runs", "projections", a.manager.Names())
				return a.Run(cmd.Context())
			})
		},
	}
}

func checkMigrated(cmd *cobra.Command, a *app) error {
	all, err := migrations.Status(cmd.Context(), a.pool)
	if err != nil {
		return err
	}
	for _, migration := range all {
		if !migration.Applied {
			return fmt.Errorf("the database lacks the migration %s: run 'dancefinder migrate up'", migration.Name)
		}
	}
	return nil
}

func migrateCommand() *cobra.Command {
	up := &cobra.Command{
		Use:   "up",
		Short: "Make the tables, or bring them up to date",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				applied, err := migrations.Up(cmd.Context(), a.pool)
				for _, name := range applied {
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), "applied", name)
				}
				if err == nil && len(applied) == 0 {
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), "up to date")
				}
				return err
			})
		},
	}
	status := &cobra.Command{
		Use:   "status",
		Short: "Show which migrations are applied",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				all, err := migrations.Status(cmd.Context(), a.pool)
				if err != nil {
					return err
				}
				return table(cmd.OutOrStdout(), "MIGRATION\tSTATE", all, func(m migrations.Migration) string {
					return m.Name + "\t" + map[bool]string{true: "applied", false: "pending"}[m.Applied]
				})
			})
		},
	}
	return group("migrate", "Make the database's tables", up, status)
}

func readviewsCommand() *cobra.Command {
	var asJSON bool
	status := &cobra.Command{
		Use:   "status",
		Short: "Show how far each projection is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withApp(cmd, func(a *app) error {
				all, err := a.manager.Status(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), all)
				}
				return writeStatus(cmd.OutOrStdout(), all)
			})
		},
	}
	status.Flags().BoolVar(&asJSON, "json", false, "print an array of objects for programs")

	return group("readviews", "Look after the read views", status,
		each("reset", "Empty read views and apply all events again",
			"Empties the tables of each projection and sets its position to 0, in one transaction.\n"+
				"A running projector notices and applies all events again; until it is through, the tables are incomplete.",
			(*readview.Manager).ResetProjection, "reset"),
		each("pause", "Stop projections, in all projectors", "", (*readview.Manager).Pause, "paused"),
		each("resume", "Let paused or failed projections go on", "", (*readview.Manager).Resume, "resumed"),
	)
}

// table prints rows of tab-separated cells under a heading.
func table[T any](w io.Writer, heading string, rows []T, line func(T) string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, heading)
	for _, row := range rows {
		_, _ = fmt.Fprintln(t, line(row))
	}
	return t.Flush()
}

func writeStatus(w io.Writer, all []readview.Status) error {
	err := table(w, "PROJECTION\tSTATE\tPOSITION\tHEAD\tBEHIND\tLAG\tNODE", all, func(s readview.Status) string {
		node := s.Node
		if node == "" {
			node = "-"
		}
		return fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%s\t%s", s.Name, s.State, s.Position, s.Head, s.Behind, s.Lag.Round(time.Millisecond), node)
	})
	for _, s := range all {
		if s.Failure != nil {
			_, writeErr := fmt.Fprintf(w, "\n%s failed at %s:\n  %s\n  Fix the cause, then run 'dancefinder readviews resume %s'.\n",
				s.Name, s.Failure.Time.Format(time.RFC3339), s.Failure.Error, s.Name)
			err = errors.Join(err, writeErr)
		}
	}
	return err
}

func writeJSON(w io.Writer, all []readview.Status) error {
	type row struct {
		Name       string  `json:"name"`
		State      string  `json:"state"`
		Position   int64   `json:"position"`
		Head       int64   `json:"head"`
		Behind     int64   `json:"behind"`
		LagSeconds float64 `json:"lag_seconds"`
		Error      *string `json:"error"`
	}
	rows := make([]row, len(all))
	for i, s := range all {
		rows[i] = row{s.Name, string(s.State), int64(s.Position), int64(s.Head), s.Behind, s.Lag.Seconds(), nil}
		if s.Failure != nil {
			rows[i].Error = &s.Failure.Error
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(rows)
}
