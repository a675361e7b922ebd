package domain_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
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

func TestServicePreferences(t *testing.T) {
	t.Parallel()

	t.Run("all preferences of a subject are one stream", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		d := givenCatalogue(t, service)
		ctx := t.Context()
		id := domain.UserPreferencesIDFor(subject)

		var want []string
		last := eventsourced.Position(0)
		expect := func(name string) func(domain.UserPreferencesID, eventsourced.Position, error) {
			return func(got domain.UserPreferencesID, position eventsourced.Position, err error) {
				t.Helper()
				require.NoError(t, err, name)
				require.Equal(t, id, got)
				require.Greater(t, position, last, name)
				last = position
				want = append(want, fmt.Sprintf("%s domain.UserPreferences/%s", name, id))
			}
		}
		expect("OriginAdded")(service.Prefer(ctx, domain.AddOrigin{Subject: subject, Origin: "Örebro"}))
		expect("OriginRemoved")(service.Prefer(ctx, domain.RemoveOrigin{Subject: subject, Origin: "Örebro"}))
		expect("BandIgnored")(service.Prefer(ctx, domain.IgnoreBand{Subject: subject, BandID: d.BandID}))
		expect("BandUnignored")(service.Prefer(ctx, domain.UnignoreBand{Subject: subject, BandID: d.BandID}))
		expect("DanceHallIgnored")(service.Prefer(ctx, domain.IgnoreDanceHall{Subject: subject, DanceHallID: d.DanceHallID}))
		expect("DanceHallUnignored")(service.Prefer(ctx, domain.UnignoreDanceHall{Subject: subject, DanceHallID: d.DanceHallID}))
		expect("CityIgnored")(service.Prefer(ctx, domain.IgnoreCity{Subject: subject, City: "Malung"}))
		expect("CityUnignored")(service.Prefer(ctx, domain.UnignoreCity{Subject: subject, City: "Malung"}))
		expect("MunicipalityIgnored")(service.Prefer(ctx, domain.IgnoreMunicipality{Subject: subject, Municipality: "Falun"}))
		expect("MunicipalityUnignored")(service.Prefer(ctx, domain.UnignoreMunicipality{Subject: subject, Municipality: "Falun"}))
		expect("StateIgnored")(service.Prefer(ctx, domain.IgnoreState{Subject: subject, State: "Dalarna"}))
		expect("StateUnignored")(service.Prefer(ctx, domain.UnignoreState{Subject: subject, State: "Dalarna"}))
		expect("CalendarLinkReplaced")(service.Prefer(ctx, domain.ReplaceCalendarLink{Subject: subject, Hash: strings.Repeat("ab", 32)}))
		require.Equal(t, want, store.logged(t)[2:])
	})
	t.Run("an ignored band or hall is stored with its name, and so is its return", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		d := givenCatalogue(t, service)
		_, _, err := service.Prefer(t.Context(), domain.IgnoreBand{Subject: subject, BandID: d.BandID, BandName: "made up"})
		require.NoError(t, err)
		_, _, err = service.Prefer(t.Context(), domain.UnignoreBand{Subject: subject, BandID: d.BandID})
		require.NoError(t, err)
		_, _, err = service.Prefer(t.Context(), domain.IgnoreDanceHall{Subject: subject, DanceHallID: d.DanceHallID})
		require.NoError(t, err)

		var events []eventsourced.Event
		for stored, err := range store.ReadLog(t.Context(), eventsourced.LogQuery{Names: []string{"BandIgnored", "BandUnignored", "DanceHallIgnored"}}) {
			require.NoError(t, err)
			decoded, err := store.Registry().Decode(t.Context(), stored)
			require.NoError(t, err)
			event := decoded[0]
			eventsourced.SetBase(event, eventsourced.BaseEvent{})
			events = append(events, event)
		}
		require.Equal(t, []eventsourced.Event{
			&domain.BandIgnored{Subject: subject, BandID: string(d.BandID), BandName: "Bo Granz"},
			&domain.BandUnignored{Subject: subject, BandID: string(d.BandID), BandName: "Bo Granz"},
			&domain.DanceHallIgnored{Subject: subject, DanceHallID: string(d.DanceHallID), DanceHallName: "Folkets Park"},
		}, events)
	})
	t.Run("a band or a hall that does not exist is not ignored", func(t *testing.T) {
		t.Parallel()
		store := newStore(t)
		service := domain.NewService(store)
		_, _, err := service.Prefer(t.Context(), domain.IgnoreBand{Subject: subject, BandID: bandID})
		require.ErrorIs(t, err, domain.ErrBandNotFound)
		_, _, err = service.Prefer(t.Context(), domain.IgnoreDanceHall{Subject: subject, DanceHallID: hallID})
		require.ErrorIs(t, err, domain.ErrDanceHallNotFound)
		_, _, err = service.Prefer(t.Context(), domain.IgnoreBand{Subject: subject, BandID: "x"})
		require.ErrorIs(t, err, domain.ErrInvalid)
		_, _, err = service.Prefer(t.Context(), domain.IgnoreDanceHall{Subject: subject})
		require.ErrorIs(t, err, domain.ErrInvalid)
		_, _, err = service.Prefer(t.Context(), domain.IgnoreCity{City: "Malung"})
		requireField(t, err, "subject")
		require.Empty(t, store.logged(t))
	})
	t.Run("subjects do not share preferences", func(t *testing.T) {
		t.Parallel()
		service := domain.NewService(newStore(t))
		one, first, err := service.Prefer(t.Context(), domain.IgnoreCity{Subject: "one", City: "Malung"})
		require.NoError(t, err)
		other, second, err := service.Prefer(t.Context(), domain.IgnoreCity{Subject: "other", City: "Malung"})
		require.NoError(t, err)
		require.NotEqual(t, one, other)
		require.Greater(t, second, first)
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
