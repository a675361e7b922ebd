package importer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/importer"
	"github.com/dancefinder/eventsourcing/dancefinder/listing"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/memstore"
)

// gated is a store that has before called before it appends.
type gated struct {
	*memstore.Store
	before func(ctx context.Context, event eventsourced.EventData) error
}

func (g *gated) Append(ctx context.Context, stream eventsourced.Stream, expected eventsourced.Expected, events []eventsourced.EventData) (eventsourced.Position, error) {
	if err := g.before(ctx, events[0]); err != nil {
		return 0, err
	}
	return g.Store.Append(ctx, stream, expected, events)
}

var errDisk = errors.New("disk on fire")

// fails returns a before that fails for one name of events.
func fails(name string) func(context.Context, eventsourced.EventData) error {
	return func(_ context.Context, event eventsourced.EventData) error {
		if event.Name == name {
			return errDisk
		}
		return nil
	}
}

func (c *catalogue) importsThrough(ctx context.Context, text string, before func(context.Context, eventsourced.EventData) error) (importer.Result, error) {
	service := domain.NewService(&gated{c.store, before})
	return importer.Import(ctx, service, c.store, listing.Read(strings.NewReader(text), listing.Options{}), importer.Options{})
}

// The domain may refuse a row after all rows were read.
func TestRefusalsOfTheDomainDeleteNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		row  listing.Row
	}{
		{"the only row", listing.Row{Line: 2, Date: "2026-07-04", Band: "Ängs", Hall: "Parken", City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna", Extra: strings.Repeat("x", 2_100)}},
		{"a band", listing.Row{Line: 2, Date: "2026-07-04", Band: strings.Repeat("Ä", 201), Hall: "Parken", City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"}},
		{"a date", listing.Row{Line: 2, Date: "2400-07-04", Band: "Ängs", Hall: "Parken", City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"}},
	} {
		t.Run(test.name+" that is refused", func(t *testing.T) {
			t.Parallel()
			for range 20 { // which goroutine comes first is a matter of chance
				c := newCatalogue(t)
				c.imports(july, importer.Options{})
				var problems []error
				rows := func(yield func(listing.Row, error) bool) { _ = yield(test.row, nil) }
				result, err := importer.Import(t.Context(), c.service, c.store, rows, importer.Options{
					Problem: func(err error) { problems = append(problems, err) },
				})
				require.NoError(t, err)
				require.Equal(t, 1, result.Problems)
				require.Len(t, problems, 1)
				require.ErrorContains(t, problems[0], "line 2: ")
				require.Zero(t, result.Deleted)
				require.Zero(t, c.names()["EventDeleted"])
			}
		})
	}
}

func TestFailuresOfTheStore(t *testing.T) {
	t.Parallel()
	t.Run("in the last commands end the import", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		result, err := c.importsThrough(t.Context(), july, fails("EventCreated"))
		require.ErrorIs(t, err, errDisk)
		require.Zero(t, result.Created)
		require.Equal(t, 3, c.imports(july, importer.Options{}).Created, "importing again does the rest")
	})
	t.Run("in an update end the import", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		c.imports(july, importer.Options{})
		_, err := c.importsThrough(t.Context(), strings.Replace(july, "Logdans", "Kaffe", 1), fails("EventUpdated"))
		require.ErrorIs(t, err, errDisk)
	})
	t.Run("in a deletion end the import", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		c.imports(july, importer.Options{})
		shorter := header + "2026-07-04,21.00-01.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n"
		result, err := c.importsThrough(t.Context(), shorter, fails("EventDeleted"))
		require.ErrorIs(t, err, errDisk)
		require.Zero(t, result.Deleted)
	})
	t.Run("delete nothing, for what failed may be what is missing", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		c.imports(july, importer.Options{})
		other := header + "2026-07-30,21.00-01.00,Ängs,Parken,Malung,Malung-Sälen,Dalarna,\n"
		result, err := c.importsThrough(t.Context(), other, fails("EventCreated"))
		require.ErrorIs(t, err, errDisk)
		require.Zero(t, result.Deleted)
		require.Zero(t, c.names()["EventDeleted"])
	})
	t.Run("are reported also when the reading breaks off", func(t *testing.T) {
		t.Parallel()
		c := newCatalogue(t)
		started, broken := make(chan struct{}), errors.New("line is cut")
		service := domain.NewService(&gated{c.store, func(_ context.Context, event eventsourced.EventData) error {
			if event.Name != "EventCreated" {
				return nil
			}
			<-started
			return errDisk
		}})
		_, err := importer.Import(t.Context(), service, c.store, func(yield func(listing.Row, error) bool) {
			for row, err := range listing.Read(strings.NewReader(july), listing.Options{}) {
				_ = yield(row, err)
				break
			}
			close(started)
			_ = yield(listing.Row{}, broken)
		}, importer.Options{})
		require.ErrorIs(t, err, errDisk)
	})
}

func TestImportThatIsInterrupted(t *testing.T) {
	t.Parallel()
	for rows := range 3 {
		t.Run(fmt.Sprintf("after %d of 3 rows says so and deletes nothing", rows), func(t *testing.T) {
			t.Parallel()
			c := newCatalogue(t)
			c.imports(july, importer.Options{})
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			n := 0
			result, err := importer.Import(ctx, c.service, c.store, func(yield func(listing.Row, error) bool) {
				for row, err := range listing.Read(strings.NewReader(july), listing.Options{}) {
					if n == rows {
						interrupt()
					}
					if n++; !yield(row, err) {
						return
					}
				}
			}, importer.Options{})
			require.ErrorIs(t, err, context.Canceled)
			require.Zero(t, result.Deleted)
			require.Zero(t, c.names()["EventDeleted"])
		})
	}
}

// The listing's limits are the domain's: what the one reads the other takes.
func TestLimits(t *testing.T) {
	t.Parallel()
	row := func(change func(*listing.Row)) listing.Row {
		row := listing.Row{Date: "2026-07-04", Band: "Ängs", Hall: "Parken", City: "Malung", Municipality: "Malung-Sälen", State: "Dalarna"}
		change(&row)
		return row
	}
	for name, change := range map[string]func(*listing.Row, string){
		"band":         func(r *listing.Row, s string) { r.Band = s },
		"hall":         func(r *listing.Row, s string) { r.Hall = s },
		"city":         func(r *listing.Row, s string) { r.City = s },
		"municipality": func(r *listing.Row, s string) { r.Municipality = s },
		"state":        func(r *listing.Row, s string) { r.State = s },
		"extra":        func(r *listing.Row, s string) { r.Extra = s },
	} {
		t.Run("of a "+name, func(t *testing.T) {
			t.Parallel()
			limit := map[string]int{"band": listing.MaxName, "hall": listing.MaxName, "extra": listing.MaxExtra}[name]
			if limit == 0 {
				limit = listing.MaxPlace
			}
			for over := range 2 {
				c := newCatalogue(t)
				rows := func(yield func(listing.Row, error) bool) {
					_ = yield(row(func(r *listing.Row) { change(r, strings.Repeat("ö", limit+over)) }), nil)
				}
				result, err := importer.Import(t.Context(), c.service, c.store, rows, importer.Options{})
				require.NoError(t, err)
				require.Equal(t, over, result.Problems)
				require.Equal(t, 1-over, result.Created)
			}
		})
	}
}

// What can't be read may be any dance, so that none is taken for withdrawn.
func TestDamagedListingsDeleteNothing(t *testing.T) {
	t.Parallel()
	const head = "<table><tr><th>Datum<th>Tid<th>Dansband<th>Dansställe<th>Ort<th>Kommun<th>Län<th>Övrigt"
	dance := func(day string) string {
		return "<tr><td>" + day + "<td>21-01<td>Tollez<td>Parken<td>Malung<td>Malung-Sälen<td>Dalarna<td>"
	}
	first, second := head+dance("2026-12-05")+"</table>", head+dance("2026-12-06")+dance("2026-12-07")+"</table>"
	for name, page := range map[string]string{
		"a second header that can't be read": first + strings.Replace(second, "Län", "L\xe4n", 1),
		"a page cut off in a cell":           (first + second)[:len(first)+len(head)+20],
		"a page cut off in a tag":            first + "<tabl",
		"a weekday of another date":          first + strings.Replace(second, "2026-12-06", "Fre 2026-12-06", 1),
		"a heading that can't be read":       first + "<h2>Danser i december 2027</h2>" + strings.Replace(second, "2026-12-06", "Sön 6", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCatalogue(t)
			require.Equal(t, 3, c.imports(first+second, importer.Options{}).Created)
			result, err := importer.Import(t.Context(), domain.NewService(c.store), c.store,
				listing.Read(strings.NewReader(page), listing.Options{}), importer.Options{})
			require.True(t, err != nil || result.Problems > 0)
			require.Zero(t, result.Deleted+result.Updated+result.Created)
		})
	}
}
