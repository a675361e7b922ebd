package graph_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/graph"
)

func TestSubscription(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	c := a.fill(3, 4)
	create := func(date, extra string, band domain.BandID, hall domain.DanceHallID) domain.EventID {
		id, at, err := a.service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: domain.EventDetails{Date: date, BandID: band, DanceHallID: hall, ExtraInfo: extra}})
		require.NoError(t, err)
		_ = at
		return id
	}
	anna := a.token("anna")
	ignored := a.data(ask{token: anna, query: `mutation { ignoreBand(id: "` + string(c.bands[2]) + `") { consistencyToken me { subject } } }`})
	require.True(t, *ignored.Extensions.Consistency.Satisfied)
	all := a.subscribe(a.url, "", `from: "2026-08-01", to: "2026-08-31"`)
	mora := a.subscribe(a.url, "", `from: "2026-08-01", to: "2026-08-31", cities: [{name: "Mora"}]`)
	annas := a.subscribe(a.url, anna, `from: "2026-08-01", to: "2026-08-31", near: [{at: {latitude: 61, longitude: 14.5}}], maxKm: 50`)
	require.Eventually(t, func() bool { return a.hub.Subscribers() == 3 }, 10*time.Second, 5*time.Millisecond)

	falun := create("2026-08-02", "at Falun", c.bands[0], c.halls[1])
	other := create("2026-08-03", "ignored", c.bands[2], c.halls[0])
	first := create("2026-08-04", "at Mora", c.bands[0], c.halls[0])
	create("2026-09-01", "another month", c.bands[0], c.halls[0])

	t.Run("each gets what its filter shows, and a query shows it already", func(t *testing.T) {
		for _, id := range []domain.EventID{falun, other, first} {
			got := all.next()
			require.Equal(t, string(id), got.at(t, "eventsChanged.eventId"))
			require.Equal(t, "CREATED", got.at(t, "eventsChanged.kind"))
			require.Equal(t, true, got.at(t, "eventsChanged.matches"))
			require.NotNil(t, got.at(t, "eventsChanged.event.band"))
		}
		require.Equal(t, string(other), mora.next().at(t, "eventsChanged.eventId"))
		require.Equal(t, string(first), mora.next().at(t, "eventsChanged.eventId"))
		require.Equal(t, string(first), annas.next().at(t, "eventsChanged.eventId"), "not with the band that she ignores")
	})
	t.Run("what leaves the filter is told to those who were shown it", func(t *testing.T) {
		_, _, err := a.service.UpdateEvent(t.Context(), domain.UpdateEvent{EventID: first, EventDetails: domain.EventDetails{Date: "2026-08-04", BandID: c.bands[0], DanceHallID: c.halls[1], ExtraInfo: "moved"}})
		require.NoError(t, err)
		_, _, err = a.service.DeleteEvent(t.Context(), domain.DeleteEvent{EventID: first})
		require.NoError(t, err)
		for _, s := range []*stream{mora, annas} {
			got := s.next()
			require.Equal(t, "UPDATED", got.at(t, "eventsChanged.kind"))
			require.Equal(t, false, got.at(t, "eventsChanged.matches"))
		}
		require.Equal(t, true, all.next().at(t, "eventsChanged.matches"))
		got := all.next()
		require.Equal(t, "DELETED", got.at(t, "eventsChanged.kind"))
		require.Equal(t, false, got.at(t, "eventsChanged.matches"))
		require.Nil(t, got.at(t, "eventsChanged.event"))
	})
	t.Run("a band or a hall that changes is told to those who are shown its dances", func(t *testing.T) {
		_, _, err := a.service.RenameBand(t.Context(), domain.RenameBand{BandID: c.bands[1], Name: "Without dances there"})
		require.NoError(t, err)
		_, _, err = a.service.RenameBand(t.Context(), domain.RenameBand{BandID: c.bands[0], Name: "Renamed"})
		require.NoError(t, err)
		_, _, err = a.service.DeleteDanceHall(t.Context(), domain.DeleteDanceHall{DanceHallID: c.halls[0]})
		require.NoError(t, err)
		require.Equal(t, string(c.bands[0]), all.next().at(t, "eventsChanged.bandId"))
		require.Equal(t, string(c.halls[0]), all.next().at(t, "eventsChanged.danceHallId"))
	})
	t.Run("a reset is told when it begins to show and when it is over", func(t *testing.T) {
		require.NoError(t, a.manager.ResetProjection(t.Context(), "band"))
		head := create("2026-08-05", "after the reset", c.bands[0], c.halls[1])
		for got := all.next(); got.at(t, "eventsChanged.eventId") != string(head); got = all.next() {
			require.Equal(t, "REFRESHED", got.at(t, "eventsChanged.kind"))
		}
	})
	t.Run("who leaves is forgotten", func(t *testing.T) {
		for _, s := range []*stream{all, mora, annas} {
			s.end()
		}
		require.Eventually(t, func() bool { return a.hub.Subscribers() == 0 }, 10*time.Second, 5*time.Millisecond)
	})
}

func TestSubscriptionLimits(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	standard := a.url
	filter := `from: "2026-08-01", to: "2026-08-31"`

	t.Run("signs of life come when nothing happens, and it ends after a while", func(t *testing.T) {
		a.serverTime = 500 * time.Millisecond // which is for what has an end
		url := a.serve(func(c *graph.Config) {
			c.Limits = graph.Limits{KeepAlive: 20 * time.Millisecond, SubscriptionTime: time.Second, Time: 500 * time.Millisecond}
		})
		start := time.Now()
		s := a.subscribe(url, "", filter)
		require.Equal(t, ": ping", s.line())
		line := s.line()
		for line == ": ping" {
			line = s.line()
		}
		require.Equal(t, "event: next", line)
		require.Equal(t, graph.CodeSubscriptionEnded, s.next().code(t))
		require.Greater(t, time.Since(start), time.Second, "longer than a query may take")
		require.Eventually(t, func() bool { return a.hub.Subscribers() == 0 }, 10*time.Second, 5*time.Millisecond)
	})
	t.Run("a client has two, and another one has two of its own", func(t *testing.T) {
		one, two := a.subscribe(standard, "", filter), a.subscribe(standard, "", filter)
		require.Eventually(t, func() bool { return a.hub.Subscribers() == 2 }, 10*time.Second, 5*time.Millisecond)
		require.Equal(t, graph.CodeTooManySubscriptions, a.subscribe(standard, "", filter).next().code(t))
		other := a.subscribe(standard, a.token("anna"), filter)
		require.Eventually(t, func() bool { return a.hub.Subscribers() == 3 }, 10*time.Second, 5*time.Millisecond)
		one.end()
		two.end()
		other.end()
		require.Eventually(t, func() bool { return a.hub.Subscribers() == 0 }, 10*time.Second, 5*time.Millisecond)
	})
	t.Run("a filter that is wrong, or needs somebody, is refused", func(t *testing.T) {
		got := a.subscribe(standard, "", `from: "2026-08-02", to: "2026-08-01"`).next()
		require.Equal(t, graph.CodeBadUserInput, got.code(t))
		require.Equal(t, "to", got.Errors[0].Extensions.Field)
		require.Equal(t, graph.CodeUnauthenticated, a.subscribe(standard, "", filter+", myOrigins: true").next().code(t))
	})
	t.Run("queries are answered by a stream, too", func(t *testing.T) {
		s := a.stream(standard, "", `{ __typename }`)
		require.Equal(t, "Query", s.next().Data["__typename"])
		require.Equal(t, "event: complete", s.line())
	})
}

// Who does not read is cut off: the server keeps neither what is to be sent nor the
// request that would send it.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	c := a.fill(1, 0)
	config := a.config
	config.Limits.WriteTime = 200 * time.Millisecond
	handler, err := graph.NewHandler(config)
	require.NoError(t, err)
	var open atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	body := `{"query": ` + marshal(t, `subscription { eventsChanged(filter: {from: "2026-08-01", to: "2026-08-31"}) { event { `+
		`a: extraInfo b: extraInfo c: extraInfo d: extraInfo e: extraInfo f: extraInfo g: extraInfo h: extraInfo } } }`) + `}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Eventually(t, func() bool { return a.hub.Subscribers() == 1 }, 10*time.Second, 5*time.Millisecond)
	extra := strings.Repeat("x", 1990)
	require.Eventually(t, func() bool {
		for range 10 {
			_, _, err := a.service.CreateEvent(t.Context(), domain.CreateEvent{EventDetails: domain.EventDetails{Date: "2026-08-02", BandID: c.bands[0], DanceHallID: c.halls[0], ExtraInfo: extra}})
			require.NoError(t, err)
		}
		return a.hub.Subscribers() == 0
	}, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool { return open.Load() == 0 }, 10*time.Second, 5*time.Millisecond)
}

// timed is an answer that takes down until when it may be written.
type timed struct {
	*httptest.ResponseRecorder
	write, read []time.Time
}

func (w *timed) SetWriteDeadline(at time.Time) error {
	w.write = append(w.write, at)
	return nil
}

func (w *timed) SetReadDeadline(at time.Time) error {
	w.read = append(w.read, at)
	return nil
}

func TestEachWriteOfAStreamHasItsTime(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	config := a.config
	config.Limits.WriteTime = time.Minute
	handler, err := graph.NewHandler(config)
	require.NoError(t, err)
	serve := func(accept string) *timed {
		r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(`{"query": "{ __typename }"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", accept)
		w := &timed{ResponseRecorder: httptest.NewRecorder()}
		handler.ServeHTTP(w, r)
		require.Contains(t, w.Body.String(), `"Query"`)
		return w
	}
	stream := serve("text/event-stream")
	require.Len(t, stream.write, strings.Count(stream.Body.String(), "\n\n"))
	for _, at := range stream.write {
		require.WithinDuration(t, time.Now().Add(time.Minute), at, 30*time.Second)
	}
	require.Equal(t, []time.Time{{}}, stream.read, "it may go on for longer than a request")
	require.Empty(t, serve("application/json").write, "the server's own limit holds")
}
