package reactor_test

import (
	"context"
	"sync"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// sick fails for the accounts that are ill, and notes what it has handled.
type sick struct {
	mu      sync.Mutex
	ill     map[string]error
	handled map[string][]int64 // amounts, by account
}

func newSick(ill ...string) *sick {
	s := &sick{ill: map[string]error{}, handled: map[string][]int64{}}
	for _, account := range ill {
		s.ill[account] = consumertest.ErrBroken
	}
	return s
}

func (s *sick) reaction() reactor.Reaction { return reactor.On(s.react) }

func (s *sick) react(ctx context.Context, e *consumertest.Deposited) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	account := eventsourced.FromContext(ctx).Stream.AggregateID
	if err := s.ill[account]; err != nil {
		return err
	}
	s.handled[account] = append(s.handled[account], e.Amount)
	return nil
}

func (s *sick) cure(accounts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, account := range accounts {
		delete(s.ill, account)
	}
}

func (s *sick) of(account string) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int64(nil), s.handled[account]...)
}
