package domain

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// defaultKnown is how many names a catalogue remembers: a few MB.
const defaultKnown = 20_000

// rememberFor is how long a name is believed without another look.
const rememberFor = time.Minute

// catalogue answers whether bands, or halls, exist and what they are called. It
// remembers those that do for a minute, as an import asks for the same ones all the
// time. When another process deletes one meanwhile, a dance may still get it, as if it
// had been deleted just after: its band is unknown then. That something does not exist
// is not remembered.
type catalogue[A any, P named[A]] struct {
	repository *eventsourced.Repository[A]
	notFound   error
	limit      int // names to remember

	mu    sync.Mutex
	names map[string]remembered
}

type remembered struct {
	name string
	at   time.Time
}

type named[A any] interface {
	*A
	Name() string
}

func newCatalogue[A any, P named[A]](repository *eventsourced.Repository[A], notFound error) *catalogue[A, P] {
	return &catalogue[A, P]{repository: repository, notFound: notFound, limit: defaultKnown, names: map[string]remembered{}}
}

// nameOf returns the name of the aggregate id, or notFound.
func (c *catalogue[A, P]) nameOf(ctx context.Context, id string) (string, error) {
	c.mu.Lock()
	known := c.names[id]
	c.mu.Unlock()
	if time.Since(known.at) < rememberFor {
		return known.name, nil
	}
	loaded, err := c.repository.Load(ctx, id)
	if errors.Is(err, eventsourced.ErrNotFound) {
		return "", c.notFound
	}
	if err != nil {
		return "", err
	}
	name := P(loaded).Name()
	if name == "" {
		return "", c.notFound
	}
	c.remember(id, name)
	return name, nil
}

// forget makes the next question look.
func (c *catalogue[A, P]) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.names, id)
}

// remember adds an aggregate that is stored, in place of some other one when the
// limit is reached.
func (c *catalogue[A, P]) remember(id, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.names) >= c.limit {
		for other := range c.names {
			delete(c.names, other)
			break
		}
	}
	c.names[id] = remembered{name, time.Now()}
}
