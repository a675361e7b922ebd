package domain_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

func TestDerivedIDs(t *testing.T) {
	t.Parallel()
	malung := domain.Place{City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"}

	t.Run("they never change", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, domain.BandID("aaba7492-35c2-5bf9-b39c-731554ef0f72"), domain.BandIDFor("Bo Granz"))
		require.Equal(t, domain.DanceHallID("8a0d7675-3eb4-5e86-b56d-af2705f02b54"), domain.DanceHallIDFor("Folkets Park", malung))
		require.Equal(t, domain.UserPreferencesID("8e6021f4-f821-53f9-9ac2-c9e02a5d1a96"), domain.UserPreferencesIDFor(subject))
		require.Equal(t, domain.EventID("fb55ad57-270b-55c5-9be6-61bf2ba32ece"), domain.EventIDFor("2026-07-04", "21:00", bandID, hallID, 1))
	})
	t.Run("one spelling or another is the same band or hall", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, domain.BandIDFor("Åsas"), domain.BandIDFor(" A\u030aSAS"))
		require.Equal(t, domain.DanceHallIDFor("Folkets Park", malung),
			domain.DanceHallIDFor("FOLKETS  PARK", domain.Place{City: "malung", Municipality: "malung-sälen", State: "DALARNA"}))
	})
	t.Run("a hall of that name elsewhere is another one", func(t *testing.T) {
		t.Parallel()
		seen := map[domain.DanceHallID]domain.Place{}
		for _, place := range []domain.Place{
			malung,
			{City: "", Municipality: "Malung-Sälen", State: "Dalarna"},
			{City: "Malung", Municipality: "Falun", State: "Dalarna"},
			{City: "Malung", Municipality: "Malung-Sälen", State: "Norge"},
			{City: "MalungMalung-Sälen", Municipality: "Dalarna", State: ""},
		} {
			id := domain.DanceHallIDFor("Folkets Park", place)
			require.NotContains(t, seen, id, "%v", place)
			seen[id] = place
		}
	})
	t.Run("subjects differ by every byte", func(t *testing.T) {
		t.Parallel()
		require.NotEqual(t, domain.UserPreferencesIDFor("a"), domain.UserPreferencesIDFor("A"))
		require.NotEqual(t, domain.UserPreferencesIDFor("a"), domain.UserPreferencesIDFor("a "))
	})
	t.Run("dances that differ in anything, or only in their number, have ids of their own", func(t *testing.T) {
		t.Parallel()
		seen := map[domain.EventID]bool{}
		for _, id := range []domain.EventID{
			domain.EventIDFor("2026-07-04", "21:00", bandID, hallID, 1),
			domain.EventIDFor("2026-07-05", "21:00", bandID, hallID, 1),
			domain.EventIDFor("2026-07-04", "", bandID, hallID, 1),
			domain.EventIDFor("2026-07-04", "21:00", hallID, bandID, 1),
			domain.EventIDFor("2026-07-04", "21:00", bandID, hallID, 2),
		} {
			require.False(t, seen[id])
			seen[id] = true
		}
	})
}

func TestNewEventID(t *testing.T) {
	t.Parallel()
	one, other := domain.NewEventID(), domain.NewEventID()
	require.NotEqual(t, one, other)
	require.Equal(t, uuid.Version(7), uuid.MustParse(string(one)).Version())
}
