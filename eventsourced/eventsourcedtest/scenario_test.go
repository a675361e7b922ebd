package eventsourcedtest_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/eventsourcedtest"
)

type (
	started struct {
		eventsourced.BaseEvent
		At int
	}
	stopped struct{ eventsourced.BaseEvent }
)

var (
	errRuns  = errors.New("it runs already")
	errOther = errors.New("something else")
)

type machine struct {
	eventsourced.Root
	running bool
}

func (m *machine) start() error {
	if m.running {
		return fmt.Errorf("start: %w", errRuns)
	}
	return eventsourced.Record(m, &started{At: 5})
}

func (m *machine) Apply(event eventsourced.Event) {
	_, m.running = event.(*started)
}

func starting(m *machine) error { return m.start() }

func TestScenario(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		test func(t testing.TB)
		says string // of the failure; "" when there is none
	}{
		"passes when the events are the wanted ones": {
			test: func(t testing.TB) {
				eventsourcedtest.Given[machine](t, &started{At: 1}, &stopped{}).When(starting).Then(&started{At: 5})
			},
		},
		"passes when nothing was wanted and nothing happened": {
			test: func(t testing.TB) {
				eventsourcedtest.Given[machine](t).When(func(*machine) error { return nil }).Then()
			},
		},
		"passes when the refusal is the wanted one": {
			test: func(t testing.TB) {
				eventsourcedtest.Given[machine](t, &started{}).When(starting).ThenError(errRuns)
			},
		},
		"fails when there are no events": {
			test: func(t testing.TB) {
				eventsourcedtest.Given[machine](t).When(func(*machine) error { return nil }).Then(&started{At: 5})
			},
			says: "recorded events",
		},
		"fails when there are more events": {
			test: func(t testing.TB) {
				eventsourcedtest.Given[machine](t).When(func(m *machine) error {
					return errors.Join(m.start(), eventsourced.Record(m, &stopped{}))
				}).Then(&started{At: 5})
			},
			says: "recorded events",
		},
		"fails when an event has another content": {
			test: func(t testing.TB) { eventsourcedtest.Given[machine](t).When(starting).Then(&started{At: 6}) },
			says: "recorded event 0",
		},
		"fails when an event has another type": {
			test: func(t testing.TB) { eventsourcedtest.Given[machine](t).When(starting).Then(&stopped{}) },
			says: "recorded event 0",
		},
		"fails when there is a refusal that was not wanted": {
			test: func(t testing.TB) { eventsourcedtest.Given[machine](t, &started{}).When(starting).Then() },
			says: "start: it runs already",
		},
		"fails when the refusal is another one": {
			test: func(t testing.TB) {
				eventsourcedtest.Given[machine](t, &started{}).When(starting).ThenError(errOther)
			},
			says: "something else",
		},
		"fails when there is no refusal": {
			test: func(t testing.TB) { eventsourcedtest.Given[machine](t).When(starting).ThenError(errRuns) },
			says: "it runs already",
		},
		"fails when there is a refusal and an event": {
			test: func(t testing.TB) {
				eventsourcedtest.Given[machine](t).When(func(m *machine) error {
					return errors.Join(m.start(), m.start())
				}).ThenError(errRuns)
			},
			says: "recorded events",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := runFake(t, c.test)
			if c.says == "" {
				require.Empty(t, fake.log)
				require.False(t, fake.failed)
				return
			}
			require.True(t, fake.failed, "the scenario must fail at once")
			require.Contains(t, fake.log, c.says)
		})
	}
	t.Run("gives the aggregate its id and its state", func(t *testing.T) {
		t.Parallel()
		given := &started{At: 1}
		scenario := eventsourcedtest.Given[machine](t, given)
		require.Equal(t, eventsourcedtest.ID, scenario.Aggregate().ID())
		require.Equal(t, eventsourcedtest.ID, given.AggregateID())
		require.EqualValues(t, 1, scenario.Aggregate().Version())
		require.True(t, scenario.Aggregate().running)
		require.NoError(t, scenario.Err())
		require.ErrorIs(t, scenario.When(starting).Err(), errRuns)
	})
}

// fakeTest is a test within a test, which notes its failure.
type fakeTest struct {
	testing.TB
	failed bool
	log    string
}

func (f *fakeTest) Errorf(format string, args ...any) { f.log += fmt.Sprintf(format, args...) }

func (f *fakeTest) FailNow() {
	f.failed = true
	runtime.Goexit()
}

// runFake runs a test in a goroutine of its own, which a failure ends.
func runFake(t *testing.T, test func(testing.TB)) *fakeTest {
	t.Helper()
	fake := &fakeTest{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(fake)
	}()
	<-done
	return fake
}
