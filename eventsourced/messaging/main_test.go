package messaging_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/dancefinder/eventsourcing/internal/testdb"
)

// Other roles of this test binary.
const (
	terminateCommand  = "terminate-sessions"       // first argument; then a database URL and an application name
	reconnectVariable = "MESSAGING_TEST_RECONNECT" // in the environment: the process runs TestReconnect and nothing else
)

func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 4 && os.Args[1] == terminateCommand:
		if err := terminateSessions(context.Background(), os.Args[2], os.Args[3]); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case os.Getenv(reconnectVariable) != "":
		os.Exit(m.Run()) // the suite's test leaves a goroutine behind
	default:
		testdb.Main(m)
	}
}

// terminateSessions ends all sessions of an application, as a restart of the server
// would, but for those of other tests.
func terminateSessions(ctx context.Context, url, application string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, application)
	return err
}
