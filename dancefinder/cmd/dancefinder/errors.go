package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/dancefinder/projections"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/operate"
)

const archiveHint = "Start every process with ARCHIVE_DIR, or --archive-dir, naming the directory of 'dancefinder log archive'."

// explain adds what to do to some of the server's errors.
func (a *app) explain(ctx context.Context, err error) error {
	if errors.Is(err, pgstore.ErrArchived) {
		return operate.HintedError{Err: err, Hint: archiveHint}
	}
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err
	}
	switch server.Code {
	case "42P05", "26000": // a prepared statement is there already, or is not
		return operate.HintedError{Err: err, Hint: poolerHint}
	case "42P01": // undefined table
		if hint := a.missing(ctx, server.Message); hint != "" {
			return operate.HintedError{Err: err, Hint: hint}
		}
	}
	return err
}

// hint says what to do about a consumer's failure beside what its status says, "" for nothing.
func (a *app) hint(ctx context.Context, failure string) string {
	switch {
	case strings.Contains(failure, pgstore.ErrArchived.Error()):
		return archiveHint
	case strings.Contains(failure, "SQLSTATE 42P05"), strings.Contains(failure, "SQLSTATE 26000"):
		return poolerHint
	case strings.Contains(failure, "SQLSTATE 42P01"):
		return a.missing(ctx, failure)
	}
	return ""
}

// missing says what to do about those missing tables that a text names, or "" if
// there are none: not all of them come with the migrations that are not applied yet.
func (a *app) missing(ctx context.Context, text string) string {
	made, err := migrations.Tables()
	if err != nil {
		return ""
	}
	var names []string
	for name := range made {
		if regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(text) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	rows, err := a.pool.Query(ctx, "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NULL", names)
	if err != nil {
		return ""
	}
	lost, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(lost) == 0 {
		return ""
	}
	all, err := migrations.Status(ctx, a.pool)
	if err != nil && !errors.Is(err, migrations.ErrNewer) {
		return ""
	}
	var hints []string
	for _, name := range lost {
		hints = append(hints, howToMake(name, made[name], slices.Contains(migrations.Pending(all), made[name])))
	}
	return strings.Join(hints, "\n")
}

// howToMake says how a table comes back that is made by a migration.
func howToMake(table, migration string, pending bool) string {
	if pending {
		return fmt.Sprintf("There is no table %s yet. Run 'dancefinder migrate up' to make the tables.", table)
	}
	hint := fmt.Sprintf("All migrations that make it are applied, but not there: %s. Somebody has dropped or renamed it. ", table)
	for _, p := range projections.All() {
		if slices.Contains(p.Tables, table) {
			return hint + fmt.Sprintf("Make it again with its statement in dancefinder/migrations/%s, then run 'dancefinder readviews reset %s'.", finalStatement(table, migration), p.Name)
		}
	}
	folder := "dancefinder/migrations"
	if component, _, ok := strings.Cut(migration, "/"); ok {
		folder = map[string]string{"readview": "readview"}[component]
		if folder == "" {
			folder = "eventsourced/" + component
		}
		folder += "/migrations"
	}
	return hint + fmt.Sprintf("Bring it back from a backup, or make it again, empty, with its statements in %s; "+
		"docs/operating.md says what is lost then.", folder)
}

// finalStatement names the file with the statement that makes a read view as it is now: the
// migration that made it first may have made it otherwise.
func finalStatement(table, migration string) string {
	if table == "userpreferences_lookup" {
		return migration
	}
	return "schema/read_views.sql"
}
