package domain_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

func newRegistry(t testing.TB) *eventsourced.Registry {
	t.Helper()
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	require.NoError(t, err)
	return registry
}

// storedForms holds one event of each type and what is stored of it. Stored
// events outlive the code: a payload here changes only together with its schema
// version and an upcaster.
func storedForms() map[string]storedForm {
	latitude, longitude := 59.27412, 15.2066
	return map[string]storedForm{
		"BandCreated":   {1, &domain.BandCreated{Name: "Bo Granz"}, `{"name":"Bo Granz"}`},
		"BandRenamed":   {1, &domain.BandRenamed{Name: "Bo Granz"}, `{"name":"Bo Granz"}`},
		"BandDeleted":   {1, &domain.BandDeleted{Reason: "Upplöst"}, `{"reason":"Upplöst"}`},
		"BandNameTaken": {1, &domain.BandNameTaken{BandID: bandID}, `{"bandId":"` + bandID + `"}`},

		"DanceHallCreated":   {1, hallCreated(), `{"name":"Folkets Park","city":"Malung","municipality":"Malung-Sälen","state":"Dalarna"}`},
		"DanceHallUpdated":   {1, &domain.DanceHallUpdated{Name: "Parken", City: "Mora", Municipality: "Mora", State: "Dalarna"}, `{"name":"Parken","city":"Mora","municipality":"Mora","state":"Dalarna"}`},
		"DanceHallDeleted":   {1, &domain.DanceHallDeleted{}, `{}`},
		"DanceHallNameTaken": {1, &domain.DanceHallNameTaken{DanceHallID: hallID}, `{"danceHallId":"` + hallID + `"}`},
		"DanceHallGeocoded":  {1, hallGeocoded(domain.SourceManual), `{"latitude":60.68333,"longitude":13.71667,"source":"manual","precision":"city","query":"Malung"}`},

		"EventCreated": {1, eventCreated(), `{"date":"2026-07-04","startTime":"21:00","endTime":"01:00","bandId":"` + bandID + `","danceHallId":"` + hallID + `","extraInfo":"Buggkurs 20:00","sourceUrl":"https://example.org/dances"}`},
		"EventUpdated": {1, &domain.EventUpdated{Date: "2026-07-04", BandID: bandID, DanceHallID: hallID}, `{"date":"2026-07-04","bandId":"` + bandID + `","danceHallId":"` + hallID + `"}`},
		"EventDeleted": {1, &domain.EventDeleted{Reason: "Inställt"}, `{"reason":"Inställt"}`},

		"OriginAdded":   {1, &domain.OriginAdded{Subject: subject, Origin: "Örebro", Latitude: &latitude, Longitude: &longitude}, `{"subject":"auth0|7f3a","origin":"Örebro","latitude":59.27412,"longitude":15.2066}`},
		"OriginRemoved": {1, &domain.OriginRemoved{Subject: subject, Origin: "Örebro"}, `{"subject":"auth0|7f3a","origin":"Örebro"}`},

		"BandIgnored":           {2, &domain.BandIgnored{Subject: subject, BandID: bandID, BandName: "Bo Granz"}, `{"subject":"auth0|7f3a","bandId":"` + bandID + `","bandName":"Bo Granz"}`},
		"BandUnignored":         {2, &domain.BandUnignored{Subject: subject, BandID: bandID, BandName: "Bo Granz"}, `{"subject":"auth0|7f3a","bandId":"` + bandID + `","bandName":"Bo Granz"}`},
		"DanceHallIgnored":      {1, &domain.DanceHallIgnored{Subject: subject, DanceHallID: hallID, DanceHallName: "Folkets Park"}, `{"subject":"auth0|7f3a","danceHallId":"` + hallID + `","danceHallName":"Folkets Park"}`},
		"DanceHallUnignored":    {1, &domain.DanceHallUnignored{Subject: subject, DanceHallID: hallID, DanceHallName: "Folkets Park"}, `{"subject":"auth0|7f3a","danceHallId":"` + hallID + `","danceHallName":"Folkets Park"}`},
		"CityIgnored":           {1, &domain.CityIgnored{Subject: subject, City: "Malung"}, `{"subject":"auth0|7f3a","city":"Malung"}`},
		"CityUnignored":         {1, &domain.CityUnignored{Subject: subject, City: "Malung"}, `{"subject":"auth0|7f3a","city":"Malung"}`},
		"MunicipalityIgnored":   {1, &domain.MunicipalityIgnored{Subject: subject, Municipality: "Falun"}, `{"subject":"auth0|7f3a","municipality":"Falun"}`},
		"MunicipalityUnignored": {1, &domain.MunicipalityUnignored{Subject: subject, Municipality: "Falun"}, `{"subject":"auth0|7f3a","municipality":"Falun"}`},
		"StateIgnored":          {1, &domain.StateIgnored{Subject: subject, State: "Dalarna"}, `{"subject":"auth0|7f3a","state":"Dalarna"}`},
		"StateUnignored":        {1, &domain.StateUnignored{Subject: subject, State: "Dalarna"}, `{"subject":"auth0|7f3a","state":"Dalarna"}`},
		"CalendarLinkReplaced":  {1, &domain.CalendarLinkReplaced{Subject: subject, Hash: "ab12"}, `{"subject":"auth0|7f3a","hash":"ab12"}`},
	}
}

type storedForm struct {
	schemaVersion int
	event         eventsourced.Event
	payload       string
}

func TestStoredForms(t *testing.T) {
	t.Parallel()
	registry, forms := newRegistry(t), storedForms()

	t.Run("every registered event has one", func(t *testing.T) {
		t.Parallel()
		var names []string
		for name := range forms {
			names = append(names, name)
		}
		slices.Sort(names)
		require.Equal(t, registry.Names(), names)
	})
	for name, form := range forms {
		t.Run(name+" is stored as ever and comes back as it was", func(t *testing.T) {
			t.Parallel()
			at := time.Date(2026, 7, 4, 19, 0, 0, 123000, time.UTC)
			eventsourced.SetBase(form.event, eventsourced.BaseEvent{EventAggregateId: bandID, EventTime: at})

			encoded, err := registry.Encode(t.Context(), form.event)
			require.NoError(t, err)
			require.Equal(t, name, encoded[0].Name)
			require.Equal(t, form.schemaVersion, encoded[0].SchemaVersion)
			require.JSONEq(t, form.payload, string(encoded[0].Payload))

			decoded, err := registry.Decode(t.Context(), recorded(encoded[0]))
			require.NoError(t, err)
			require.Equal(t, []eventsourced.Event{form.event}, decoded)
		})
	}
}

func recorded(data eventsourced.EventData) eventsourced.Recorded {
	return eventsourced.Recorded{
		EventData: data,
		Stream:    eventsourced.Stream{AggregateName: "any", AggregateID: bandID},
		Version:   1,
		Position:  1,
	}
}

func TestUpcastBandIgnored(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t)
	decode := func(name, payload string) (eventsourced.Event, error) {
		events, err := registry.Decode(t.Context(), recorded(eventsourced.EventData{
			ID: eventsourced.NewEventID(), Name: name, SchemaVersion: 1, Payload: []byte(payload),
		}))
		if err != nil {
			return nil, err
		}
		require.Len(t, events, 1)
		return events[0], nil
	}
	base := eventsourced.BaseEvent{EventAggregateId: bandID}
	granz := string(domain.BandIDFor("Bo Granz"))

	t.Run("the id of the first version follows from the name", func(t *testing.T) {
		t.Parallel()
		for _, payload := range []string{
			`{"subject":"auth0|7f3a","bandName":"BO GRANZ"}`,
			`{"Subject":"auth0|7f3a","BandName":"BO GRANZ"}`,
		} {
			event, err := decode("BandIgnored", payload)
			require.NoError(t, err)
			require.Equal(t, &domain.BandIgnored{BaseEvent: base, Subject: subject, BandID: granz, BandName: "BO GRANZ"}, event)

			event, err = decode("BandUnignored", payload)
			require.NoError(t, err)
			require.Equal(t, &domain.BandUnignored{BaseEvent: base, Subject: subject, BandID: granz, BandName: "BO GRANZ"}, event)
		}
	})
	t.Run("a band ignored in the first version is the band of the second", func(t *testing.T) {
		t.Parallel()
		event, err := decode("BandIgnored", `{"subject":"auth0|7f3a","bandName":"Bo Granz"}`)
		require.NoError(t, err)
		p := new(domain.UserPreferences)
		require.NoError(t, eventsourced.Replay(p, bandID, event))
		require.NoError(t, p.Prefer(domain.UnignoreBand{Subject: subject, BandID: domain.BandIDFor("bo granz")}))
		require.Len(t, p.Pending(), 1)
	})
	t.Run("an event of the first version without a name is an error", func(t *testing.T) {
		t.Parallel()
		for _, payload := range []string{`{"subject":"auth0|7f3a"}`, `{"bandName":" "}`, `[]`} {
			_, err := decode("BandIgnored", payload)
			var decodeError *eventsourced.DecodeError
			require.ErrorAs(t, err, &decodeError)
		}
	})
}
