package importer_test

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/generator"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

const header = "Datum,Tid,Dansband,Dansställe,Ort,Kommun,Län,Övrigt\n"

// july is a listing of three dances.
const july = header +
	"2026-07-04,21.00-01.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n" +
	"2026-07-04,19.00-23.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n" +
	"2026-07-11,21.00-01.00,Zetas,Logen,Mora,Mora,Dalarna,Logdans\n"

// catalogue is a log with the service on it.
type catalogue struct {
	t       *testing.T
	store   *memstore.Store
	service *domain.Service
}

func newCatalogue(t *testing.T) *catalogue {
	t.Helper()
	registry, err := eventsourced.NewRegistry(domain.EventTypes()...)
	require.NoError(t, err)
	store := memstore.New(registry)
	return &catalogue{t: t, store: store, service: domain.NewService(store)}
}

func (c *catalogue) imports(text string, options importer.Options) importer.Result {
	c.t.Helper()
	result, err := importer.Import(c.t.Context(), c.service, c.store, listing.Read(strings.NewReader(text), listing.Options{}), options)
	require.NoError(c.t, err)
	return result
}

// names counts the events of the log by name.
func (c *catalogue) names() map[string]int {
	counts := map[string]int{}
	for event, err := range c.store.ReadLog(c.t.Context(), eventsourced.LogQuery{}) {
		require.NoError(c.t, err)
		counts[event.Name]++
	}
	return counts
}

func TestImport(t *testing.T) {
	t.Parallel()
	c := newCatalogue(t)
	result := c.imports(july, importer.Options{})
	head, err := c.store.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, importer.Result{Rows: 3, Bands: 2, Halls: 2, Created: 3, Position: head}, result)
	require.Equal(t, map[string]int{"BandCreated": 2, "DanceHallCreated": 2, "EventCreated": 3}, c.names())

	t.Run("again changes nothing", func(t *testing.T) {
		require.Equal(t, importer.Result{Rows: 3, Unchanged: 3}, c.imports(july, importer.Options{}))
	})
	t.Run("with other details updates", func(t *testing.T) {
		changed := strings.Replace(july, "Logdans", "Logdans och kaffe", 1)
		result := c.imports(changed, importer.Options{})
		require.Equal(t, 1, result.Updated)
		require.Equal(t, 2, result.Unchanged)
		require.Equal(t, 1, c.imports(july, importer.Options{}).Updated, "and back")
	})
	t.Run("with a dance cancelled deletes it, once", func(t *testing.T) {
		cancelled := strings.Replace(july, "Logdans", "Inställt", 1)
		require.Equal(t, 1, c.imports(cancelled, importer.Options{}).Deleted)
		again := c.imports(cancelled, importer.Options{})
		require.Zero(t, again.Events())
		require.Equal(t, 1, again.Skipped)
	})
	t.Run("with the dance on again creates another", func(t *testing.T) {
		require.Equal(t, 1, c.imports(july, importer.Options{}).Created)
		require.Zero(t, c.imports(july, importer.Options{}).Events())
	})
}

func TestWithdrawnDances(t *testing.T) {
	t.Parallel()
	shorter := header + "2026-07-04,21.00-01.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n"
	august := header + "2026-08-01,21.00-01.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n"
	t.Run("of the listing's months are deleted", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		c.imports(july, importer.Options{})
		require.Zero(t, c.imports(august, importer.Options{}).Deleted)
		require.Equal(t, 2, c.imports(shorter, importer.Options{}).Deleted)
		require.Zero(t, c.imports(shorter, importer.Options{}).Events())
	})
	t.Run("stay when the listing is partial", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		c.imports(july, importer.Options{})
		require.Zero(t, c.imports(shorter, importer.Options{Partial: true}).Deleted)
	})
	t.Run("stay when a row can't be read, for it may be theirs", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		c.imports(july, importer.Options{})
		var problems []error
		result := c.imports(shorter+"2026-07-99,21.00,Zetas,Logen,Mora,Mora,Dalarna,\n", importer.Options{
			Problem: func(err error) { problems = append(problems, err) },
		})
		require.Zero(t, result.Deleted)
		require.Equal(t, 1, result.Problems)
		require.Len(t, problems, 1)
		require.ErrorContains(t, problems[0], "2026-07-99")
	})
	t.Run("stay when they were made by hand", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		band, _, err := c.service.CreateBand(t.Context(), domain.CreateBand{Name: "Ängs"})
		require.NoError(t, err)
		hall, _, err := c.service.CreateDanceHall(t.Context(), domain.CreateDanceHall{Name: "Privat", City: "Mora", Municipality: "Mora", State: "Dalarna"})
		require.NoError(t, err)
		_, _, err = c.service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: domain.EventDetails{Date: "2026-07-09", BandID: band, DanceHallID: hall}})
		require.NoError(t, err)
		require.Zero(t, c.imports(july, importer.Options{}).Deleted)
	})
}

func TestRowsThatCanNotBeImported(t *testing.T) {
	t.Parallel()
	c := newCatalogue(t)
	var problems []error
	result := c.imports(header+
		"2026-07-04,21.00,Ej fastställt,Parken,Malung,Malung-Sälen,Dalarna,\n"+ // skipped
		"2026-07-04,25.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n"+ // the listing's
		"2026-07-04,21.00,Ängs,Ej fastställt,Malung,Malung-Sälen,Dalarna,\n"+ // the domain's
		"2026-07-04,21.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n"+
		"2026-07-05,21.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n"+
		"2026-07-04,21.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,igen\n", // the same dance, out of order
		importer.Options{Problem: func(err error) { problems = append(problems, err) }})
	require.Equal(t, 6, result.Rows)
	require.Equal(t, 2, result.Created)
	require.Equal(t, 2, result.Skipped)
	require.Equal(t, 2, result.Problems)
	var row *listing.RowError
	require.ErrorAs(t, problems[0], &row)
	var refusal *domain.Error
	require.ErrorAs(t, problems[1], &refusal)
	require.ErrorContains(t, problems[1], "line 4")
}

func TestWhatIsNoListing(t *testing.T) {
	t.Parallel()
	c := newCatalogue(t)
	_, err := importer.Import(t.Context(), c.service, c.store, listing.Read(strings.NewReader("a,b\n1,2\n"), listing.Options{}), importer.Options{})
	var noHeader *listing.HeaderError
	require.ErrorAs(t, err, &noHeader)
	require.Empty(t, c.names())
}

func TestReadingThatBreaksOff(t *testing.T) {
	t.Parallel()
	c := newCatalogue(t)
	c.imports(july, importer.Options{})
	broken := errors.New("disk on fire")
	rows := func(yield func(listing.Row, error) bool) {
		for row, err := range listing.Read(strings.NewReader(july), listing.Options{}) {
			_ = yield(row, err)
			break
		}
		yield(listing.Row{}, broken)
	}
	result, err := importer.Import(t.Context(), c.service, c.store, rows, importer.Options{})
	require.ErrorIs(t, err, broken)
	require.Zero(t, result.Deleted, "what was not read is not withdrawn")
}

func TestGeneratedYear(t *testing.T) {
	t.Parallel()
	c := newCatalogue(t)
	editions := generator.Editions(generator.Config{Seed: 1})
	var total importer.Result
	for _, edition := range editions {
		result, err := importer.Import(t.Context(), c.service, c.store, withoutErrors(edition.Rows), importer.Options{})
		require.NoError(t, err)
		require.Zero(t, result.Problems)
		total.Created += result.Created
		total.Updated += result.Updated
		total.Deleted += result.Deleted
		require.Positive(t, result.Events())
	}
	require.Equal(t, map[string]int{
		"BandCreated": generator.Bands, "DanceHallCreated": generator.Halls,
		"EventCreated": total.Created, "EventUpdated": total.Updated, "EventDeleted": total.Deleted,
	}, c.names())
	require.InDelta(t, generator.DancesPerYear, total.Created, 200)
	require.InDelta(t, 2400, total.Updated, 300)
	require.InDelta(t, 800, total.Deleted, 150)

	last := editions[len(editions)-1]
	again, err := importer.Import(t.Context(), c.service, c.store, withoutErrors(last.Rows), importer.Options{})
	require.NoError(t, err)
	require.Zero(t, again.Events())
	require.Equal(t, len(slices.Collect(last.Rows)), again.Rows)
}

func withoutErrors(rows iter.Seq[listing.Row]) iter.Seq2[listing.Row, error] {
	return func(yield func(listing.Row, error) bool) {
		for row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}
