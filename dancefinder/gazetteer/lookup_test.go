package gazetteer_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
)

func TestFind(t *testing.T) {
	t.Parallel()
	t.Run("every place is found by its name, municipality and state", func(t *testing.T) {
		t.Parallel()
		for _, p := range gazetteer.Places() {
			got, ok := gazetteer.Find(p.Name, p.Municipality, p.State)
			require.True(t, ok, "%+v", p)
			require.Equal(t, p, got)
		}
	})
	t.Run("case, white space and composition don't matter", func(t *testing.T) {
		t.Parallel()
		got, ok := gazetteer.Find(" SA\u0308LEN", "malung-sälen ", "DALARNA")
		require.True(t, ok)
		require.Equal(t, "Sälen", got.Name)
	})
	t.Run("a place elsewhere, or none, is not found", func(t *testing.T) {
		t.Parallel()
		for _, in := range [][3]string{
			{"Malung", "Malung-Sälen", "Värmland"}, {"Malung", "Mora", "Dalarna"}, {"", "Malung-Sälen", "Dalarna"}, {"", "", ""},
		} {
			_, ok := gazetteer.Find(in[0], in[1], in[2])
			require.False(t, ok, "%v", in)
		}
	})
}

func TestFindInState(t *testing.T) {
	t.Parallel()
	count := map[[2]string]int{}
	for _, p := range gazetteer.Places() {
		count[[2]string{p.Name, p.State}]++
	}
	shared := 0
	for _, p := range gazetteer.Places() {
		got, ok := gazetteer.FindInState(p.Name, p.State)
		require.Equal(t, count[[2]string{p.Name, p.State}] == 1, ok, "%+v", p)
		if ok {
			require.Equal(t, p, got)
		} else {
			shared++
		}
	}
	require.Positive(t, shared, "some states have two places of one name")
	_, ok := gazetteer.FindInState("Malung", "Skåne")
	require.False(t, ok)
}

func TestSeat(t *testing.T) {
	t.Parallel()
	for _, p := range gazetteer.Places() {
		got, ok := gazetteer.Seat(p.Municipality)
		require.True(t, ok, "%+v", p)
		require.True(t, got.Seat)
		require.Equal(t, p.Code, got.Code)
	}
	_, ok := gazetteer.Seat("Oslo")
	require.False(t, ok)
}

func TestCentre(t *testing.T) {
	t.Parallel()
	bounds := map[string][4]float64{}
	for _, p := range gazetteer.Places() {
		b, ok := bounds[p.State]
		if !ok {
			b = [4]float64{p.Latitude, p.Latitude, p.Longitude, p.Longitude}
		}
		bounds[p.State] = [4]float64{min(b[0], p.Latitude), max(b[1], p.Latitude), min(b[2], p.Longitude), max(b[3], p.Longitude)}
	}
	require.Len(t, bounds, 21)
	for state, b := range bounds {
		latitude, longitude, ok := gazetteer.Centre(state)
		require.True(t, ok, state)
		require.True(t, b[0] <= latitude && latitude <= b[1] && b[2] <= longitude && longitude <= b[3], state)
	}
	latitude, longitude, ok := gazetteer.Centre("gotland") // which has one seat, Visby
	require.True(t, ok)
	visby, _ := gazetteer.Seat("Gotland")
	require.InDelta(t, visby.Latitude, latitude, 1e-9)
	require.InDelta(t, visby.Longitude, longitude, 1e-9)
	_, _, ok = gazetteer.Centre("Norge")
	require.False(t, ok)
}
