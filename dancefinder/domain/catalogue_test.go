package domain_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

func newCatalogue(t *testing.T) *domain.Service {
	t.Helper()
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	require.NoError(t, err)
	return domain.NewService(memstore.New(registry))
}

// TestNamesOfBands has bands renamed, deleted and adopted: one name always leads to
// one band.
func TestNamesOfBands(t *testing.T) {
	t.Parallel()
	create := func(t *testing.T, s *domain.Service, name string) domain.BandID {
		t.Helper()
		id, position, err := s.CreateBand(t.Context(), domain.CreateBand{Name: name})
		require.NoError(t, err)
		require.NotZero(t, position)
		return id
	}
	rename := func(t *testing.T, s *domain.Service, id domain.BandID, name string) error {
		t.Helper()
		_, _, err := s.RenameBand(t.Context(), domain.RenameBand{BandID: id, Name: name})
		return err
	}

	t.Run("a renamed band is met by its old and its new name", func(t *testing.T) {
		t.Parallel()
		s := newCatalogue(t)
		id := create(t, s, "Tolez")
		require.NoError(t, rename(t, s, id, "Tollez"))
		require.NoError(t, rename(t, s, id, "Tollez"), "again")
		for _, name := range []string{"Tolez", "tollez"} {
			require.Equal(t, id, create(t, s, name))
		}
		require.NoError(t, rename(t, s, id, "Tolez"), "and back")
		require.NoError(t, rename(t, s, id, "TOLEZ"), "in another spelling")
	})
	t.Run("a name that is or was another band's is refused", func(t *testing.T) {
		t.Parallel()
		s := newCatalogue(t)
		one, two := create(t, s, "Ett"), create(t, s, "Två")
		require.ErrorIs(t, rename(t, s, one, "två"), domain.ErrBandExists)
		require.NoError(t, rename(t, s, two, "Tre"))
		require.ErrorIs(t, rename(t, s, one, "Två"), domain.ErrBandExists)
		require.ErrorIs(t, rename(t, s, one, "Tre"), domain.ErrBandExists)
	})
	t.Run("a deleted band is created again, and gives its name to another one before", func(t *testing.T) {
		t.Parallel()
		s := newCatalogue(t)
		one, two := create(t, s, "Ett"), create(t, s, "Två")
		_, _, err := s.DeleteBand(t.Context(), domain.DeleteBand{BandID: one})
		require.NoError(t, err)
		require.ErrorIs(t, rename(t, s, one, "Tre"), domain.ErrBandNotFound)
		_, _, err = s.Prefer(t.Context(), domain.IgnoreBand{Subject: "anna", BandID: one})
		require.ErrorIs(t, err, domain.ErrBandNotFound)
		require.Equal(t, one, create(t, s, "Ett"))
		_, _, err = s.DeleteBand(t.Context(), domain.DeleteBand{BandID: one})
		require.NoError(t, err)
		require.NoError(t, rename(t, s, two, "Ett"))
		require.Equal(t, two, create(t, s, "Ett"))
	})
	t.Run("an adopted band has its own id and is met by its name", func(t *testing.T) {
		t.Parallel()
		registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
		require.NoError(t, err)
		store := memstore.New(registry)
		const legacy = "0e37df36-f698-11e6-8dd4-cb9ced3df976"
		for id, event := range map[string]eventsourced.Event{
			string(domain.BandIDFor("Tollez")): &domain.BandNameTaken{BandID: legacy},
			legacy:                             &domain.BandCreated{Name: "  Tollez"},
		} {
			eventsourced.SetBase(event, eventsourced.BaseEvent{EventAggregateId: id, EventTime: time.Unix(1e9, 0)})
			data, err := registry.Encode(t.Context(), event)
			require.NoError(t, err)
			_, err = store.Append(t.Context(), eventsourced.Stream{AggregateName: domain.AggregateBand, AggregateID: id}, eventsourced.NoStream, data)
			require.NoError(t, err)
		}
		require.Equal(t, domain.BandID(legacy), create(t, domain.NewService(store), "TOLLEZ"))
	})
	t.Run("what does not exist can't be changed", func(t *testing.T) {
		t.Parallel()
		s := newCatalogue(t)
		none := domain.BandIDFor("Ingen")
		require.ErrorIs(t, rename(t, s, none, "Någon"), domain.ErrBandNotFound)
		_, _, err := s.DeleteBand(t.Context(), domain.DeleteBand{BandID: none})
		require.ErrorIs(t, err, domain.ErrBandNotFound)
		_, _, err = s.DeleteBand(t.Context(), domain.DeleteBand{BandID: "none"})
		require.ErrorIs(t, err, domain.ErrInvalid)
	})
}

func TestNamesOfDanceHalls(t *testing.T) {
	t.Parallel()
	s := newCatalogue(t)
	ctx := t.Context()
	mora := domain.CreateDanceHall{Name: "Parken", City: "Mora", Municipality: "Mora", State: "Dalarna"}
	rattvik := domain.CreateDanceHall{Name: "Parken", City: "Rättvik", Municipality: "Rättvik", State: "Dalarna"}
	one, _, err := s.CreateDanceHall(ctx, mora)
	require.NoError(t, err)
	at := domain.Coordinate{Latitude: 61, Longitude: 14.5}
	geocode := func(source domain.GeocodeSource) error {
		_, _, err := s.GeocodeDanceHall(ctx, domain.GeocodeDanceHall{DanceHallID: one, Coordinate: at, Source: source, Precision: domain.PrecisionCity})
		return err
	}
	require.NoError(t, geocode(domain.SourceNominatim))
	move := domain.UpdateDanceHall{DanceHallID: one, Name: "Parken", City: "Leksand", Municipality: "Leksand", State: "Dalarna"}
	_, _, err = s.UpdateDanceHall(ctx, move)
	require.NoError(t, err)
	at.Latitude = 60.7
	require.NoError(t, geocode(domain.SourceGazetteer), "what a better source found was for the old place")

	again, _, err := s.CreateDanceHall(ctx, mora)
	require.NoError(t, err)
	require.Equal(t, one, again, "by its old place")
	two, _, err := s.CreateDanceHall(ctx, rattvik)
	require.NoError(t, err)
	move.DanceHallID = two
	_, _, err = s.UpdateDanceHall(ctx, move)
	require.ErrorIs(t, err, domain.ErrDanceHallExists)

	_, _, err = s.DeleteDanceHall(ctx, domain.DeleteDanceHall{DanceHallID: one})
	require.NoError(t, err)
	require.ErrorIs(t, geocode(domain.SourceManual), domain.ErrDanceHallNotFound)
	_, _, err = s.Prefer(ctx, domain.IgnoreDanceHall{Subject: "anna", DanceHallID: one})
	require.ErrorIs(t, err, domain.ErrDanceHallNotFound)
	again, _, err = s.CreateDanceHall(ctx, mora)
	require.NoError(t, err)
	require.Equal(t, one, again)
}
