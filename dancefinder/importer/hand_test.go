package importer_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/eventsourced"
)

// total counts the events of the log.
func (c *catalogue) total() (n int) {
	for _, count := range c.names() {
		n += count
	}
	return n
}

// dances returns the dances that are there, with their ids.
func (c *catalogue) dances() map[domain.EventID]domain.EventDetails {
	c.t.Helper()
	found := map[domain.EventID]domain.EventDetails{}
	for recorded, err := range c.store.ReadLog(c.t.Context(), eventsourced.LogQuery{}) {
		require.NoError(c.t, err)
		events, err := c.store.Registry().Decode(c.t.Context(), recorded)
		require.NoError(c.t, err)
		event := events[0]
		id := domain.EventID(event.AggregateID())
		switch e := event.(type) {
		case *domain.EventCreated:
			found[id] = details(e)
		case *domain.EventUpdated:
			found[id] = details((*domain.EventCreated)(e))
		case *domain.EventDeleted:
			delete(found, id)
		}
	}
	return found
}

func details(e *domain.EventCreated) domain.EventDetails {
	return domain.EventDetails{
		Date: e.Date, StartTime: e.StartTime, EndTime: e.EndTime, BandID: domain.BandID(e.BandID), DanceHallID: domain.DanceHallID(e.DanceHallID),
		ExtraInfo: e.ExtraInfo, SourceURL: e.SourceURL,
	}
}

// find returns the only dance that is as it should be.
func (c *catalogue) find(is func(domain.EventDetails) bool) (id domain.EventID, d domain.EventDetails) {
	c.t.Helper()
	for found, details := range c.dances() {
		if is(details) {
			require.Empty(c.t, id)
			id, d = found, details
		}
	}
	require.NotEmpty(c.t, id)
	return id, d
}

func on(date string) func(domain.EventDetails) bool {
	return func(d domain.EventDetails) bool { return d.Date == date }
}

// edit changes a dance as a person does.
func (c *catalogue) edit(date string, change func(*domain.EventDetails)) domain.EventID {
	c.t.Helper()
	id, d := c.find(on(date))
	change(&d)
	_, _, err := c.service.UpdateEvent(c.t.Context(), domain.UpdateEvent{EventID: id, EventDetails: d})
	require.NoError(c.t, err)
	return id
}

// unchanged requires that importing text appends no event.
func (c *catalogue) unchanged(text string) {
	c.t.Helper()
	before := c.total()
	require.Zero(c.t, c.imports(text, importer.Options{}).Events())
	require.Equal(c.t, before, c.total())
}

const source = "https://example.org/logdans"

func TestWhatAPersonEnteredStays(t *testing.T) {
	t.Parallel()
	const eleventh = "2026-07-11"
	other := strings.Replace(july, "21.00-01.00,Zetas", "21.00-02.00,Zetas", 1)
	imported := func(t *testing.T) *catalogue {
		t.Helper()
		c := newCatalogue(t)
		c.imports(july, importer.Options{})
		return c
	}
	t.Run("when it is the address of a source", func(t *testing.T) {
		t.Parallel()
		c := imported(t)
		c.edit(eleventh, func(d *domain.EventDetails) { d.SourceURL = source })
		c.unchanged(july)
		require.Equal(t, 1, c.imports(other, importer.Options{}).Updated)
		_, d := c.find(on(eleventh))
		require.Equal(t, source, d.SourceURL)
		require.Equal(t, "02:00", d.EndTime, "which the listing corrects")
		c.unchanged(other)
	})
	t.Run("when it is a text, until the listing says something new", func(t *testing.T) {
		t.Parallel()
		c := imported(t)
		c.edit(eleventh, func(d *domain.EventDetails) { d.ExtraInfo = "Logdans, utomhus" })
		c.unchanged(july)
		for range 2 {
			c.imports(other, importer.Options{})
			_, d := c.find(on(eleventh))
			require.Equal(t, "Logdans, utomhus", d.ExtraInfo)
			c.unchanged(other)
			c.imports(july, importer.Options{})
			c.unchanged(july)
		}
		c.imports(strings.Replace(july, "Logdans", "", 1), importer.Options{})
		_, d := c.find(on(eleventh))
		require.Equal(t, "Logdans, utomhus", d.ExtraInfo, "the listing lacks it")
		c.imports(strings.Replace(july, "Logdans", "Ny lokal", 1), importer.Options{})
		_, d = c.find(on(eleventh))
		require.Equal(t, "Ny lokal", d.ExtraInfo)
	})
	t.Run("but what the listing said goes with it", func(t *testing.T) {
		t.Parallel()
		c := imported(t)
		silent := strings.Replace(july, "Logdans", "", 1)
		require.Equal(t, 1, c.imports(silent, importer.Options{}).Updated)
		_, d := c.find(on(eleventh))
		require.Empty(t, d.ExtraInfo)
		c.unchanged(silent)
	})
	t.Run("when it is another day or time", func(t *testing.T) {
		t.Parallel()
		c := imported(t)
		id := c.edit(eleventh, func(d *domain.EventDetails) { d.Date, d.StartTime = "2026-08-12", "19:00" })
		c.unchanged(july)
		moved := strings.Replace(july, "2026-07-11,21.00", "2026-08-12,19.00", 1)
		require.Zero(t, c.imports(moved, importer.Options{}).Events(), "now the listing has it as well")
		found, _ := c.find(on("2026-08-12"))
		require.Equal(t, id, found)
		require.Equal(t, 1, c.imports(strings.Join(strings.SplitAfter(july, "\n")[:3], ""), importer.Options{}).Deleted, "it is withdrawn from the month that it was in")
	})
	t.Run("when it is a deletion", func(t *testing.T) {
		t.Parallel()
		c := imported(t)
		id, _ := c.find(on(eleventh))
		_, _, err := c.service.DeleteEvent(t.Context(), domain.DeleteEvent{EventID: id, Reason: "Fanns aldrig"})
		require.NoError(t, err)
		c.unchanged(july)
		c.unchanged(other)
		require.Equal(t, 1, c.imports(strings.Replace(july, "Logdans", "Inställt", 1), importer.Options{}).Skipped)
		require.Len(t, c.dances(), 2)
	})
	t.Run("when it is a coordinate", func(t *testing.T) {
		t.Parallel()
		c := imported(t)
		_, d := c.find(on(eleventh))
		_, _, err := c.service.GeocodeDanceHall(t.Context(), domain.GeocodeDanceHall{
			DanceHallID: d.DanceHallID, Coordinate: domain.Coordinate{Latitude: 61, Longitude: 14.5}, Source: domain.SourceManual, Precision: domain.PrecisionVenue,
		})
		require.NoError(t, err)
		c.unchanged(july)
		c.imports(other, importer.Options{})
		require.Equal(t, 1, c.names()["DanceHallGeocoded"])
	})
	t.Run("while it is entered during an import", func(t *testing.T) {
		t.Parallel()
		c := imported(t)
		edited := false
		result, err := c.importsThrough(t.Context(), other, func(_ context.Context, event eventsourced.EventData) error {
			if event.Name == "EventUpdated" && !edited {
				edited = true
				c.edit(eleventh, func(d *domain.EventDetails) { d.ExtraInfo, d.SourceURL = "Logdans, utomhus", source })
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 1, result.Updated)
		_, d := c.find(on(eleventh))
		require.Equal(t, []string{"02:00", "Logdans, utomhus", source}, []string{d.EndTime, d.ExtraInfo, d.SourceURL})
	})
}

func TestDancesMadeByHand(t *testing.T) {
	t.Parallel()
	makes := func(t *testing.T, c *catalogue, extra string) domain.EventID {
		t.Helper()
		band, _, err := c.service.CreateBand(t.Context(), domain.CreateBand{Name: "Zetas"})
		require.NoError(t, err)
		hall, _, err := c.service.CreateDanceHall(t.Context(), domain.CreateDanceHall{Name: "Logen", City: "Mora", Municipality: "Mora", State: "Dalarna"})
		require.NoError(t, err)
		id, _, err := c.service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: domain.EventDetails{
			Date: "2026-07-11", StartTime: "21:00", BandID: band, DanceHallID: hall, ExtraInfo: extra, SourceURL: source,
		}})
		require.NoError(t, err)
		return id
	}
	t.Run("are those of a listing that has them, which adds what is not known", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		id := makes(t, c, "")
		result := c.imports(july, importer.Options{})
		require.Equal(t, 2, result.Created)
		require.Equal(t, 1, result.Updated)
		found, d := c.find(on("2026-07-11"))
		require.Equal(t, id, found)
		require.Equal(t, []string{"01:00", "Logdans", source}, []string{d.EndTime, d.ExtraInfo, d.SourceURL})
		c.unchanged(july)
		c.imports(strings.Replace(july, "Logdans", "Logdans 18+", 1), importer.Options{})
		_, d = c.find(on("2026-07-11"))
		require.Equal(t, "Logdans 18+", d.ExtraInfo, "it came from the listing")
	})
	t.Run("keep what is known", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		makes(t, c, "Insläpp 18")
		c.imports(july, importer.Options{})
		_, d := c.find(on("2026-07-11"))
		require.Equal(t, "Insläpp 18", d.ExtraInfo)
		c.unchanged(july)
	})
	t.Run("are deleted when the listing cancels them, and never withdrawn", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		makes(t, c, "")
		c.imports(july, importer.Options{})
		require.Zero(t, c.imports(strings.Join(strings.SplitAfter(july, "\n")[:3], ""), importer.Options{}).Deleted)
		require.Equal(t, 1, c.imports(strings.Replace(july, "Logdans", "Inställt", 1), importer.Options{}).Deleted)
	})
}

func TestBandsAndHallsThatChange(t *testing.T) {
	t.Parallel()
	t.Run("are the same by their old and their new name", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		c.imports(july, importer.Options{})
		_, d := c.find(on("2026-07-11"))
		_, _, err := c.service.RenameBand(t.Context(), domain.RenameBand{BandID: d.BandID, Name: "Zetas orkester"})
		require.NoError(t, err)
		_, _, err = c.service.UpdateDanceHall(t.Context(), domain.UpdateDanceHall{DanceHallID: d.DanceHallID, Name: "Stora logen", City: "Mora", Municipality: "Mora", State: "Dalarna"})
		require.NoError(t, err)
		c.unchanged(july)
		c.unchanged(strings.NewReplacer("Zetas", "Zetas orkester", "Logen", "Stora logen").Replace(july))
		require.Len(t, c.dances(), 3)
	})
	t.Run("stay deleted, until a listing says something new of them", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		c.imports(july, importer.Options{})
		_, d := c.find(on("2026-07-11"))
		_, _, err := c.service.DeleteBand(t.Context(), domain.DeleteBand{BandID: d.BandID})
		require.NoError(t, err)
		_, _, err = c.service.DeleteDanceHall(t.Context(), domain.DeleteDanceHall{DanceHallID: d.DanceHallID})
		require.NoError(t, err)
		c.unchanged(july)
		next := july + "2026-07-18,21.00-01.00,Zetas,Logen,Mora,Mora,Dalarna,\n2026-07-19,21.00-01.00,Zetas,Logen,Mora,Mora,Dalarna,\n"
		result := c.imports(next, importer.Options{})
		result.Position = 0
		require.Equal(t, importer.Result{Rows: 5, Unchanged: 3, Created: 2, Bands: 1, Halls: 1}, result)
		c.unchanged(next)
	})
}
