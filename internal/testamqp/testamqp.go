// Package testamqp gives tests a RabbitMQ: the one that TEST_AMQP_URL names, or a
// private one that starts with the first test of the process that wants one. Tests
// share it, so what they make there has unique names, see [Name].
package testamqp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/dancefinder/eventsourcing/devservices"
	"github.com/dancefinder/eventsourcing/internal/testdb"
)

const startTimeout = 2 * time.Minute

var shared struct {
	sync.Mutex
	broker *devservices.RabbitMQ
	err    error
}

func init() {
	testdb.AtEnd(func() error {
		if shared.broker == nil {
			return nil
		}
		return shared.broker.Close()
	})
}

// URL returns the connection URL of the shared broker. It fails the test when there
// is none.
func URL(t testing.TB) string {
	t.Helper()
	if url := os.Getenv("TEST_AMQP_URL"); url != "" {
		return url
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.broker == nil && shared.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		shared.broker, shared.err = devservices.StartRabbitMQ(ctx, devservices.RabbitMQConfig{})
	}
	if shared.err != nil {
		t.Fatalf("testamqp: %v; or set TEST_AMQP_URL to a running broker", shared.err)
	}
	return shared.broker.URL()
}

// Name returns a name that nobody else has, for an exchange or a queue.
func Name(t testing.TB, what string) string {
	t.Helper()
	return fmt.Sprintf("test.%016x.%s", rand.Uint64(), what)
}
