package domain_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

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
