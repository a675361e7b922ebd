package messaging_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced/messaging"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
)

// passing are errors that are not the event's.
func passing(b *bank) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"a statement timeout": func(ctx context.Context) error {
			_, err := b.pool.Exec(ctx, `SET LOCAL statement_timeout = 1; SELECT pg_sleep(10)`)
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
	event := b.deposit(1)[0]
	for name, fail := range passing(b) {
		t.Run(name+" is tried until it has passed", func(t *testing.T) {
			t.Parallel()
			b := *b
			b.t = t
			var tries atomic.Int64
			config := reacting()
			config.Name, config.RetryFor = name, 0 // the default
			reactor, _ := b.reactor(config, messaging.On(func(ctx context.Context, _ *Deposited) error {
				if tries.Add(1) <= 10 { // more than Attempts
					return fail(ctx)
				}
				return nil
			}))
			b.becomes(reactor, "it is handled at last", func(s messaging.Status) bool { return isLive(s) && s.Position == event.Position })
			require.EqualValues(t, 11, tries.Load())
		})
		t.Run(name+" is the event's after a while", func(t *testing.T) {
			t.Parallel()
			b := *b
			b.t = t
			config := reacting()
			config.Name, config.RetryFor = name+", for long", 500*time.Millisecond
			reactor, _ := b.reactor(config, messaging.On(func(ctx context.Context, _ *Deposited) error { return fail(ctx) }))
			b.becomes(reactor, "it tries meanwhile", func(s messaging.Status) bool { return s.State == messaging.Retrying })
			status := b.becomes(reactor, "it stops", func(s messaging.Status) bool { return s.State == messaging.Failed })
			require.GreaterOrEqual(t, status.Failure.Time.Sub(status.Failure.Since), 400*time.Millisecond)
			require.Greater(t, status.Failure.Attempts, config.Attempts)
		})
	}
}
