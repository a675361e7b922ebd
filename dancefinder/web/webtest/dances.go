package webtest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/gazetteer"
)

// Dance is a dance to be made known.
type Dance struct {
	Date, Start, End, Band, Hall, City, Municipality, State, Extra string
}

// NewDance returns a dance with all that there is to say.
func NewDance(date, start, end, band, hall, city, municipality, state, extra string) Dance {
	return Dance{date, start, end, band, hall, city, municipality, state, extra}
}

// Pictures are the dances near Mora and Falun that the design's pictures show.
var Pictures = parse(`
2026-11-26 18:30 21:30|Björkz|Furuparken|Falun|Falun|Dalarna|
2026-11-26 19:00 22:00|Trio Hällmark|Bygdegården Granby|Orsa|Orsa|Dalarna|Dansbuffé från 17.30
2026-11-27 19:00 23:00|Rydholmz|Rotundan Lyktan|Rättvik|Rättvik|Dalarna|
2026-11-27 19:00 23:00|Karin & Knektarna|Hyttlogen|Borlänge|Borlänge|Dalarna|Inställt
2026-11-27 21:00 01:00|Evert Sandéns|Fjällbaren Norrsken|Sälen|Malung-Sälen|Dalarna|Åldersgräns 20 år
2026-11-28 13:30 17:00|Sågbergs kvintett|Medborgarhuset Norrgården|Avesta|Avesta|Dalarna|Kaffe och smörgås ingår
2026-11-28 18:00 22:00|Björkz|Strandrotundan|Leksand|Leksand|Dalarna|
2026-11-28 19:00 23:00|Evert Sandéns|Furuparken|Falun|Falun|Dalarna|Två band
2026-11-28 19:00 23:00|Hjördis & Pojkarna|Älvkroken|Mora|Mora|Dalarna|
2026-11-28 19:00 23:30|Rydholmz|Loge Kvarnbacken|Malung|Malung-Sälen|Dalarna|
2026-11-28 20:00 00:30|Lindvikarna|Folkets Park Solliden|Ludvika|Ludvika|Dalarna|
2026-11-28 21:00 01:00|Trio Hällmark|Rotundan Lyktan|Rättvik|Rättvik|Dalarna|Inställt
2026-11-29 14:00 17:30|Karin & Knektarna|Bygdegården Granby|Orsa|Orsa|Dalarna|
2026-11-29 16:00 19:30|Sågbergs kvintett|Hyttlogen|Borlänge|Borlänge|Dalarna|
2026-11-29 17:00 21:00|Tallmoz|Folkets Hus Ekparken|Sandviken|Sandviken|Gävleborg|
2026-12-01 18:30 21:30|Lindvikarna|Furuparken|Falun|Falun|Dalarna|
2026-12-02 13:00 16:00|Hjördis & Pojkarna|Älvkroken|Mora|Mora|Dalarna|
2026-12-02 19:00 22:00|Björkz|Rotundan Lyktan|Rättvik|Rättvik|Dalarna|
`)

// Elsewhere are dances in the rest of the country.
var Elsewhere = func() (dances []Dance) {
	for i, place := range strings.Fields("Stockholm Stockholm Stockholm Uppsala Uppsala Göteborg Göteborg Göteborg Malmö Malmö Örebro Karlstad Linköping Linköping " +
		"Jönköping Växjö Kalmar Visby Sundsvall Östersund Umeå Luleå Skellefteå Kiruna Halmstad Borås Västerås Nyköping Norrköping Karlskrona") {
		for _, p := range gazetteer.Places() {
			if p.Name == place && p.Seat {
				dances = append(dances, Dance{"2026-11-28", "19:00", "23:00", []string{"Norrskenz", "Vågbergs", "Lill-Arnes"}[i%3], "Parken " + []string{"Norra", "Södra"}[i%2], p.Name, p.Municipality, p.State, ""})
			}
		}
	}
	return append(dances, Dance{"2026-11-28", "20:00", "03:00", "Norrskenz", "M/S Vågen", "", "Stockholm", "(Båt)", ""})
}()

func parse(lines string) (dances []Dance) {
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		when := strings.Fields(f[0])
		dances = append(dances, Dance{when[0], when[1], when[2], f[1], f[2], f[3], f[4], f[5], f[6]})
	}
	return dances
}

// Add makes dances known, and returns their ids. Halls are found on the map.
func (s *Site) Add(dances ...Dance) (ids []domain.EventID) {
	s.t.Helper()
	ctx := s.t.Context()
	for _, d := range dances {
		band, _, err := s.Service.CreateBand(ctx, domain.CreateBand{Name: d.Band})
		require.NoError(s.t, err)
		hall, _, err := s.Service.CreateDanceHall(ctx, domain.CreateDanceHall{Name: d.Hall, City: d.City, Municipality: d.Municipality, State: d.State})
		require.NoError(s.t, err)
		if place, ok := gazetteer.Find(d.City, d.Municipality, d.State); ok {
			_, _, err = s.Service.GeocodeDanceHall(ctx, domain.GeocodeDanceHall{
				DanceHallID: hall, Coordinate: domain.Coordinate{Latitude: place.Latitude + 0.02, Longitude: place.Longitude}, Source: domain.SourceGazetteer, Precision: domain.PrecisionCity,
			})
			require.NoError(s.t, err)
		}
		id, _, err := s.Service.CreateEvent(ctx, domain.CreateEvent{EventDetails: domain.EventDetails{
			Date: d.Date, StartTime: d.Start, EndTime: d.End, BandID: band, DanceHallID: hall, ExtraInfo: d.Extra,
		}})
		require.NoError(s.t, err)
		ids = append(ids, id)
	}
	s.Wait()
	return ids
}

// Band returns the id of a band of [Pictures].
func Band(name string) string { return string(domain.BandIDFor(domain.BandName(name))) }
