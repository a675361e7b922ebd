package readview_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/internal/testamqp"
)

func (c *contexts) toTopic(eventsourced.Recorded) string { return c.topic }

func TestRemoteProjection(t *testing.T) {
	t.Parallel()
	c := newContexts(t, testamqp.URL(t))
	c.deposit(50) // before anybody listens
	c.startRelay()
	manager, router := c.branchManager(nil)
	c.start(router)
	c.branch.waitFor(manager, c.deposit(50))
	c.requireSame()

	last := c.deposit(1)
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	c.branch.waitFor(manager, last)
	c.requireSame()
}
