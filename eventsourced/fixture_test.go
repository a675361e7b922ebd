package eventsourced_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	aggregateName = "test.Account"
	accountID     = "acc-1"
)

var accountStream = eventsourced.Stream{AggregateName: aggregateName, AggregateID: accountID}

type (
	Deposited struct {
		eventsourced.BaseEvent
		Amount int `json:"amount"`
	}
	Withdrawn struct {
		eventsourced.BaseEvent
		Amount int `json:"amount"`
	}
)

var errOverdrawn = errors.New("overdrawn")

// Account can be stored as a snapshot, and fail at that: what the bank of the other tests (internal/bank) has no use for.
type Account struct {
	eventsourced.Root
	balance    int
	marshalErr error
}

func newAccount() *Account { return new(Account) }

func (a *Account) Deposit(amount int) error {
	return eventsourced.Record(a, &Deposited{Amount: amount})
}

func (a *Account) Withdraw(amount int) error {
	if amount > a.balance {
		return errOverdrawn
	}
	return eventsourced.Record(a, &Withdrawn{Amount: amount})
}

func (a *Account) Apply(event eventsourced.Event) {
	switch e := event.(type) {
	case *Deposited:
		a.balance += e.Amount
	case *Withdrawn:
		a.balance -= e.Amount
	}
}

func (a *Account) MarshalSnapshot() ([]byte, error) {
	if a.marshalErr != nil {
		return nil, a.marshalErr
	}
	return json.Marshal(a.balance)
}

func (a *Account) UnmarshalSnapshot(state []byte) error {
	a.balance = 1_000_000 // what a decoder may leave behind that fails halfway
	return json.Unmarshal(state, &a.balance)
}

func newRegistry(t testing.TB, options ...eventsourced.RegistryOption) *eventsourced.Registry {
	t.Helper()
	registry, err := eventsourced.NewRegistry(options...)
	require.NoError(t, err)
	return registry
}

func accountRegistry(t testing.TB) *eventsourced.Registry {
	t.Helper()
	return newRegistry(t, eventsourced.Type[Deposited]("Deposited"), eventsourced.Type[Withdrawn]("Withdrawn"))
}

// decodeOne decodes an event that is one today.
func decodeOne(t testing.TB, registry *eventsourced.Registry, recorded eventsourced.Recorded) (eventsourced.Event, error) {
	t.Helper()
	events, err := registry.Decode(t.Context(), recorded)
	if err != nil {
		require.Empty(t, events)
		return nil, err
	}
	require.Len(t, events, 1)
	return events[0], nil
}

// upcastOne upcasts an event that is one today.
func upcastOne(t testing.TB, registry *eventsourced.Registry, recorded eventsourced.Recorded) (eventsourced.Recorded, error) {
	t.Helper()
	parts, err := registry.Upcast(t.Context(), recorded)
	if err != nil {
		require.Empty(t, parts)
		return eventsourced.Recorded{}, err
	}
	require.Len(t, parts, 1)
	return parts[0], nil
}

// spy is a store in memory that notes what is asked of it and lets a test step
// in. It is for one goroutine at a time.
type spy struct {
	*memstore.Store
	beforeAppend func() error // its error is Append's
	skip         eventsourced.Version
	loadErr      error
	saveErr      error
	reads        []eventsourced.Version // after which the stream was read
}

func newSpy(t testing.TB) *spy {
	t.Helper()
	return &spy{Store: memstore.New(accountRegistry(t))}
}

func (s *spy) Append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (eventsourced.Position, error) {
	if s.beforeAppend != nil {
		if err := s.beforeAppend(); err != nil {
			return 0, err
		}
	}
	return s.Store.Append(ctx, stream, expected, events)
}

func (s *spy) ReadStream(ctx context.Context, stream eventsourced.Stream, after eventsourced.Version) iter.Seq2[eventsourced.Recorded, error] {
	s.reads = append(s.reads, after)
	return func(yield func(eventsourced.Recorded, error) bool) {
		for recorded, err := range s.Store.ReadStream(ctx, stream, after) {
			if (err != nil || recorded.Version != s.skip) && !yield(recorded, err) {
				return
			}
		}
	}
}

func (s *spy) LoadSnapshot(ctx context.Context, stream eventsourced.Stream) (*eventsourced.Snapshot, error) {
	if s.loadErr != nil {
		return nil, s.loadErr
	}
	return s.Store.LoadSnapshot(ctx, stream)
}

func (s *spy) SaveSnapshot(ctx context.Context, stream eventsourced.Stream, snapshot eventsourced.Snapshot) error {
	if s.saveErr != nil {
		return s.saveErr
	}
	return s.Store.SaveSnapshot(ctx, stream, snapshot)
}

// deposit appends to the account behind everybody's back.
func deposit(t testing.TB, store eventsourced.Store, amounts ...int) eventsourced.Position {
	t.Helper()
	events := make([]eventsourced.Event, len(amounts))
	for i, amount := range amounts {
		events[i] = &Deposited{Amount: amount}
	}
	encoded, err := store.Registry().Encode(t.Context(), events...)
	require.NoError(t, err)
	position, err := store.Append(t.Context(), accountStream, eventsourced.Any, encoded)
	require.NoError(t, err)
	return position
}

// stored returns the account's events as they stand in the log.
func stored(t testing.TB, store eventsourced.StreamReader) []eventsourced.Recorded {
	t.Helper()
	var all []eventsourced.Recorded
	for recorded, err := range store.ReadStream(t.Context(), accountStream, 0) {
		require.NoError(t, err)
		all = append(all, recorded)
	}
	return all
}
