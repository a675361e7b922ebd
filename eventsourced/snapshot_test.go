package eventsourced_test

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
)

const (
	every  = 3
	schema = 2
)

// snapshots is an account whose repository stores a snapshot every three events.
type snapshots struct {
	t          *testing.T
	store      *spy
	log        *bytes.Buffer
	repository *eventsourced.Repository[Account]
}

func newSnapshots(t *testing.T) *snapshots {
	t.Helper()
	s := &snapshots{t: t, store: newSpy(t), log: &bytes.Buffer{}}
	s.repository = newRepository(s.store, eventsourced.RepositoryConfig{
		SnapshotEvery: every, SnapshotSchema: schema, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	return s
}

// deposits makes as many deposits of 1, all in one append.
func (s *snapshots) deposits(n int) {
	s.t.Helper()
	_, err := s.repository.Update(s.t.Context(), accountID, func(a *Account) (err error) {
		for range n {
			err = errors.Join(err, a.Deposit(1))
		}
		return err
	})
	require.NoError(s.t, err)
}

func (s *snapshots) latest() *eventsourced.Snapshot {
	s.t.Helper()
	snapshot, err := s.store.Store.LoadSnapshot(s.t.Context(), accountStream)
	require.NoError(s.t, err)
	return snapshot
}

// load loads the account and requires that the stream is read after a version, and the last
// event of the snapshot with it.
func (s *snapshots) load(after eventsourced.Version) *Account {
	s.t.Helper()
	s.store.reads = nil
	a, err := s.repository.Load(s.t.Context(), accountID)
	require.NoError(s.t, err)
	require.Equal(s.t, []eventsourced.Version{max(after-1, 0)}, s.store.reads)
	events := stored(s.t, s.store)
	require.Equal(s.t, len(events), a.balance)
	require.EqualValues(s.t, len(events), a.Version())
	require.Equal(s.t, events[len(events)-1].Position, a.Position())
	require.Equal(s.t, accountID, a.ID())
	return a
}

func TestSnapshots(t *testing.T) {
	t.Parallel()
	t.Run("are stored with every third event", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		var versions []eventsourced.Version
		for range 7 {
			s.deposits(1)
			var version eventsourced.Version
			if snapshot := s.latest(); snapshot != nil {
				version = snapshot.Version
			}
			versions = append(versions, version)
		}
		require.Equal(t, []eventsourced.Version{0, 0, 3, 3, 3, 6, 6}, versions)
		events := stored(t, s.store)
		require.Equal(t, &eventsourced.Snapshot{Version: 6, Position: events[5].Position, SchemaVersion: schema, State: []byte("6")}, s.latest())
		require.Empty(t, s.log.String())
	})
	t.Run("are stored when one append goes past the third event", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		s.deposits(2)
		require.Nil(t, s.latest())
		s.deposits(3)
		require.EqualValues(t, 5, s.latest().Version)
		s.deposits(20)
		require.EqualValues(t, 25, s.latest().Version)
	})
	t.Run("are not stored when nothing was recorded", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		deposit(t, s.store, 1, 1, 1)
		s.deposits(0)
		require.Nil(t, s.latest())
	})
	t.Run("spare the events before them", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		s.deposits(2)
		s.load(0)
		s.deposits(1)
		s.load(3)
		s.deposits(2)
		s.load(3)
	})
	t.Run("give Update the position of the last event", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		s.deposits(3)
		position, err := s.repository.Update(t.Context(), accountID, func(*Account) error { return nil })
		require.NoError(t, err)
		require.Equal(t, stored(t, s.store)[2].Position, position)
	})
	t.Run("that don't decode are ignored with a line in the log", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		s.deposits(4)
		require.NoError(t, s.store.SaveSnapshot(t.Context(), accountStream, eventsourced.Snapshot{Version: 5, SchemaVersion: schema, State: []byte("nonsense")}))
		s.load(0)
		require.Equal(t, 1, bytes.Count(s.log.Bytes(), []byte("\n")))
		require.Contains(t, s.log.String(), `level=WARN msg="snapshot ignored, reading all events" stream=test.Account/acc-1 error="invalid character`)
		s.deposits(2)
		require.EqualValues(t, 6, s.latest().Version, "the next one takes its place")
		s.load(6)
	})
	t.Run("that can't be loaded are ignored with a line in the log", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		s.deposits(4)
		s.store.loadErr = errors.New("no such table")
		s.load(0)
		require.Contains(t, s.log.String(), `stream=test.Account/acc-1 error="no such table"`)
	})
	t.Run("of another schema version are ignored and replaced", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		s.deposits(4)
		require.NoError(t, s.store.SaveSnapshot(t.Context(), accountStream, eventsourced.Snapshot{Version: 4, SchemaVersion: schema + 1, State: []byte("4000")}))
		s.load(0)
		require.Empty(t, s.log.String(), "that is nothing to worry about")
		s.deposits(2)
		require.Equal(t, schema, s.latest().SchemaVersion)
		s.load(6)
	})
	t.Run("that can't be saved fail nothing but leave a line in the log", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		s.store.saveErr = errors.New("disk full")
		s.deposits(3)
		require.Len(t, stored(t, s.store), 3)
		require.Equal(t, 1, bytes.Count(s.log.Bytes(), []byte("\n")))
		require.Contains(t, s.log.String(), `level=WARN msg="snapshot not saved" stream=test.Account/acc-1 error="disk full"`)
		s.load(0)
	})
	t.Run("that can't be made fail nothing but leave a line in the log", func(t *testing.T) {
		t.Parallel()
		s := newSnapshots(t)
		_, err := s.repository.Update(t.Context(), accountID, func(a *Account) error {
			a.marshalErr = errors.New("too large")
			return errors.Join(a.Deposit(1), a.Deposit(1), a.Deposit(1))
		})
		require.NoError(t, err)
		require.Nil(t, s.latest())
		require.Contains(t, s.log.String(), `error="too large"`)
	})
	t.Run("are neither stored nor used unless asked for", func(t *testing.T) {
		t.Parallel()
		for name, config := range map[string]eventsourced.RepositoryConfig{
			"without the field": {},
			"every 0 events":    {SnapshotEvery: 0, SnapshotSchema: schema},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := newSnapshots(t)
				s.repository = newRepository(s.store, config)
				s.deposits(10)
				require.Nil(t, s.latest())
				require.NoError(t, s.store.SaveSnapshot(t.Context(), accountStream, eventsourced.Snapshot{Version: 10, SchemaVersion: schema, State: []byte("7")}))
				s.load(0)
			})
		}
	})
}

// Plain can't be stored as a snapshot.
type Plain struct{ eventsourced.Root }

func (*Plain) Apply(eventsourced.Event) {}

func TestSnapshotEveryPanics(t *testing.T) {
	t.Parallel()
	t.Run("for a store that keeps none", func(t *testing.T) {
		t.Parallel()
		store := struct{ eventsourced.Store }{newSpy(t)}
		require.PanicsWithValue(t,
			"eventsourced.NewRepository: SnapshotEvery: the store struct { eventsourced.Store } does not implement SnapshotStore",
			func() {
				newRepository(store, eventsourced.RepositoryConfig{SnapshotEvery: every, SnapshotSchema: schema})
			})
		require.NotPanics(t, func() { newRepository(store) })
	})
	t.Run("for an aggregate that makes none", func(t *testing.T) {
		t.Parallel()
		newPlain := func(config eventsourced.RepositoryConfig) {
			eventsourced.NewRepository[Plain](newSpy(t), "test.Plain", config)
		}
		require.PanicsWithValue(t,
			"eventsourced.NewRepository: SnapshotEvery: the aggregate *eventsourced_test.Plain does not implement Snapshotter",
			func() { newPlain(eventsourced.RepositoryConfig{SnapshotEvery: every, SnapshotSchema: schema}) })
		require.NotPanics(t, func() { newPlain(eventsourced.RepositoryConfig{}) })
	})
}

// A snapshot of a log that went back names an event which is not there, or another one.
func TestSnapshotsOfAnotherLog(t *testing.T) {
	t.Parallel()
	const far = eventsourced.Position(1) << 60
	for name, c := range map[string]struct {
		version eventsourced.Version
		shift   eventsourced.Position // of the position that its event has
	}{
		"with a version that the stream does not have": {9, 0},
		"with an event that is another one now":        {2, -1},
		"of the stream's last version":                 {4, -1},
		"with positions of a clock that was ahead":     {9, far},
		"with a version that no event has":             {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSnapshots(t)
			deposit(t, s.store, 1, 1, 1, 1)
			events := stored(t, s.store)
			position := events[min(max(c.version, 1), 4)-1].Position + c.shift
			require.NoError(t, s.store.SaveSnapshot(t.Context(), accountStream,
				eventsourced.Snapshot{Version: c.version, Position: position, SchemaVersion: schema, State: []byte("1000")}))
			a, err := s.repository.Load(t.Context(), accountID)
			require.NoError(t, err)
			require.Equal(t, 4, a.balance)
			require.EqualValues(t, 4, a.Version())
			require.Contains(t, s.log.String(), `msg="snapshot ignored, reading all events" stream=test.Account/acc-1 error="its stream does not have`)
			for range 6 {
				s.deposits(1) // it conflicts with nothing
			}
			a, err = s.repository.Load(t.Context(), accountID)
			require.NoError(t, err)
			require.Equal(t, 10, a.balance)
			if c.shift != far { // that one is kept until the stream is longer
				require.EqualValues(t, 9, s.latest().Version)
				require.Equal(t, []byte("9"), s.latest().State)
				s.load(9)
			}
		})
	}
}
