package model

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/dancefinder/eventsourcing/dancefinder/query"
)

// lookup finds things by their ids: all of them by one statement, when the first one is
// asked for. So it does not matter how many there are, nor by which way through the
// answer (nodes or edges, under whatever alias) they are reached.
type lookup[T any] struct {
	ids  []string
	find func(ctx context.Context, ids ...string) (map[string]T, error)

	once  sync.Once
	found map[string]T
	err   error
}

func (l *lookup[T]) get(ctx context.Context, id string) (*T, error) {
	l.once.Do(func() {
		l.found = map[string]T{}
		ids := slices.Compact(slices.Sorted(slices.Values(l.ids)))
		for part := range slices.Chunk(ids, query.MaxIDs) {
			found, err := l.find(ctx, part...)
			if err != nil {
				l.err = err
				return
			}
			maps.Copy(l.found, found)
		}
	})
	if item, ok := l.found[id]; ok {
		return &item, nil
	}
	return nil, l.err
}

// memo keeps the answer to each question that is asked by several.
type memo[K comparable, V any] struct {
	mu      sync.Mutex
	answers map[K]func() (V, error)
}

func (m *memo[K, V]) get(key K, ask func() (V, error)) (V, error) {
	m.mu.Lock()
	if m.answers == nil {
		m.answers = map[K]func() (V, error){}
	}
	answer := m.answers[key]
	if answer == nil {
		answer = sync.OnceValues(ask)
		m.answers[key] = answer
	}
	m.mu.Unlock()
	return answer()
}
