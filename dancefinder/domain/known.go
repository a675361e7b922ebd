package domain

import (
	"context"
	"errors"
	"sync"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// defaultKnown is how many names a catalogue remembers: a few MB.
const defaultKnown = 20_000

// catalogue answers whether bands, or halls, exist and what they are called. It
// remembers those that do: they are never deleted or renamed, so such an answer
// stays true. That something does not exist may change, and is not remembered.
type catalogue[A named] struct {
	repository *eventsourced.Repository[A]
	notFound   error
	limit      int // names to remember

	mu    sync.Mutex
	names map[string]string
}

type named interface {
	eventsourced.Aggregate
	Name() string
}

func newCatalogue[A named](repository *eventsourced.Repository[A], notFound error) *catalogue[A] {
	return &catalogue[A]{repository: repository, notFound: notFound, limit: defaultKnown, names: map[string]string{}}
}

// nameOf returns the name of the aggregate id, or notFound.
func (c *catalogue[A]) nameOf(ctx context.Context, id string) (string, error) {
	c.mu.Lock()
	name, known := c.names[id]
	c.mu.Unlock()
	if known {
		return name, nil
	}
	a, err := c.repository.Load(ctx, id)
	if errors.Is(err, eventsourced.ErrNotFound) {
		return "", c.notFound
	}
	if err != nil {
		return "", err
	}
	c.remember(id, a.Name())
	return a.Name(), nil
}

// remember adds an aggregate that is stored, in place of some other one when the
// limit is reached.
func (c *catalogue[A]) remember(id, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.names) >= c.limit {
		for other := range c.names {
			delete(c.names, other)
			break
		}
	}
	c.names[id] = name
}
