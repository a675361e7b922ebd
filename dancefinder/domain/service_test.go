package domain_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// countingStore counts how often each stream is read, and fails when told to.
type countingStore struct {
	*memstore.Store
	mu    sync.Mutex
	reads map[eventsourced.Stream]int
	fail  error
}

func newStore(t testing.TB) *countingStore {
	return &countingStore{Store: memstore.New(newRegistry(t)), reads: map[eventsourced.Stream]int{}}
}

func (s *countingStore) ReadStream(ctx context.Context, stream eventsourced.Stream, after eventsourced.Version) iter.Seq2[eventsourced.Recorded, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads[stream]++
	if s.fail != nil {
		err := s.fail
		return func(yield func(eventsourced.Recorded, error) bool) { yield(eventsourced.Recorded{}, err) }
	}
	return s.Store.ReadStream(ctx, stream, after)
}

func (s *countingStore) readsOf(aggregate, id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads[eventsourced.Stream{AggregateName: aggregate, AggregateID: id}]
}

// logged returns the events of the log as "name aggregate/id".
func (s *countingStore) logged(t testing.TB) (names []string) {
	t.Helper()
	for event, err := range s.ReadLog(t.Context(), eventsourced.LogQuery{}) {
		require.NoError(t, err)
		names = append(names, event.Name+" "+event.Stream.String())
	}
	return names
}

func malungPark() domain.CreateDanceHall {
	return domain.CreateDanceHall{Name: "Folkets Park", City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"}
}

// givenCatalogue creates a band and a hall and returns details of a dance there.
func givenCatalogue(t testing.TB, service *domain.Service) domain.EventDetails {
	t.Helper()
	band, _, err := service.CreateBand(t.Context(), domain.CreateBand{Name: "Bo Granz"})
	require.NoError(t, err)
	hall, _, err := service.CreateDanceHall(t.Context(), malungPark())
	require.NoError(t, err)
	return domain.EventDetails{Date: "2026-07-04", StartTime: "21:00", BandID: band, DanceHallID: hall}
}

func TestServiceCatalogue(t *testing.T) {
	t.Parallel()

	t.Run("a band is created once, whatever its spelling", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		id, position, err := service.CreateBand(t.Context(), domain.CreateBand{Name: "Bo Granz"})
		require.NoError(t, err)
		require.Equal(t, domain.BandIDFor("Bo Granz"), id)
		require.Positive(t, position)

		again, same, err := service.CreateBand(t.Context(), domain.CreateBand{Name: "BO  GRANZ"})
		require.NoError(t, err)
		require.Equal(t, id, again)
		require.Equal(t, position, same)
		require.Equal(t, []string{"BandCreated domain.Band/" + string(id)}, store.logged(t))
	})
	t.Run("many who create a band at once make one stream with one event", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		var group sync.WaitGroup
		positions := make([]eventsourced.Position, 50)
		failures := make([]error, len(positions))
		for i := range positions {
			group.Go(func() {
				_, positions[i], failures[i] = service.CreateBand(t.Context(), domain.CreateBand{Name: "Bo Granz"})
			})
		}
		group.Wait()
		for i := range positions {
			require.NoError(t, failures[i])
			require.Equal(t, positions[0], positions[i])
		}
		require.Len(t, store.logged(t), 1)
	})
	t.Run("a hall is created once and geocoded in the same stream", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		id, created, err := service.CreateDanceHall(t.Context(), malungPark())
		require.NoError(t, err)
		command := malungPark()
		command.State = "Dalarnas län"
		again, _, err := service.CreateDanceHall(t.Context(), command)
		require.NoError(t, err)
		require.Equal(t, id, again)

		geocode := domain.GeocodeDanceHall{
			DanceHallID: id, Coordinate: domain.Coordinate{Latitude: 60.68, Longitude: 13.71},
			Source: domain.SourceGazetteer, Precision: domain.PrecisionCity,
		}
		for range 2 {
			got, position, err := service.GeocodeDanceHall(t.Context(), geocode)
			require.NoError(t, err)
			require.Equal(t, id, got)
			require.Greater(t, position, created)
		}
		stream := "domain.DanceHall/" + string(id)
		require.Equal(t, []string{"DanceHallCreated " + stream, "DanceHallGeocoded " + stream}, store.logged(t))
	})
	t.Run("refusals store nothing and return no id", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		band, position, err := service.CreateBand(t.Context(), domain.CreateBand{Name: "Ej fastställt"})
		require.ErrorIs(t, err, domain.ErrInvalid)
		require.Empty(t, band)
		require.Zero(t, position)
		_, _, err = service.CreateDanceHall(t.Context(), domain.CreateDanceHall{Name: "Folkets Park"})
		require.ErrorIs(t, err, domain.ErrInvalid)
		_, _, err = service.GeocodeDanceHall(t.Context(), domain.GeocodeDanceHall{DanceHallID: "Folkets Park"})
		require.ErrorIs(t, err, domain.ErrInvalid)
		hall, position, err := service.GeocodeDanceHall(t.Context(), domain.GeocodeDanceHall{
			DanceHallID: hallID, Coordinate: domain.Coordinate{Latitude: 60, Longitude: 13},
			Source: domain.SourceManual, Precision: domain.PrecisionVenue,
		})
		require.ErrorIs(t, err, domain.ErrDanceHallNotFound)
		require.Empty(t, hall)
		require.Zero(t, position)
		require.Empty(t, store.logged(t))
	})
}

func TestServiceEvents(t *testing.T) {
	t.Parallel()

	t.Run("a dance event is created, updated and deleted in one stream", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		d := givenCatalogue(t, service)

		id, created, err := service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
		require.NoError(t, err)
		d.ExtraInfo = "Inställt"
		_, updated, err := service.UpdateEvent(t.Context(), domain.UpdateEvent{EventID: id, EventDetails: d, ExpectedVersion: 1})
		require.NoError(t, err)
		require.Greater(t, updated, created)
		for range 2 {
			_, deleted, err := service.DeleteEvent(t.Context(), domain.DeleteEvent{EventID: id})
			require.NoError(t, err)
			require.Greater(t, deleted, updated)
		}
		stream := "domain.Event/" + string(id)
		require.Equal(t, []string{"EventCreated " + stream, "EventUpdated " + stream, "EventDeleted " + stream}, store.logged(t)[2:])
	})
	t.Run("dances made by hand are never the same one", func(t *testing.T) {
		t.Parallel()
		service := domain.NewService(newStore(t))
		d := givenCatalogue(t, service)
		one, _, err := service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
		require.NoError(t, err)
		other, _, err := service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
		require.NoError(t, err)
		require.NotEqual(t, one, other)
	})
	t.Run("a listing that is read again makes no new dances", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		d := givenCatalogue(t, service)
		for range 2 {
			for n := 1; n <= 2; n++ { // two dances that are alike
				id := domain.EventIDFor("2026-07-04", "21:00", d.BandID, d.DanceHallID, n)
				got, _, err := service.CreateEvent(t.Context(), domain.CreateEvent{EventID: id, EventDetails: d})
				require.NoError(t, err)
				require.Equal(t, id, got)
			}
		}
		require.Len(t, store.logged(t), 4)
	})
	t.Run("a dance needs a band and a hall that exist, when created and when updated", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		d := givenCatalogue(t, service)
		id, _, err := service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
		require.NoError(t, err)

		noBand, noHall := d, d
		noBand.BandID, noHall.DanceHallID = bandID, hallID
		_, _, err = service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: noBand})
		require.ErrorIs(t, err, domain.ErrBandNotFound)
		_, _, err = service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: noHall})
		require.ErrorIs(t, err, domain.ErrDanceHallNotFound)
		_, _, err = service.UpdateEvent(t.Context(), domain.UpdateEvent{EventID: id, EventDetails: noBand})
		require.ErrorIs(t, err, domain.ErrBandNotFound)
		_, _, err = service.UpdateEvent(t.Context(), domain.UpdateEvent{EventID: id, EventDetails: noHall})
		require.ErrorIs(t, err, domain.ErrDanceHallNotFound)
		require.Len(t, store.logged(t), 3)
	})
	t.Run("a band that did not exist a moment ago may exist now", func(t *testing.T) {
		t.Parallel()
		service := domain.NewService(newStore(t))
		d := givenCatalogue(t, service)
		d.BandID = domain.BandIDFor("Svenz")
		_, _, err := service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
		require.ErrorIs(t, err, domain.ErrBandNotFound)
		_, _, err = service.CreateBand(t.Context(), domain.CreateBand{Name: "Svenz"})
		require.NoError(t, err)
		_, _, err = service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
		require.NoError(t, err)
	})
	t.Run("that a band and a hall exist is looked up once, not for every dance", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		d := givenCatalogue(t, domain.NewService(store))
		service := domain.NewService(store)
		before := store.readsOf(domain.AggregateBand, string(d.BandID))
		for range 100 {
			_, _, err := service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
			require.NoError(t, err)
		}
		require.Equal(t, before+1, store.readsOf(domain.AggregateBand, string(d.BandID)))
		require.Equal(t, before+1, store.readsOf(domain.AggregateDanceHall, string(d.DanceHallID)))
	})
	t.Run("more bands than are remembered are looked up again", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		service.LimitKnown(2)
		d := givenCatalogue(t, service)
		for range 2 {
			for _, name := range []string{"Svenz", "Lillz", "Bo Granz", "Åsas"} {
				band, _, err := service.CreateBand(t.Context(), domain.CreateBand{Name: name})
				require.NoError(t, err)
				d.BandID = band
				_, _, err = service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
				require.NoError(t, err)
				require.LessOrEqual(t, service.KnownBands(), 2)
			}
		}
	})
	t.Run("dances are created at once by many", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		d := givenCatalogue(t, service)
		var group sync.WaitGroup
		failures := make([]error, 50)
		for i := range failures {
			group.Go(func() {
				_, _, failures[i] = service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
			})
		}
		group.Wait()
		require.NoError(t, errors.Join(failures...))
		require.Len(t, store.logged(t), 2+len(failures))
	})
	t.Run("what is no dance event is refused", func(t *testing.T) {
		t.Parallel()
		service := domain.NewService(newStore(t))
		d := givenCatalogue(t, service)
		_, _, err := service.CreateEvent(t.Context(), domain.CreateEvent{EventID: "x", EventDetails: d})
		requireField(t, err, "eventId")
		_, _, err = service.CreateEvent(t.Context(), domain.CreateEvent{})
		requireField(t, err, "date")
		_, _, err = service.UpdateEvent(t.Context(), domain.UpdateEvent{EventDetails: d})
		requireField(t, err, "eventId")
		_, _, err = service.DeleteEvent(t.Context(), domain.DeleteEvent{})
		requireField(t, err, "eventId")
		_, _, err = service.DeleteEvent(t.Context(), domain.DeleteEvent{EventID: domain.NewEventID()})
		require.ErrorIs(t, err, domain.ErrEventNotFound)
		_, _, err = service.UpdateEvent(t.Context(), domain.UpdateEvent{EventID: domain.NewEventID(), EventDetails: d})
		require.ErrorIs(t, err, domain.ErrEventNotFound)
	})
	t.Run("an error of the store is passed on and is not a refusal", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		d := givenCatalogue(t, domain.NewService(store))
		store.fail = errors.New("disk on fire")
		_, _, err := domain.NewService(store).CreateEvent(t.Context(), domain.CreateEvent{EventDetails: d})
		require.ErrorIs(t, err, store.fail)
		var refusal *domain.Error
		require.NotErrorAs(t, err, &refusal)
	})
}

func BenchmarkServiceCreateEvent(b *testing.B) {
	service := domain.NewService(memstore.New(newRegistry(b)))
	d := givenCatalogue(b, service)
	for b.Loop() {
		_, _, err := service.CreateEvent(b.Context(), domain.CreateEvent{EventDetails: d})
		require.NoError(b, err)
	}
}
