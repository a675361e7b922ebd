package relay_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// A relay keeps what it publishes, and says in each message and page since when.
func TestPublications(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	outbox := consumertest.NewOutbox()
	published := func(change func(*relay.Config)) (last relay.Page) {
		t.Helper()
		config := consumertest.Relaying()
		change(&config)
		it, stop := b.Relay(outbox, config)
		defer stop()
		n := len(outbox.Of(relay.DefaultTopic))
		b.Deposit(1)
		renamed := b.Record(&consumertest.Renamed{})
		b.Eventually("all is published", func() bool {
			status, err := it.Status(t.Context())
			require.NoError(t, err)
			return status.Position >= renamed.Position && len(outbox.Of(relay.DefaultTopic)) > n
		})
		messages := outbox.Of(relay.DefaultTopic)
		last, err := relay.UnmarshalPage(messages[len(messages)-1])
		require.NoError(t, err)
		all, err := it.Published(t.Context())
		require.NoError(t, err)
		require.Equal(t, config.Revision, all[len(all)-1].Revision)
		require.Equal(t, strings.Join(config.Names, " "), strings.Join(all[len(all)-1].Names, " "))
		require.Less(t, last.PublishedFrom, last.UpTo)
		return last
	}
	require.Zero(t, published(func(c *relay.Config) { c.Names = []string{"Deposited"} }).Publication, "from the beginning")
	require.Zero(t, published(func(c *relay.Config) { c.Names = []string{"Deposited"} }).Publication, "nothing has changed")
	more := published(func(*relay.Config) {}).Publication
	require.NotZero(t, more, "all are more than one")
	again := published(func(c *relay.Config) { c.Revision = 1 }).Publication
	require.Greater(t, again, more, "they mean something else")
	less := published(func(c *relay.Config) { c.Names, c.Revision = []string{"Renamed"}, 1 })
	require.Equal(t, again, less.Publication, "who has more has missed nothing")
	both := published(func(c *relay.Config) { c.Names, c.Revision = []string{"Deposited", "Renamed"}, 1 })
	require.Greater(t, both.Publication, again)
	require.Equal(t, eventsourced.Position(0), both.Head)
}
