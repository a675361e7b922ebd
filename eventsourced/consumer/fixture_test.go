package consumer_test

import (
	"testing"

	"github.com/dancefinder/eventsourcing/internal/consumertest"
)

// bank is the one of package consumertest, with what only these tests need.
type bank struct{ *consumertest.Bank }

func newBank(t testing.TB) *bank {
	t.Helper()
	return &bank{consumertest.New(t)}
}
