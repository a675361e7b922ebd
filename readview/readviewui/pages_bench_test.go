package readviewui_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/eventsourced/migrate"
	"github.com/dancefinder/eventsourcing/eventsourced/pgstore"
	"github.com/dancefinder/eventsourcing/internal/largelogtest"
	"github.com/dancefinder/eventsourcing/readview"
	"github.com/dancefinder/eventsourcing/readview/readviewui"
)

// Events that internal/largelogtest has.
type (
	event1 struct{ eventsourced.BaseEvent }
	event2 struct{ eventsourced.BaseEvent }
	event3 struct{ eventsourced.BaseEvent }
	rare   struct{ eventsourced.BaseEvent }
)

// BenchmarkPages loads each page over a hundred projections and a log of ten million events. Projection i has applied i
// hundredths of it, and is of any of four events. What all pages share for a second, how all consumers stand, is looked at anew for each page here.
func BenchmarkPages(b *testing.B) {
	ctx, pool := b.Context(), largelogtest.Pool(b)
	require.NoError(b, migrate.Run(ctx, pool, migrate.Config{}, pgstore.Migrations(), readview.Migrations(), consumer.Migrations()))
	store := pgstore.New(pool, eventsourced.MustRegistry(eventsourced.Type[event1]("Event1"), eventsourced.Type[event2]("Event2"),
		eventsourced.Type[event3]("Event3"), eventsourced.Type[rare]("VeryRare")), pgstore.Config{})
	defer store.Close()
	names, handlers := []string{"Event1", "Event2", "Event3", "VeryRare"}, []readview.Handler{
		readview.On(func(context.Context, readview.Tx, *event1) error { return nil }), readview.On(func(context.Context, readview.Tx, *event2) error { return nil }),
		readview.On(func(context.Context, readview.Tx, *event3) error { return nil }), readview.On(func(context.Context, readview.Tx, *rare) error { return nil }),
	}
	head, err := store.Head(ctx)
	require.NoError(b, err)
	manager, err := readview.NewManager(nil, store, pool, readview.Config{})
	require.NoError(b, err)
	for i := range 100 {
		p := readview.Projection{Name: fmt.Sprintf("projection%02d", i)}
		var of []string
		for n, handler := range handlers {
			if (i%15+1)>>n&1 == 1 {
				p.Handlers, of = append(p.Handlers, handler), append(of, names[n])
			}
		}
		require.NoError(b, manager.Add(p))
		_, err = pool.Exec(ctx, `INSERT INTO readviews (name, position) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position`, p.Name, int64(head)-int64(99-i)*7_000_000_000)
		require.NoError(b, err)
		_, err = pool.Exec(ctx, `INSERT INTO readview_states (name, handled) VALUES ($1, $2) ON CONFLICT DO NOTHING`, p.Name, of)
		require.NoError(b, err)
	}
	_, err = pool.Exec(ctx, `ANALYZE readviews, readview_states`)
	require.NoError(b, err)
	inspector := store.Inspector(pgstore.InspectorConfig{})
	middle, err := inspector.Find(ctx, eventsourced.LogQuery{Backwards: true, UpTo: head - (head-largelogtest.First)/2, Limit: 1})
	require.NoError(b, err)
	event := middle.Events[0]
	correlation := event.Metadata[eventsourced.MetaCorrelation]
	for _, page := range []struct{ name, path string }{
		{"overview", ""},
		{"a projection", "consumer?kind=projection&name=projection00"},
		{"events", "events"},
		{"events of three names", "events?name=Event1&name=Event2&name=Event3"},
		{"events of three names and a correlation", "events?name=Event1&name=Event2&name=Event3&correlation=" + correlation},
		{"events of a kind", "events?aggregate=" + event.Stream.AggregateName},
		{"events of a correlation", "events?correlation=" + correlation},
		{"an event", fmt.Sprint("events?at=", event.Position)},
		{"an aggregate", "stream?aggregate=" + event.Stream.AggregateName + "&id=" + event.Stream.AggregateID},
		{"nodes", "nodes"},
		{"log", "log"},
		{"parked", "parked"},
		{"operator log", "operations"},
	} {
		b.Run(page.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				handler, err := readviewui.New(manager, store, pool, readviewui.Config{Consumers: consumer.NewStore(pool, consumer.Config{})})
				require.NoError(b, err)
				answer, request := httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/admin/"+page.path, nil)
				b.StartTimer()
				handler.ServeHTTP(answer, request)
				require.Equal(b, http.StatusOK, answer.Code, answer.Body)
			}
		})
	}
}
