package reactor_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/eventsourced/reactor"
	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// passing are errors that are not the event's.
func passing(b *bank) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"a statement timeout": func(ctx context.Context) error {
			_, err := b.Pool.Exec(ctx, `SET LOCAL statement_timeout = 1; SELECT pg_sleep(10)`)
			return err
		},
		"a deadline": func(context.Context) error { return fmt.Errorf("call the bank: %w", context.DeadlineExceeded) },
		"a provider that is away": func(context.Context) error {
			return fmt.Errorf("call the bank: %w", &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connection refused")})
		},
		"a name that is not known": func(context.Context) error { return &net.DNSError{Err: "no such host", IsTimeout: true} },
		"the log's lock":           func(context.Context) error { return &pgstore.LockError{Err: context.DeadlineExceeded} },
		"a call that was given up": func(context.Context) error { return &pgstore.LockError{Err: context.Canceled} },
	}
}

func TestErrorsThatPassAreTriedLonger(t *testing.T) {
	t.Parallel()
	b := newBank(t)
	event := b.Deposit(1)[0]
	for name, fail := range passing(b) {
		t.Run(name+" is tried until it has passed", func(t *testing.T) {
			t.Parallel()
			b := b.With(t)
			var tries atomic.Int64
			config := consumertest.Reacting()
			config.Name, config.RetryFor = name, 0 // the default
			it, _ := b.Reactor(config, reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error {
				if tries.Add(1) <= 10 { // more than Attempts
					return fail(ctx)
				}
				return nil
			}))
			b.Becomes(it, "it is handled at last", func(s consumer.Status) bool { return consumertest.IsLive(s) && s.Position == event.Position })
			require.EqualValues(t, 11, tries.Load())
		})
		t.Run(name+" is the event's after a while", func(t *testing.T) {
			t.Parallel()
			b := b.With(t)
			config := consumertest.Reacting()
			config.Name, config.RetryFor = name+", for long", 500*time.Millisecond
			it, _ := b.Reactor(config, reactor.On(func(ctx context.Context, _ *consumertest.Deposited) error { return fail(ctx) }))
			b.Becomes(it, "it tries meanwhile", func(s consumer.Status) bool { return s.State == consumer.Retrying })
			status := b.Becomes(it, "it stops", func(s consumer.Status) bool { return s.State == consumer.Failed })
			require.GreaterOrEqual(t, status.Failure.Time.Sub(status.Failure.Since), 400*time.Millisecond)
			require.Greater(t, status.Failure.Attempts, config.Attempts)
		})
	}
}
