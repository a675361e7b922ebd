package operate_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/operate"
	"github.com/dancefinder/eventsourcing/readview"
)

// answering is a transport that makes a way for answers, as amqpbus does.
type answering struct{ *gochannel.GoChannel }

func (a answering) Answers(topic string) (message.Subscriber, string, error) {
	return own(a), topic, nil
}

// own is not closed with what is shared.
type own struct{ *gochannel.GoChannel }

func (own) Close() error { return nil }

// A projection of another context's events is rebuilt, verified and explained where the transport is configured.
func TestCommandsOnARemoteProjection(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	require.NoError(t, migrate.Run(t.Context(), b.db.Pool, migrate.Config{}, relay.Migrations()))
	broker := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	publishing, err := relay.New(b.store, b.db.Pool, broker, relay.Config{
		Topic: func(eventsourced.Recorded) string { return "bank" }, Requests: broker, RequestTopic: "requests"})
	require.NoError(t, err)
	manager := func(subscriber message.Subscriber) *readview.Manager {
		manager, err := readview.NewManager(nil, nil, b.db.Pool, readview.Config{})
		require.NoError(t, err)
		require.NoError(t, manager.AddRemote(b.projection, readview.Feed{
			Registry: bank.Registry(), Subscriber: subscriber, Topic: "bank", Requests: broker, RequestTopic: "requests"}))
		return manager
	}
	run := func(subscriber message.Subscriber, args ...string) (code int, out, errs string) {
		commands := operate.New(func(_ *cobra.Command, do func(operate.System) error) error {
			return do(operate.System{Manager: manager(subscriber), Log: b.store, Pool: b.db.Pool})
		}, operate.Config{Program: "branch"})
		root := &cobra.Command{Use: "branch"}
		root.AddCommand(commands.Readviews())
		var stdout, stderr bytes.Buffer
		code = operate.Run(t.Context(), root, append([]string{"readviews"}, args...), strings.NewReader(""), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	_, status, _ := run(broker, "status")
	require.Regexp(t, `(?m)^deposits +projection +standby +0 +0 +\? `, status, "nobody knows what waits")
	checked, _, unknown := run(broker, "status", "--check")
	require.Equal(t, operate.ExitFound, checked)
	require.Contains(t, unknown, "projection deposits (standby): nobody knows how many events wait: nobody runs it")
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 2)
	live := manager(answering{broker})
	go func() { ended <- publishing.Run(ctx) }()
	go func() { ended <- live.Run(ctx) }()
	defer func() {
		stop()
		require.NoError(t, <-ended)
		require.NoError(t, <-ended)
	}()
	last, err := bank.Accounts(b.store).Update(t.Context(), "anna", func(a *bank.Account) error {
		return eventsourced.Record(a, &bank.Deposited{Amount: 7})
	})
	require.NoError(t, err)
	require.NoError(t, live.WaitFor(t.Context(), last))
	_, err = b.db.Pool.Exec(t.Context(), `UPDATE deposit SET amount = 8`)
	require.NoError(t, err)

	code, out, errs := run(broker, "rebuild", "deposits")
	require.Equal(t, operate.ExitFailed, code, out)
	require.Contains(t, errs, "its events come by messages, and this transport's Subscriber makes no queue for them")
	code, _, errs = run(broker, "verify", "deposits")
	require.Equal(t, operate.ExitUsage, code, "it could not tell")
	require.Contains(t, errs, "Explain with a History in a program of your own")
	_, out, _ = run(broker, "verify", "--help")
	require.Contains(t, out, "  0    equal\n  1    different, one at least\n  2    wrong usage, or it could not tell, of one at least")

	code, out, errs = run(answering{broker}, "verify", "deposits")
	require.Equal(t, operate.ExitFailed, code, errs)
	require.Contains(t, out, `amount is "8", a replay gives "7"`)
	require.Contains(t, out, "Deposited at position")
	code, out, errs = run(answering{broker}, "rebuild", "deposits", "--dry-run")
	require.Equal(t, operate.ExitDone, code, errs)
	require.Contains(t, out, "would replay the other context's events beside deposit")
	code, out, errs = run(answering{broker}, "rebuild", "deposits", "--yes")
	require.Equal(t, operate.ExitDone, code, errs)
	require.Contains(t, out, "1 updated")
	code, _, errs = run(answering{broker}, "verify", "deposits")
	require.Equal(t, operate.ExitDone, code, errs)
	code, out, errs = run(answering{broker}, "explain", "deposits", "--where", "amount = 7", "--json")
	require.Equal(t, operate.ExitDone, code, errs)
	var explained struct {
		Steps []struct {
			Event struct{ Stream string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &explained))
	require.Len(t, explained.Steps, 1)
	require.Contains(t, explained.Steps[0].Event.Stream, "anna")
}
