package readview_test

import (
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	shared "github.com/dancefinder/eventsourcing/internal/bank"
	"github.com/dancefinder/eventsourcing/readview"
)

// unsplit is the registry of a context that still records what was split elsewhere.
func unsplit() *eventsourced.Registry {
	type (
		Moved      struct{ eventsourced.BaseEvent }
		Relocated  struct{ eventsourced.BaseEvent }
		Named      struct{ eventsourced.BaseEvent }
		Registered struct{ eventsourced.BaseEvent }
	)
	return eventsourced.MustRegistry(eventsourced.Type[Moved]("Moved"), eventsourced.Type[Relocated]("Relocated"),
		eventsourced.Type[Named]("Named"), eventsourced.Type[Registered]("Registered"))
}

// split are the registry of the context that publishes, and that of the branch office.
var split = map[string][2]func() *eventsourced.Registry{
	"split by who publishes it": {shared.Evolved, func() *eventsourced.Registry {
		return eventsourced.MustRegistry(eventsourced.Type[shared.Named]("Named"), eventsourced.Type[shared.Relocated]("Relocated"))
	}},
	"split by who receives it": {unsplit, shared.Evolved},
}

// peopleManager returns a manager of people in the branch office.
func (c *contexts) peopleManager(b *bus, registry *eventsourced.Registry, projection readview.Projection) (*readview.Manager, *message.Router) {
	c.t.Helper()
	router := newRouter(c.t)
	config := fast()
	config.Attempts = 2
	manager, err := readview.NewManager(router, nil, c.branch.pool, config)
	require.NoError(c.t, err)
	require.NoError(c.t, manager.AddRemote(projection, readview.Feed{
		Registry: registry, Subscriber: b.receiver("branch"), Topic: c.topic,
		Requests: b, RequestTopic: c.requestTopic(), ReplyTo: "queue:branch", AskAgain: fast().PollInterval, AskAtLeast: fast().PollInterval,
	}))
	return manager, router
}

// newEvolvedContexts have no broker but b.
func newEvolvedContexts(t *testing.T, b *bus, registry *eventsourced.Registry) *contexts {
	t.Helper()
	c := newContexts(t, "amqp://unused/")
	c.evolve(registry)
	c.branch.exec(partTable)
	b.bind(c.topic, "branch")
	return c
}

func TestSplitEventOfAnotherContextIsAppliedAsOne(t *testing.T) {
	t.Parallel()
	for name, registries := range split {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBus(1, 0.1)
			c := newEvolvedContexts(t, b, registries[0]())
			c.old(oldPeople(3)...) // they come as history
			c.startRelayOver(b)
			manager, router := c.peopleManager(b, registries[1](), people(nil))
			c.start(router)
			for range 5 {
				c.branch.waitFor(manager, c.old(oldPeople(1)...))
			}
			c.branch.requireParts(c.bank)
		})
	}
}

func TestSplitEventOfAnotherContextFailsAsOne(t *testing.T) {
	t.Parallel()
	for name, registries := range split {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBus(1, 0)
			c := newEvolvedContexts(t, b, registries[0]())
			before := c.old(oldPeople(1)[:4]...) // and no event after these that is nothing today
			position := c.old(shared.Old("Registered", `{"Name": "Eve", "Town": "Nowhere"}`))
			last := c.old(oldPeople(1)...)
			c.startRelayOver(b)
			var cured atomic.Bool
			manager, router := c.peopleManager(b, registries[1](), people(func(e *shared.Relocated) error {
				if e.Town == "Nowhere" && !cured.Load() {
					return errNowhere
				}
				return nil
			}))
			c.start(router)
			c.branch.eventually("it fails", func() bool { return c.branch.status(manager, "people").State == consumer.Failed })
			status := c.branch.status(manager, "people")
			require.Equal(t, before, status.Position, "just before the event")
			require.Equal(t, position, status.Failure.Position)
			require.Contains(t, status.Failure.Error, errNowhere.Error())
			require.Equal(t, int64(before), c.branch.int(`SELECT max(position) FROM part`), "nothing of it is there")
			cured.Store(true)
			require.NoError(t, manager.Resume(t.Context(), "people"))
			c.branch.waitFor(manager, last)
			c.branch.requireParts(c.bank)
		})
	}
}
