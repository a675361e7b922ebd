package readview_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
	"github.com/dancefinder/eventsourcing/readview"
)

// A projection learns that events which it handles were published only later on: it lacks what was
// before. Others are not concerned.
func TestEventsThatArePublishedLater(t *testing.T) {
	t.Parallel()
	for name, live := range map[string]bool{"when it is quiet": false, "while messages come": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContexts(t, "amqp://unused/")
			b := newBus(1, 0)
			b.bind(c.topic, "branch")
			b.bind(c.topic, "audits")
			c.deposit(2)
			last := c.record("account-0", &Audited{})
			first := c.startRelayOver(b, func(config *relay.Config) { config.Names = []string{"Audited"} })
			all := balances(readview.On(onDeposited), readview.On(onAudited))
			all.Tables, all.Reset = append(all.Tables, "audit"), nil
			router := newRouter(t)
			manager, err := readview.NewManager(router, nil, c.branch.pool, fast())
			require.NoError(t, err)
			feed := readview.Feed{Registry: registry(), Subscriber: b.receiver("branch"), Topic: c.topic, Requests: b, RequestTopic: c.requestTopic(), ReplyTo: "queue:branch"}
			require.NoError(t, manager.AddRemote(all, feed))
			audits := readview.Projection{
				Name:     "audits",
				Handlers: readview.Handlers{readview.On(func(context.Context, readview.Tx, *Audited) error { return nil })},
				Reset:    readview.ResetFunc(func(context.Context, readview.Tx) error { return nil }),
			}
			feed.Subscriber, feed.ReplyTo = b.receiver("audits"), "queue:audits"
			require.NoError(t, manager.AddRemote(audits, feed))
			c.start(router)
			c.branch.eventually("one of three is applied", func() bool {
				return c.branch.status(manager, "balances").State == consumer.Live && c.branch.int(`SELECT count(*) FROM audit`) == 1
			})
			first.stop()
			c.startRelayOver(b)
			if live {
				last = c.record("account-0", &Audited{})
			}
			failed := func() bool { return c.branch.status(manager, "balances").State == consumer.Failed }
			c.branch.eventually("it stops", failed)
			require.Contains(t, c.branch.status(manager, "balances").Failure.Error, "Reset balances, and it reads all from the beginning")
			require.NoError(t, manager.Resume(t.Context(), "balances"))
			c.branch.eventually("nothing else helps", failed)
			require.Zero(t, c.branch.int(`SELECT count(*) FROM journal`))
			c.branch.waitFor(manager, last, "audits")
			c.branch.eventually("the others are live", func() bool { return c.branch.status(manager, "audits").State == consumer.Live })

			require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
			c.branch.waitFor(manager, last, "balances")
			c.requireSame()
			c.branch.eventually("it is live", func() bool { return c.branch.status(manager, "balances").State == consumer.Live })
		})
	}
}

// What nobody publishes is no quiet topic: the status says so.
func TestWhatIsNotPublished(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(*relay.Config, *readview.Feed){
		"has published nothing to the topic": func(_ *relay.Config, feed *readview.Feed) { feed.Topic += "s" },
		"publishes none of Deposited":        func(config *relay.Config, _ *readview.Feed) { config.Names = []string{"Audited"} },
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			c := newContexts(t, "amqp://unused/")
			b := newBus(1, 0)
			b.bind(c.topic, "branch")
			c.deposit(1)
			c.record("account-0", &Audited{})
			var feeding readview.Feed
			c.startRelayOver(b, func(config *relay.Config) { change(config, &feeding) })
			manager, router := c.branchManagerOver(b, func(feed *readview.Feed) { change(&relay.Config{}, feed) })
			c.start(router)
			c.branch.eventually("it is said", func() bool {
				status := c.branch.status(manager, "balances")
				return status.State == consumer.Retrying && strings.Contains(status.Failure.Error, says)
			})
		})
	}
}

// Who asked for another topic by mistake has read nothing of the right one.
func TestTopicThatIsCorrected(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	last := c.deposit(2)
	running := c.startRelayOver(b)
	c.eventually("all is published, to nobody", func() bool { return running.status().Behind == 0 })
	b.bind(c.topic, "branch")
	manager, router := c.branchManagerOver(b, func(feed *readview.Feed) { feed.Topic += "s" })
	stop := c.start(router)
	c.branch.eventually("it is said", func() bool { return c.branch.status(manager, "balances").State == consumer.Retrying })
	stop()
	manager, router = c.branchManagerOver(b, nil)
	c.start(router)
	c.branch.waitFor(manager, last)
	c.requireSame()
}

// A position is one of a topic: it is not used for another one, to which the owner publishes as well.
func TestTopicThatIsChanged(t *testing.T) {
	t.Parallel()
	c := newContexts(t, "amqp://unused/")
	b := newBus(1, 0)
	others := c.topic + ".others"
	b.bind(c.topic, "branch")
	b.bind(others, "others")
	c.record("account-1", &Deposited{Amount: 1}) // before the position that is reached in the other topic
	last := c.record("account-0", &Deposited{Amount: 2})
	c.startRelayOver(b, func(config *relay.Config) {
		config.Topic = func(e eventsourced.Recorded) string {
			if e.Stream.AggregateID == "account-0" {
				return c.topic
			}
			return others
		}
	})
	changed := func(feed *readview.Feed) {
		feed.Topic, feed.Subscriber, feed.ReplyTo = others, b.receiver("others"), "queue:others"
	}
	manager, router := c.branchManagerOver(b, nil)
	stop := c.start(router)
	c.branch.waitFor(manager, last)
	stop()

	manager, router = c.branchManagerOver(b, changed)
	stop = c.start(router)
	c.branch.eventually("it is refused, and says what to do", func() bool {
		status := c.branch.status(manager, "balances")
		return status.State == consumer.Failed && strings.Contains(status.Failure.Error, fmt.Sprintf(
			"the position of balances is one of the topic %q, and this program has it fed by the topic %q: go back to that topic, or reset balances with this program", c.topic, others))
	})
	ready, err := manager.Ready(t.Context())
	require.NoError(t, err)
	require.Equal(t, readview.VerdictRefused, ready[0].Verdict)
	require.ErrorIs(t, ready[0].Err, readview.ErrOtherTopic)
	require.ErrorIs(t, manager.WaitFor(t.Context(), last, "balances"), readview.ErrOtherTopic)
	stop()

	manager, router = c.branchManagerOver(b, nil)
	stop = c.start(router)
	last = c.record("account-0", &Deposited{Amount: 4})
	c.branch.waitFor(manager, last)
	require.EqualValues(t, 2, c.branch.int(`SELECT count(*) FROM journal`), "with the right one it has gone on")
	stop()

	manager, router = c.branchManagerOver(b, changed)
	c.start(router)
	require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
	c.branch.eventually("it has read the other one from the beginning", func() bool {
		return c.branch.int(`SELECT coalesce(sum(amount), 0)::int FROM journal`) == 1 && c.branch.status(manager, "balances").State == consumer.Live
	})
}

// newer has a relay publish deposits in a schema version that nobody knows yet.
func newer(config *relay.Config) {
	config.Translate = func(e eventsourced.Recorded) (eventsourced.Recorded, error) {
		e.SchemaVersion, e.Payload = 2, fmt.Appendf(nil, `{"Amount":1,"Currency":"SEK"}`)
		return e, nil
	}
}

// A message in a newer schema version stops a projection, unless it is tolerant. It goes on when
// the program has learned to read it, or the other context sends another form again: what has
// failed is asked for, not tried as it was.
func TestNewerSchemaVersion(t *testing.T) {
	t.Parallel()
	tolerant := func(feed *readview.Feed) {
		feed.Registry = eventsourced.MustRegistry(eventsourced.Type[Deposited]("Deposited", eventsourced.Tolerant()))
	}
	for name, test := range map[string]struct {
		restart, mended bool // the program of the branch office, the relay
		deployed        func(*readview.Feed)
	}{
		"a program that is tolerant reads it":                                 {restart: true, deployed: tolerant},
		"another form is read after Resume":                                   {mended: true},
		"another form is read after a restart":                                {restart: true, mended: true},
		"another form is read by a tolerant program after a restart, just so": {restart: true, mended: true, deployed: tolerant},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContexts(t, "amqp://unused/")
			b := newBus(1, 0)
			b.bind(c.topic, "branch")
			running := c.startRelayOver(b)
			manager, router := c.branchManagerOver(b, nil)
			stop := c.start(router)
			c.branch.waitFor(manager, c.deposit(2))
			running.stop()
			running = c.startRelayOver(b, newer)
			last := c.deposit(2)
			c.branch.eventually("it stops", func() bool { return c.branch.status(manager, "balances").State == consumer.Failed })
			require.Contains(t, c.branch.status(manager, "balances").Failure.Error, "written by a newer version of the program, in schema version 2; this one knows 1")
			if test.mended {
				running.stop()
				c.startRelayOver(b)
			}
			if test.restart {
				stop()
				manager, router = c.branchManagerOver(b, test.deployed)
				c.start(router)
			} else {
				require.NoError(t, manager.Resume(t.Context(), "balances"))
			}
			c.branch.eventually("it goes on", func() bool { return c.branch.status(manager, "balances").Position >= last })
			c.requireSame()
			c.branch.waitFor(manager, c.deposit(1))
		})
	}
	t.Run("a tolerant program goes on", func(t *testing.T) {
		t.Parallel()
		c := newContexts(t, "amqp://unused/")
		b := newBus(1, 0)
		b.bind(c.topic, "branch")
		c.startRelayOver(b, newer)
		manager, router := c.branchManagerOver(b, tolerant)
		c.start(router)
		c.branch.waitFor(manager, c.deposit(2)) // live
		require.NoError(t, manager.ResetProjection(t.Context(), "balances"))
		c.branch.waitFor(manager, c.deposit(1)) // history
		c.requireSame()
	})
}
