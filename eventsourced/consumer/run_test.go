package consumer_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/relay"
)

type runnerFunc func(ctx context.Context) error

func (f runnerFunc) Run(ctx context.Context) error { return f(ctx) }

func TestRun(t *testing.T) {
	t.Parallel()
	// noting returns runners that say on the channel when they have ended.
	noting := func(ended chan<- string, names ...string) (runners []consumer.Runner) {
		for _, name := range names {
			runners = append(runners, runnerFunc(func(ctx context.Context) error {
				<-ctx.Done()
				ended <- name
				return nil
			}))
		}
		return runners
	}
	t.Run("ends all in the reverse order when its context ends", func(t *testing.T) {
		t.Parallel()
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan string, 3)
			cancel()
			require.NoError(t, consumer.Run(ctx, noting(ended, "manager", "relay", "reactor")...))
			require.Equal(t, []string{"reactor", "relay", "manager"}, []string{<-ended, <-ended, <-ended})
		}
	})
	t.Run("an error of one ends all and is returned", func(t *testing.T) {
		t.Parallel()
		broken := errors.New("broken")
		ended := make(chan string, 2)
		runners := noting(ended, "manager", "reactor")
		runners = append(runners[:1:1], runnerFunc(func(context.Context) error { return broken }), runners[1])
		require.ErrorIs(t, consumer.Run(t.Context(), runners...), broken)
		require.Equal(t, []string{"reactor", "manager"}, []string{<-ended, <-ended})
	})
	t.Run("the others do not go on without one that stops by itself", func(t *testing.T) {
		t.Parallel()
		ended := make(chan string, 1)
		over := runnerFunc(func(context.Context) error { return nil })
		require.EqualError(t, consumer.Run(t.Context(), append(noting(ended, "manager"), over)...), "consumer_test.runnerFunc has stopped by itself")
		require.Equal(t, "manager", <-ended)
	})
	t.Run("names every runner that is nil", func(t *testing.T) {
		t.Parallel()
		require.EqualError(t, consumer.Run(t.Context(), nil, (*relay.Relay)(nil)), "consumer.Run: runner 1 is nil\nconsumer.Run: runner 2 is nil")
		require.EqualError(t, consumer.Run(t.Context()), "consumer.Run: there is no runner")
	})
}
