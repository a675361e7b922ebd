package main

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/migrations"
	"github.com/dancefinder/eventsourcing/operate"
)

func TestHintsAboutMissingTables(t *testing.T) {
	t.Parallel()
	tables, err := migrations.Tables()
	require.NoError(t, err)
	require.Equal(t, "consumer/0001_consumers.sql", tables["consumers"])
	for table, test := range map[string]struct{ command, says string }{
		"ignored_city":    {"readviews reset userpreferences", "statement in dancefinder/migrations/schema/read_views.sql, then run 'dancefinder readviews reset userpreferences'."},
		"events":          {"readviews status", "statements in eventsourced/pgstore/migrations;"},
		"readviews":       {"readviews status", "statements in readview/migrations;"},
		"readview_states": {"readviews status", "statements in readview/migrations;"},
		"consumers":       {"relay status", "statements in eventsourced/consumer/migrations;"},
		"parked_events":   {"relay status", "statements in eventsourced/reactor/migrations;"},
		"geocoding_job":   {"geocoding status", "statements in dancefinder/migrations;"},
		"geocoding_cache": {"geocoding retry", "statements in dancefinder/migrations;"},
	} {
		t.Run("name "+table+" when somebody has dropped it", func(t *testing.T) {
			t.Parallel()
			d := newTables(t)
			_, err := d.Pool.Exec(t.Context(), "INSERT INTO consumers (name, topic) VALUES ('geocoding', '$reactor')")
			require.NoError(t, err)
			_, err = d.Pool.Exec(t.Context(), "ALTER TABLE "+table+" RENAME TO lost; ALTER TABLE geocoding_limit RENAME TO lost_as_well")
			require.NoError(t, err)
			got := d.run(strings.Fields(test.command)...)
			require.Equal(t, operate.ExitFailed, got.code, got.out)
			require.Contains(t, got.err, "not there: "+table+". ")
			require.Contains(t, got.err, test.says)
			require.NotContains(t, got.err, "migrate up")
			require.NotContains(t, got.err, "Migrate)")
			require.NotContains(t, got.err, "status of /:")
			require.Equal(t, 1, strings.Count(got.err, "Somebody has dropped"))
			text := regexp.MustCompile(`\S*/migrations\S*|readviews (?:status|reset)`).ReplaceAllString(got.err, "")
			for other := range tables {
				if other != table && other != "event" && other != "band" {
					require.NotRegexp(t, `\b`+other+`\b`, strings.ReplaceAll(text, "status of the consumers", ""))
				}
			}
		})
	}
	t.Run("say what to run where tables were never made", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		_, err := d.Pool.Exec(t.Context(), "DROP TABLE consumers, consumer_operations, relay_topics, relay_skips, relay_published, parked_events, reactor_done, reactor_skipped, reactor_asked; DELETE FROM eventsourcing_migrations WHERE component IN ('consumer', 'relay', 'reactor')")
		require.NoError(t, err)
		got := d.run("relay", "status")
		require.Equal(t, operate.ExitFailed, got.code)
		require.Contains(t, got.err, "There is no table consumers yet. Run 'dancefinder migrate up' to make the tables.")
		require.Equal(t, 1, strings.Count(got.err, "migrate up"))
	})
	t.Run("do not take a pending migration for one that makes another table", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		_, err := d.Pool.Exec(t.Context(), "DROP TABLE consumers CASCADE; DELETE FROM goose_db_version WHERE version_id = 2")
		require.NoError(t, err)
		got := d.run("relay", "status")
		require.Contains(t, got.err, "not there: consumers. ")
		require.NotContains(t, got.err, "migrate up")
	})
	t.Run("stand once below a status with failures", func(t *testing.T) {
		t.Parallel()
		d := newTables(t)
		_, err := d.Pool.Exec(t.Context(), `ALTER TABLE geocoding_job RENAME TO lost;
			INSERT INTO consumers (name, topic, error, tried_at, since, attempts)
			SELECT name, '$reactor', 'relation "geocoding_job" does not exist (SQLSTATE 42P01)', now(), now(), 1 FROM unnest('{geocoding,mails}'::text[]) AS name`)
		require.NoError(t, err)
		text := d.done("readviews", "status")
		require.Equal(t, 1, strings.Count(text, "not there: geocoding_job. "), text)
	})
}

// Not parallel: it changes the environment.
func TestOnlyAProjectorNeedsTheRestOfTheEnvironment(t *testing.T) {
	d := newTables(t)
	all := append(commands[1:len(commands):len(commands)], []string{"relay", "status"}, []string{"geocoding", "status"}, []string{"geocoding", "retry"})
	for variable, value := range map[string]string{"AMQP_URL": "nonsense", "GEOCODER": "nonsense", "NOMINATIM_CONTACT": ""} {
		t.Run("such as "+variable, func(t *testing.T) {
			t.Setenv(variable, value)
			if variable == "NOMINATIM_CONTACT" {
				t.Setenv("GEOCODER", "nominatim")
			}
			for _, command := range all {
				got := dancefinderReads(t, july, d.args(command)...)
				require.Equal(t, operate.ExitDone, got.code, "%v: %s", command, got.err)
			}
			require.Equal(t, operate.ExitUsage, d.run("projector").code)
		})
	}
}

// What the log warns of is told in the command's own way.
func TestTheLogHasTheCommandsLogger(t *testing.T) {
	t.Parallel()
	d := newTables(t)
	var text bytes.Buffer
	a, err := openApp(t.Context(), appOptions{databaseURL: d.URL, logger: slog.New(slog.NewTextHandler(&text, nil))})
	require.NoError(t, err)
	tx, err := d.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock(1702260334, 'events'::regclass::oid::int)")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	defer cancel()
	_, _, err = a.service.CreateBand(ctx, domain.CreateBand{Name: "Ängs"})
	require.Error(t, err)
	require.NoError(t, tx.Rollback(t.Context()))
	a.Close()
	require.Contains(t, text.String(), "an append waits for the log's lock")
}
