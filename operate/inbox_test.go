package operate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/inbox"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/readview"
)

// An inbox is reset by its name in the status, and by that of its projection, which messages and the operator log have.
func TestResetOfAnInbox(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	require.NoError(t, migrate.Run(t.Context(), b.db.Pool, migrate.Config{}, relay.Migrations(), inbox.Migrations()))
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	t.Cleanup(func() { require.NoError(t, broker.Close()) })
	quiet := consumer.Config{Logger: slog.New(slog.DiscardHandler)}
	publishing, err := relay.New(b.store, b.db.Pool, broker, relay.Config{Config: quiet, Requests: broker, RequestTopic: "requests"})
	require.NoError(t, err)
	var handled atomic.Int64
	topic := relay.DefaultTopic
	tithes := func() *inbox.Inbox {
		feed := readview.Feed{Registry: bank.Registry(), Subscriber: own{broker}, Topic: topic, Requests: broker, RequestTopic: "requests"}
		in, err := inbox.New(b.db.Pool, feed, reactor.Config{Config: quiet, Name: "tithes"}, reactor.On(func(context.Context, *bank.Deposited) error {
			handled.Add(1)
			return nil
		}))
		require.NoError(t, err)
		return in
	}
	commands := operate.New(func(_ *cobra.Command, do func(operate.System) error) error {
		return do(operate.System{Manager: b.manager(), Log: b.store, Pool: b.db.Pool, Consumers: consumer.NewStore(b.db.Pool, consumer.Config{}), Inboxes: []*inbox.Inbox{tithes()}})
	}, operate.Config{Program: "branch", Projections: []string{"deposits"}, Inboxes: []string{"tithes"}})
	run := func(line string) (code int, out, errs string) {
		root := &cobra.Command{Use: "branch"}
		root.AddCommand(commands.Readviews())
		var stdout, stderr bytes.Buffer
		code = operate.Run(t.Context(), root, strings.Fields("readviews "+line), strings.NewReader(""), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	done := func(line string) string {
		code, out, errs := run(line)
		require.Equal(t, operate.ExitDone, code, errs)
		return out
	}
	require.Contains(t, done("status"), "tithes", "also before it has run")
	_, err = bank.Accounts(b.store).Update(t.Context(), "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 7}) })
	require.NoError(t, err)
	position := func() (at int64) {
		require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT coalesce(max(position), 0) FROM readviews WHERE name = 'inbox.tithes'`).Scan(&at))
		return at
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx, publishing, tithes()) }()
	defer func() {
		stop()
		require.NoError(t, <-ended)
	}()
	require.Eventually(t, func() bool { return handled.Load() == 1 && position() > 0 }, time.Minute, 10*time.Millisecond)

	done("pause tithes") // the reactor; its reception goes on
	var would []map[string]any
	require.NoError(t, json.Unmarshal([]byte(done("reset inbox.tithes --dry-run --json")), &would))
	require.Len(t, would, 1)
	require.Equal(t, "inbox.tithes", would[0]["projection"])
	require.EqualValues(t, position(), would[0]["position"])
	require.Equal(t, "reset tithes\n", done("reset inbox.tithes"))
	require.JSONEq(t, `[{"name": "tithes", "kind": "reactor", "done": "reset"}]`, done("reset tithes --yes --json"))
	require.Equal(t, 2, strings.Count(done("log inbox.tithes"), " reset "), "each is in the operator log, the dry run is not")
	done("resume tithes")
	require.Eventually(t, func() bool { return position() > 0 }, time.Minute, 10*time.Millisecond, "history has come again")
	require.EqualValues(t, 1, handled.Load(), "what was handled is not handled again")

	topic = "elsewhere"
	status := done("status")
	require.Contains(t, status, `the position of inbox.tithes is one of the topic "events", and this program has it fed by the topic "elsewhere"`)
	require.Contains(t, status, "tithes is run by another program, and this one may not run it:\n")
	for line, says := range map[string]string{
		"reset nobody":        `unknown projection or inbox "nobody", want one of: deposits, tithes`,
		"reset tithes --wait": "--wait is for projections: 'branch readviews status' says when an inbox is live",
	} {
		code, _, errs := run(line)
		require.Equal(t, operate.ExitUsage, code, line)
		require.Contains(t, errs, says)
	}
}
