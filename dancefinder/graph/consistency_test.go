package graph_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/graph"
	"github.com/dancefinder/eventsourcing/eventsourced"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
	"github.com/dancefinder/eventsourcing/internal/soak"
	"github.com/dancefinder/eventsourcing/readview"
)

func TestReadYourOwnWrites(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	patient, err := readview.NewConsistency(t.Context(), a.manager, a.pool, readview.ConsistencyConfig{Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}, Limit: 20 * time.Second})
	require.NoError(t, err)
	a.serve(func(config *graph.Config) { config.Consistency = patient }) // on a machine that may be busy
	c := a.fill(4, 40)
	const users = 8
	rounds := soak.Times(25, 125)
	var each sync.WaitGroup
	stale := make([]int, users)
	for user := range users {
		token := a.token(fmt.Sprintf("user%d", user))
		each.Go(func() {
			for round := range rounds {
				field, band, hidden := "ignoreBand", string(c.bands[round/2%4]), true
				if round%2 == 1 {
					field, hidden = "unignoreBand", false
				}
				wrote := a.ask(ask{token: token, query: `mutation { ` + field + `(id: "` + band + `") { consistencyToken errors { code } } }`})
				q := ask{token: token, query: `{ events(filter: {` + july + `, bandIds: ["` + band + `"]}) { nodes { id } } }`}
				// By the header, or by the extension.
				if round%3 == 0 {
					q.extensions = map[string]any{"consistency": map[string]any{"token": wrote.Extensions.Consistency.Token}}
				} else {
					q.header = map[string]string{"Consistency-Token": wrote.header.Get("Consistency-Token")}
				}
				got := a.ask(q)
				events, _ := got.Data["events"].(map[string]any)
				nodes, answered := events["nodes"].([]any)
				satisfied := got.Extensions.Consistency.Satisfied
				if !answered || (len(nodes) == 0) != hidden || satisfied == nil || !*satisfied {
					stale[user]++
				}
			}
		})
	}
	each.Wait()
	require.Equal(t, make([]int, users), stale, "of %d rounds each", rounds)
}

func TestConsistency(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.fill(2, 4)
	anna := a.token("anna")
	ignore := func() answer {
		return a.data(ask{token: anna, query: `mutation { ignoreCity(city: "Mora") { consistencyToken } unignoreCity(city: "Mora") { consistencyToken } }`})
	}
	const mine = `{ me { ignoredCities } }`

	t.Run("of several mutations the token is that of the last", func(t *testing.T) {
		got := ignore()
		require.Equal(t, got.at(t, "unignoreCity.consistencyToken"), got.Extensions.Consistency.Token)
		require.NotEqual(t, got.at(t, "ignoreCity.consistencyToken"), got.Extensions.Consistency.Token)
	})
	t.Run("without a token nothing is said", func(t *testing.T) {
		got := a.data(ask{token: anna, query: mine})
		require.Nil(t, got.Extensions.Consistency.Satisfied)
		require.Empty(t, got.header.Get("Consistency"))
	})
	t.Run("forged, foreign and future tokens are refused, and the reason is not told", func(t *testing.T) {
		keys := readview.ConsistencyConfig{Keys: [][]byte{bytes.Repeat([]byte("x"), readview.MinKey)}}
		forger, err := readview.NewConsistency(t.Context(), a.manager, a.pool, keys)
		require.NoError(t, err)
		same := readview.ConsistencyConfig{Keys: [][]byte{bytes.Repeat([]byte("k"), readview.MinKey)}}
		ahead, err := readview.NewConsistency(t.Context(), a.manager, a.pool, same) // whose head is not this one's
		require.NoError(t, err)
		future := ahead.Token(eventsourced.Position(1 << 60))
		other := newApp(t)
		foreign := other.data(ask{token: other.token("anna"), query: choose(`ignoreCity(city: "Mora")`)}).Extensions.Consistency.Token
		for what, token := range map[string]string{"forged": forger.Token(1), "future": future, "foreign": foreign, "none": "x"} {
			for _, query := range []string{mine, `{ __typename }`, `mutation { ignoreCity(city: "Sveg") { consistencyToken } }`} {
				got := a.ask(ask{token: anna, query: query, header: map[string]string{"Consistency-Token": token}})
				require.Equal(t, graph.CodeBadConsistencyToken, got.code(t), what)
				require.NotContains(t, got.text, "position")
			}
		}
		require.NotContains(t, a.data(ask{token: anna, query: mine}).text, "Sveg", "nothing was done")
	})
	t.Run("what does not name the extension's members is refused", func(t *testing.T) {
		for _, extension := range []any{"x", map[string]any{"token": 1}, map[string]any{"strict": "yes"}, map[string]any{"after": "x"}} {
			got := a.ask(ask{query: mine, extensions: map[string]any{"consistency": extension}})
			require.Equal(t, graph.CodeBadRequest, got.code(t), extension)
		}
		require.Equal(t, graph.CodeBadRequest, a.ask(ask{query: mine, header: map[string]string{"Consistency-Token": "x", "Consistency": "lax"}}).code(t))
	})
	t.Run("a projection that is paused is reported at once, or fails the strict", func(t *testing.T) {
		require.NoError(t, a.manager.Pause(t.Context(), "userpreferences"))
		wrote := ignore()
		token := map[string]string{"Consistency-Token": wrote.Extensions.Consistency.Token}
		got := a.data(ask{token: anna, query: mine, header: token})
		require.False(t, *got.Extensions.Consistency.Satisfied)
		require.Equal(t, "userpreferences", got.Extensions.Consistency.Projections[0].Name)
		require.Equal(t, consumer.Paused, got.Extensions.Consistency.Projections[0].State)
		require.Equal(t, "stale", got.header.Get("Consistency"))
		got = a.ask(ask{token: anna, query: mine, header: map[string]string{"Consistency-Token": token["Consistency-Token"], "Consistency": "strict"}})
		require.Equal(t, graph.CodeConsistencyTimeout, got.code(t))
		require.Nil(t, got.Data)
		got = a.ask(ask{token: anna, query: mine, extensions: map[string]any{"consistency": map[string]any{"token": token["Consistency-Token"], "strict": true}}})
		require.Equal(t, graph.CodeConsistencyTimeout, got.code(t))
		require.False(t, *got.Extensions.Consistency.Satisfied)

		// A query that does not read it is not concerned.
		got = a.data(ask{token: anna, query: `{ bands { nodes { name } } }`, header: token})
		require.True(t, *got.Extensions.Consistency.Satisfied)
		require.Len(t, got.Extensions.Consistency.Projections, 1)
		require.True(t, *a.data(ask{query: `{ events(filter: {` + july + `}) { totalCount } }`, header: token}).Extensions.Consistency.Satisfied, "nobody's preferences are read")

		// The mutation itself is carried out, and says that it can't be seen.
		got = a.data(ask{token: anna, query: choose(`ignoreCity(city: "Orsa")`)})
		require.False(t, *got.Extensions.Consistency.Satisfied)
		require.NotNil(t, got.at(t, "ignoreCity.consistencyToken"))
		require.NoError(t, a.manager.Resume(t.Context(), "userpreferences"))
		token["Consistency-Token"] = got.Extensions.Consistency.Token
		require.Equal(t, []any{"Orsa"}, a.data(ask{token: anna, query: mine, header: token}).at(t, "me.ignoredCities"))
	})
	t.Run("each query waits for what it reads", func(t *testing.T) {
		_, at, err := a.service.CreateBand(t.Context(), domain.CreateBand{Name: "The last"})
		require.NoError(t, err)
		token := map[string]string{"Consistency-Token": a.config.Consistency.Token(at)}
		for query, names := range map[string][]string{
			`{ me { ignoredBands { id } } }`:                                                                               {"userpreferences"},
			`{ me { ignoredBands { name } ignoredDanceHalls { name } } }`:                                                  {"band", "dancehall", "userpreferences"},
			`{ bands { nodes { name } } }`:                                                                                 {"band"},
			`{ bands { nodes { ignored } } }`:                                                                              {"band", "userpreferences"},
			`{ danceHalls { nodes { events { nodes { band { name } } } } } }`:                                              {"band", "dancehall", "event"},
			`{ events(filter: {` + july + `}) { totalCount } }`:                                                            {"dancehall", "event", "userpreferences"},
			`{ events(filter: {` + july + `, search: "x"}) { totalCount } }`:                                               {"band", "dancehall", "event", "userpreferences"},
			`{ events(filter: {` + july + `}) { nodes { ...e } } } fragment e on Event { ... on Event { band { name } } }`: {"band", "dancehall", "event", "userpreferences"},
			`{ places(search: "m") { name } }`:                                                                             nil,
		} {
			got := a.data(ask{token: anna, query: query, header: token})
			var waited []string
			for _, p := range got.Extensions.Consistency.Projections {
				waited = append(waited, p.Name)
			}
			require.Equal(t, names, waited, query)
		}
	})
}
