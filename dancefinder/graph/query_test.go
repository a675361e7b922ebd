package graph_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
)

const july = `from: "2026-07-01", to: "2026-07-31"`

func TestStatements(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.fill(26, 210)
	shapes := map[string]string{
		"nodes": `nodes { id band { name } danceHall { name } }`,
		"edges": `edges { node { id band { name } danceHall { name } } }`,
		"both, under two names": `nodes { id a: band { name } b: band { id } danceHall { city } }
			edges { cursor node { band { name } danceHall { name } } } pageInfo { hasNextPage }`,
	}
	for what, shape := range shapes {
		for _, first := range []int{10, 50, 200} {
			n := a.sql.during(func() {
				got := a.data(ask{query: `{ events(filter: {` + july + `}, first: ` + strconv.Itoa(first) + `) { ` + shape + ` } }`})
				require.NotContains(t, got.text, "null")
			})
			require.EqualValues(t, 3, n, "%s, %d dances", what, first)
		}
	}
	require.EqualValues(t, 4, a.sql.during(func() {
		a.data(ask{query: `{ events(filter: {` + july + `}) { totalCount hiddenCount days { count } facets { bands { name } } nodes { band { name } danceHall { name } } } }`})
	}), "all that is counted is one statement more")
	require.EqualValues(t, 4, a.sql.during(func() {
		a.data(ask{query: `{ bands(first: 20) { nodes { name events(from: "2026-07-01", first: 5) { nodes { band { name } danceHall { name } } } } } }`})
	}), "the dances of all bands together")
	require.EqualValues(t, 2, a.sql.during(func() {
		a.data(ask{token: a.token("anna"), query: `{ bands { nodes { ignored } } }`})
	}), "what somebody ignores is asked once")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	c := a.fill(4, 24)
	events := func(rest string) string { return `{ events(` + rest + ` }` }

	t.Run("pages follow each other, whatever their size", func(t *testing.T) {
		t.Parallel()
		seen, after := map[any]bool{}, "null"
		for page := range 4 {
			got := a.data(ask{query: events(`filter: {` + july + `}, first: 7, after: ` + after + `) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id date startTime endTime } } }`)})
			require.EqualValues(t, 24, got.at(t, "events.totalCount"))
			require.Equal(t, page < 3, got.at(t, "events.pageInfo.hasNextPage"))
			require.Equal(t, page > 0, got.at(t, "events.pageInfo.hasPreviousPage"))
			edges := got.at(t, "events.edges").([]any)
			for _, edge := range edges {
				seen[edge.(map[string]any)["node"].(map[string]any)["id"]] = true
			}
			require.Equal(t, edges[len(edges)-1].(map[string]any)["cursor"], got.at(t, "events.pageInfo.endCursor"))
			after = strconv.Quote(got.at(t, "events.pageInfo.endCursor").(string))
		}
		require.Len(t, seen, 24)
	})
	t.Run("an empty page has no cursors", func(t *testing.T) {
		t.Parallel()
		got := a.data(ask{query: events(`filter: {from: "2030-01-01", to: "2030-01-01"}) { totalCount nodes { id } edges { cursor } pageInfo { hasNextPage startCursor endCursor } facets { states { name } bands { name } danceHalls { name } } days { date } }`)})
		require.JSONEq(t, `{"data":{"events":{"totalCount":0,"nodes":[],"edges":[],"pageInfo":{"hasNextPage":false,"startCursor":null,"endCursor":null},"facets":{"states":[],"bands":[],"danceHalls":[]},"days":[]}}}`, got.text)
	})
	t.Run("the nearest come first, with their distance, and none beyond the limit", func(t *testing.T) {
		t.Parallel()
		got := a.data(ask{query: events(`filter: {` + july + `, near: [{name: "Mora", at: {latitude: 61.0, longitude: 14.5}}], maxKm: 100}, sort: DISTANCE, first: 200) { nodes { distance { km from } danceHall { city coordinate { latitude } } } }`)})
		nodes := got.at(t, "events.nodes").([]any)
		require.Len(t, nodes, 12, "at Mora and Falun")
		require.Equal(t, "Mora", got.at(t, "events.nodes.0.danceHall.city"))
		require.Equal(t, "Mora", got.at(t, "events.nodes.0.distance.from"))
		require.InDelta(t, 2.4, got.at(t, "events.nodes.0.distance.km"), 0.2)
		got = a.data(ask{query: events(`filter: {` + july + `, near: [{at: {latitude: 61.0, longitude: 14.5}}], maxKm: 100, includeUnlocated: true}) { totalCount }`)})
		require.EqualValues(t, 18, got.at(t, "events.totalCount"))
	})
	t.Run("areas, bands, halls and a search narrow the choice", func(t *testing.T) {
		t.Parallel()
		for filter, n := range map[string]int{
			`states: ["Dalarna"]`: 12,
			`states: ["Skåne"], municipalities: [{name: "Mora"}]`: 12,
			`cities: [{name: "Malmö", state: "Skåne"}]`:           6,
			`cities: [{name: "Malmö", state: "Dalarna"}]`:         0,
			`search: "falu"`:                                             6,
			`search: "band b"`:                                           6,
			`search: "100%"`:                                             0,
			`bandIds: ["` + string(c.bands[0]) + `"]`:                    6,
			`danceHallIds: ["` + string(c.halls[3]) + `"]`:               6,
			`bandIds: [], states: [], search: "", maxKm: null, near: []`: 24,
		} {
			got := a.data(ask{query: events(`filter: {` + july + `, ` + filter + `}) { totalCount nodes { id } }`)})
			require.EqualValues(t, n, got.at(t, "events.totalCount"), filter)
			require.Len(t, got.at(t, "events.nodes"), n, filter)
		}
	})
	t.Run("facets count what another choice would show", func(t *testing.T) {
		t.Parallel()
		got := a.data(ask{query: events(`filter: {` + july + `, states: ["Skåne"]}) { facets { unknownAreaCount states { name count municipalities { name count cities { name count } } } bands { name count } danceHalls { id count coordinate { latitude } } } }`)})
		require.JSONEq(t, `[
			{"name": "Dalarna", "count": 12, "municipalities": [{"name": "Falun", "count": 6, "cities": [{"name": "Falun", "count": 6}]}, {"name": "Mora", "count": 6, "cities": [{"name": "Mora", "count": 6}]}]},
			{"name": "Norge", "count": 6, "municipalities": [{"name": "Norge", "count": 6, "cities": []}]},
			{"name": "Skåne", "count": 6, "municipalities": [{"name": "Malmö", "count": 6, "cities": [{"name": "Malmö", "count": 6}]}]}
		]`, marshal(t, got.at(t, "events.facets.states")))
		require.JSONEq(t, `[{"name": "Band C", "count": 6}]`, marshal(t, got.at(t, "events.facets.bands")))
		require.Len(t, got.at(t, "events.facets.danceHalls"), 1)
	})
	t.Run("by GET, too", func(t *testing.T) {
		t.Parallel()
		got := a.data(ask{method: http.MethodGet, url: a.url + "?query=" + url.QueryEscape(`{ band(id: "`+string(c.bands[1])+`") { name events(from: "2026-07-01", first: 2) { nodes { date } pageInfo { hasNextPage } } } }`)})
		require.JSONEq(t, `{"data":{"band":{"name":"Band B","events":{"nodes":[{"date":"2026-07-01"},{"date":"2026-07-01"}],"pageInfo":{"hasNextPage":true}}}}}`, got.text)
	})
	t.Run("wrong values are named", func(t *testing.T) {
		t.Parallel()
		for query, field := range map[string]string{
			events(`filter: {from: "2026-07-02", to: "2026-07-01"}) { totalCount }`):                       "to",
			events(`filter: {from: "2026-01-01", to: "2027-06-01"}) { nodes { id } }`):                     "to",
			events(`filter: {` + july + `, maxKm: 0}) { nodes { id } }`):                                   "maxKm",
			events(`filter: {` + july + `, maxKm: -1}) { nodes { id } }`):                                  "maxKm",
			events(`filter: {` + july + `, bandIds: ["x"]}) { nodes { id } }`):                             "bandIds",
			events(`filter: {` + july + `, near: [{at: {latitude: 91, longitude: 0}}]}) { nodes { id } }`): "near",
			events(`filter: {` + july + `}, first: 0) { nodes { id } }`):                                   "first",
			events(`filter: {` + july + `}, first: 201) { nodes { id } }`):                                 "first",
			events(`filter: {` + july + `}, after: "x") { nodes { id } }`):                                 "after",
			`{ band(id: "1") { name } }`:                                                                   "id",
			`{ places(search: "m", first: 51) { name } }`:                                                  "first",
		} {
			got := a.ask(ask{query: query})
			require.Equal(t, "BAD_USER_INPUT", got.code(t), query)
			require.Equal(t, field, got.Errors[0].Extensions.Field, query)
		}
		require.Equal(t, "BAD_USER_INPUT", a.ask(ask{query: events(`filter: {from: "yesterday", to: "2026-07-01"}) { totalCount }`)}).code(t))
	})
	t.Run("a cursor of one order is none of the other, nor of another list", func(t *testing.T) {
		t.Parallel()
		got := a.data(ask{query: events(`filter: {` + july + `}) { pageInfo { endCursor } }`)})
		cursor := got.at(t, "events.pageInfo.endCursor").(string)
		for _, query := range []string{
			events(`filter: {` + july + `}, sort: DISTANCE, after: "` + cursor + `") { nodes { id } }`), `{ bands(after: "` + cursor + `") { nodes { id } } }`,
		} {
			require.Equal(t, "after", a.ask(ask{query: query}).Errors[0].Extensions.Field)
		}
	})
	t.Run("places are suggested", func(t *testing.T) {
		t.Parallel()
		got := a.data(ask{query: `{ places(search: "malun", first: 3) { label name municipality state coordinate { latitude longitude } } }`})
		require.Equal(t, "Malung", got.at(t, "places.0.name"))
	})
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	c := a.fill(2, 4)
	_, _, err := a.service.DeleteBand(t.Context(), domain.DeleteBand{BandID: c.bands[0]})
	require.NoError(t, err)
	_, at, err := a.service.DeleteDanceHall(t.Context(), domain.DeleteDanceHall{DanceHallID: c.halls[1]})
	require.NoError(t, err)
	a.wait(at)
	got := a.data(ask{query: fmt.Sprintf(`{
		band(id: "%s") { name }
		danceHall(id: "%s") { name }
		event(id: "00000000-0000-0000-0000-000000000000") { date }
		events(filter: {%s}) { nodes { bandId danceHallId band { id } danceHall { id } distance { km } } facets { unknownAreaCount bands { name count } } }
	}`, c.bands[0], c.halls[1], july)})
	require.Nil(t, got.at(t, "band"))
	require.Nil(t, got.at(t, "danceHall"))
	require.Nil(t, got.at(t, "event"))
	require.Len(t, got.at(t, "events.nodes"), 4, "they are there all the same")
	unknown := 0
	for _, node := range got.at(t, "events.nodes").([]any) {
		event := node.(map[string]any)
		require.Equal(t, event["bandId"] == string(c.bands[0]), event["band"] == nil)
		require.Equal(t, event["danceHallId"] == string(c.halls[1]), event["danceHall"] == nil)
		if event["band"] == nil {
			unknown++
		}
	}
	require.Equal(t, 2, unknown)
	require.EqualValues(t, 1, got.at(t, "events.facets.unknownAreaCount"))
	require.Contains(t, marshal(t, got.at(t, "events.facets.bands")), `{"count":2,"name":null}`)
}
