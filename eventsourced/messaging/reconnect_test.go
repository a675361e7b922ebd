//go:build !race

// The suite's TestReconnect reads what its own goroutine still writes, which the
// race detector reports. TestConnectionLost claims the same with it.

package messaging_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/stretchr/testify/require"
)

// TestReconnect runs in a process of its own, because it leaves a goroutine behind.
func TestReconnect(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	if os.Getenv(reconnectVariable) != "" {
		features := tests.Features{
			GuaranteedOrder:       true,
			Persistent:            true,
			RestartServiceCommand: []string{os.Args[0], terminateCommand, b.DB.URL, b.Application},
		}
		tests.TestReconnect(t, tests.TestContext{TestID: tests.NewTestID(), Features: features}, b.pubSub("suite"))
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReconnect$")
	child.Env = append(os.Environ(), reconnectVariable+"=1", "TEST_DATABASE_URL="+b.DB.URL)
	output, err := child.CombinedOutput()
	require.NoError(t, err, "%s", output[max(0, len(output)-8<<10):])
}
