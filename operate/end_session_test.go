package operate_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/operate"
)

// Who holds the lock that a projection waits for is named, and ended from the command line.
func TestEndSession(t *testing.T) {
	t.Parallel()
	b := newBounded(t)
	b.live(5)
	code, _, said := b.run("readviews end-session deposits")
	require.Equal(t, operate.ExitFailed, code)
	require.Contains(t, said, "no session is in the way of deposits")

	holder, err := pgx.ConnectConfig(t.Context(), b.db.Pool.Config().ConnConfig.Copy())
	require.NoError(t, err)
	t.Cleanup(func() { _ = holder.Close(context.Background()) })
	_, err = holder.Exec(t.Context(), "BEGIN;\nSELECT FROM readviews FOR UPDATE")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	manager, ran := b.manager(), make(chan error, 1)
	go func() { ran <- manager.Run(ctx) }()
	last, err := bank.Accounts(b.store).Update(t.Context(), "anna", func(a *bank.Account) error { return eventsourced.Record(a, &bank.Deposited{Amount: 7}) })
	require.NoError(t, err)
	var out string
	require.Eventually(t, func() bool {
		code, out, _ = b.run("readviews end-session deposits --dry-run")
		return code == operate.ExitDone
	}, time.Minute, 100*time.Millisecond)
	who := fmt.Sprintf(`pid %d .*, in its transaction since \S+: BEGIN; SELECT FROM readviews FOR UPDATE\n$`, holder.PgConn().PID())
	require.Regexp(t, "^would end "+who, out)
	require.Contains(t, b.done("readviews status"), "to end it: 'bank readviews end-session deposits'")
	code, _, said = b.run("readviews end-session deposits --pid 1")
	require.Equal(t, operate.ExitFailed, code)
	require.Contains(t, said, "pid 1: that session is not in the way any more")
	require.NoError(t, holder.Ping(t.Context()))
	require.Regexp(t, "^ended "+who, b.done("readviews end-session deposits --yes"))
	require.Error(t, holder.Ping(t.Context()))
	require.NoError(t, manager.WaitFor(t.Context(), last))
	require.Contains(t, b.done("readviews log deposits"), "end-session")
	stop()
	require.NoError(t, <-ran)
}
