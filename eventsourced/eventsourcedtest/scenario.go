// Package eventsourcedtest tests code on top of eventsourced: [Given], When, Then
// for aggregates, and [Golden] for what their events are stored as.
package eventsourcedtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

// Scenario is a test of one decision of an aggregate:
//
//	eventsourcedtest.Given[Account](t, &Deposited{Amount: 5}).
//		When(func(a *Account) error { return a.Withdraw(3) }).
//		Then(&Withdrawn{Amount: 3})
type Scenario[A any] struct {
	t         testing.TB
	aggregate *A
	err       error
}

// ID is the id of a scenario's aggregate.
const ID = "00000000-0000-7000-8000-000000000001"

// Given starts a scenario with an aggregate that has these events. They are given
// its id, so scenarios that run in parallel need events of their own.
func Given[A any, P interface {
	*A
	eventsourced.Aggregate
}](t testing.TB, events ...eventsourced.Event) *Scenario[A] {
	t.Helper()
	a := new(A)
	require.NoError(t, eventsourced.Replay(P(a), ID, events...))
	return &Scenario[A]{t: t, aggregate: a}
}

// When calls act on the aggregate, unless an act before it has failed.
func (s *Scenario[A]) When(act func(*A) error) *Scenario[A] {
	s.t.Helper()
	if s.err == nil {
		s.err = act(s.aggregate)
	}
	return s
}

// Then fails the test unless act succeeded and recorded exactly these events.
// What is in BaseEvent does not count: the wanted events take it over.
func (s *Scenario[A]) Then(want ...eventsourced.Event) {
	s.t.Helper()
	require.NoError(s.t, s.err)
	s.recorded(want)
}

// ThenError fails the test unless act returned an error that is want
// (errors.Is) and recorded nothing.
func (s *Scenario[A]) ThenError(want error) {
	s.t.Helper()
	require.ErrorIs(s.t, s.err, want)
	s.recorded(nil)
}

// Err returns the error of act.
func (s *Scenario[A]) Err() error { return s.err }

// Aggregate returns the aggregate, to look at its state.
func (s *Scenario[A]) Aggregate() *A { return s.aggregate }

type pendingEvents interface{ Pending() []eventsourced.Event }

func (s *Scenario[A]) recorded(want []eventsourced.Event) {
	s.t.Helper()
	got := any(s.aggregate).(pendingEvents).Pending()
	require.Len(s.t, got, len(want), "recorded events")
	for i := range want {
		// The wanted event takes over identity and time; all else must be equal.
		eventsourced.SetBase(want[i], eventsourced.BaseEvent{
			EventAggregateId: got[i].AggregateID(), EventTime: got[i].OccurredAt(),
		})
		require.Equal(s.t, want[i], got[i], "recorded event %d", i)
	}
}
