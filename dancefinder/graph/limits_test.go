package graph_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/graph"
)

func TestLimits(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.fill(2, 4)
	small := a.serve(func(c *graph.Config) {
		c.Limits = graph.Limits{Body: 4000, Tokens: 200, Depth: 5, RootFields: 3, Aliases: 4, Complexity: 500}
	})
	standard := a.serve()
	for what, limit := range map[string]struct{ within, beyond, code string }{
		"tokens": {strings.Repeat("#\n", 100) + `{ __typename }`, `{ ` + strings.Repeat("__typename ", 200) + `}`, "GRAPHQL_PARSE_FAILED"},
		"depth":  {`{ bands(first: 1) { nodes { events { nodes { id } } } } }`, `{ bands(first: 1) { nodes { events(first: 1) { nodes { band { id } } } } } }`, graph.CodeDepth},
		"depth by fragments": {`{ bands(first: 1) { ...c } } fragment c on BandConnection { nodes { id } }`, `{ bands(first: 1) { ...c } } fragment c on BandConnection { nodes { events(first: 1) { ...e } } }
			fragment e on RelatedEventConnection { nodes { ... on Event { band { id } } } }`, graph.CodeDepth},
		"fields at the root":              {`{ a: me { subject } b: me { subject } __typename }`, `{ a: me { subject } b: me { subject } c: me { subject } __typename }`, graph.CodeRootFields},
		"fields at the root by fragments": {`{ ...q } fragment q on Query { me { subject } }`, `{ ...q ...r ... on Query { __typename } } fragment q on Query { a: __typename ...r } fragment r on Query { b: __typename }`, graph.CodeRootFields},
		"aliases":                         {`{ me { a: subject b: subject c: subject d: subject } }`, `{ me { a: subject b: subject c: subject d: subject e: subject } }`, graph.CodeAliases},
		"complexity":                      {`{ bands(first: 100) { nodes { id name } } }`, `{ bands(first: 200) { nodes { id name } } }`, "COMPLEXITY_LIMIT_EXCEEDED"},
		"complexity of lists in lists":    {`{ bands(first: 5) { nodes { events(first: 5) { nodes { id } } } } }`, `{ bands(first: 10) { nodes { events(first: 30) { nodes { id } } } } }`, "COMPLEXITY_LIMIT_EXCEEDED"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a.data(ask{url: small, query: limit.within})
			got := a.ask(ask{url: small, query: limit.beyond})
			require.Equal(t, limit.code, got.code(t), got.text)
			require.Nil(t, got.Data)
			a.data(ask{url: standard, query: strings.ReplaceAll(limit.beyond, strings.Repeat("__typename ", 200), "__typename")})
		})
	}
	t.Run("the size of a body and of a URL", func(t *testing.T) {
		t.Parallel()
		long := `{ bands(search: "` + strings.Repeat("x", 4000) + `") { nodes { id } } }`
		got := a.ask(ask{url: small, query: long})
		require.Equal(t, graph.CodeTooLarge, got.code(t))
		require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
		got = a.ask(ask{method: http.MethodGet, url: small + "?query=" + url.QueryEscape(long)})
		require.Equal(t, graph.CodeTooLarge, got.code(t))
		require.Equal(t, http.StatusRequestURITooLong, got.status)
	})
	t.Run("a page of 200 dances with all there is to know, and facets, is within the limits", func(t *testing.T) {
		t.Parallel()
		a.data(ask{url: standard, query: `{ events(filter: {` + july + `, near: [{at: {latitude: 60, longitude: 15}}]}, first: 200) {
			totalCount hiddenCount days { date count } pageInfo { hasNextPage endCursor }
			facets { states { name count municipalities { name count cities { name count } } } bands { id name count } danceHalls { id name count coordinate { latitude longitude } } }
			edges { cursor node { id date startTime endTime extraInfo cancelled created updated bandId danceHallId hiddenBy distance { km from }
				band { id name ignored } danceHall { id name city municipality state ignored coordinate { latitude longitude } } } } } }`})
	})
	t.Run("a document that is hard to validate is refused fast", func(t *testing.T) {
		t.Parallel()
		for _, query := range []string{
			`{ ` + strings.Repeat("me { subject } ", 240) + `}`,
			`{ ` + strings.Repeat(`me { ...f } `, 150) + `} fragment f on Me { subject }`,
			doubling(40),
			strings.Repeat("{ me", 20_000),
			strings.Repeat("[", 50_000),
		} {
			start := time.Now()
			got := a.ask(ask{url: standard, query: query})
			require.NotEmpty(t, got.Errors)
			require.Less(t, time.Since(start), 5*time.Second)
		}
	})
}

// doubling is a document whose fields are two to the power of n.
func doubling(n int) string {
	var text strings.Builder
	text.WriteString(`{ me { ...f0 } }`)
	for i := range n {
		fmt.Fprintf(&text, " fragment f%d on Me { ...f%d ...f%d }", i, i+1, i+1)
	}
	fmt.Fprintf(&text, " fragment f%d on Me { subject }", n)
	return text.String()
}

func TestTime(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	c := a.fill(2, 4)
	slow := a.serve(func(c *graph.Config) { c.Limits.Time = 1500 * time.Millisecond })
	lock, err := a.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = lock.Rollback(t.Context()) }()
	_, err = lock.Exec(t.Context(), "LOCK TABLE band")
	require.NoError(t, err)
	start := time.Now()
	got := a.ask(ask{url: slow, query: `{ bands { nodes { id } } }`})
	require.Equal(t, graph.CodeTimeout, got.code(t), got.text)
	require.Less(t, time.Since(start), 10*time.Second)
	require.NotContains(t, got.text, "context")

	// Part of an answer is answered.
	got = a.ask(ask{url: slow, query: `{ danceHall(id: "` + string(c.halls[0]) + `") { name } band(id: "` + string(c.bands[0]) + `") { name } }`})
	require.Equal(t, graph.CodeTimeout, got.code(t))
	require.Equal(t, []any{"band"}, got.Errors[0].Path)
	require.Equal(t, "Parken", got.at(t, "danceHall.name"))
}

func TestTransport(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	const query = `{ __typename }`
	mutation := `mutation { ignoreCity(city: "Mora") { consistencyToken } }`
	anna := a.token("anna")
	for what, c := range map[string]struct {
		ask    ask
		status int
		code   string
	}{
		"a form":                          {ask{body: "query=" + query, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, graph.CodeBadRequest},
		"plain text, as other sites can":  {ask{query: query, header: map[string]string{"Content-Type": "text/plain"}}, 415, graph.CodeBadRequest},
		"a form with files":               {ask{query: query, header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}}, 415, graph.CodeBadRequest},
		"no type":                         {ask{query: query, header: map[string]string{"Content-Type": ""}}, 415, graph.CodeBadRequest},
		"not JSON":                        {ask{body: `{"query": "SECRET`}, 400, graph.CodeBadRequest},
		"a list":                          {ask{body: `[{"query": "{ __typename }"}]`}, 400, graph.CodeBadRequest},
		"null":                            {ask{body: `null`}, 400, graph.CodeBadRequest},
		"wrong types":                     {ask{body: `{"query": 1}`}, 400, graph.CodeBadRequest},
		"another method":                  {ask{method: http.MethodPut, query: query}, 405, graph.CodeMethod},
		"a mutation by GET":               {ask{method: http.MethodGet, token: anna, url: a.url + "?query=" + url.QueryEscape(mutation)}, 405, graph.CodeMethod},
		"a subscription by GET":           {ask{method: http.MethodGet, url: a.url + "?query=" + url.QueryEscape(`subscription { eventsChanged(filter: {`+july+`}) { kind } }`)}, 405, graph.CodeMethod},
		"a subscription without a stream": {ask{query: `subscription { eventsChanged(filter: {` + july + `}) { kind } }`}, 406, graph.CodeNeedsStream},
		"a document that is none":         {ask{query: `{`}, 422, "GRAPHQL_PARSE_FAILED"},
		"a field that is none":            {ask{query: `{ bandz { id } }`}, 422, "GRAPHQL_VALIDATION_FAILED"},
		"a variable of a wrong type":      {ask{query: `query($n: Int!) { bands(first: $n) { nodes { id } } }`, variables: map[string]any{"n": "x"}}, 422, "GRAPHQL_VALIDATION_FAILED"},
		"an operation that is not there":  {ask{body: `{"query": "{ __typename }", "operationName": "X"}`}, 422, "GRAPHQL_VALIDATION_FAILED"},
		"a date that is none":             {ask{query: `query($d: Date!) { events(filter: {from: $d, to: $d}) { totalCount } }`, variables: map[string]any{"d": 20261205}}, 200, graph.CodeBadUserInput},
		"null where there is a default":   {ask{query: `query($n: Int) { bands(first: $n) { nodes { id } } }`, variables: map[string]any{"n": nil}}, 200, graph.CodeBadUserInput},
		"null in a filter":                {ask{query: `query($f: EventFilter!) { events(filter: $f) { totalCount } }`, variables: map[string]any{"f": map[string]any{"from": "2026-07-01", "to": "2026-07-01", "near": []any{nil}}}}, 422, "GRAPHQL_VALIDATION_FAILED"},
		"a value that is not of the enum": {ask{query: `query($s: EventSort!) { events(filter: {` + july + `}, sort: $s) { totalCount } }`, variables: map[string]any{"s": "NAME"}}, 422, "GRAPHQL_VALIDATION_FAILED"},
		"a float for an integer":          {ask{query: `query($n: Int!) { bands(first: $n) { nodes { id } } }`, variables: map[string]any{"n": 1.5}}, 422, "GRAPHQL_VALIDATION_FAILED"},
		"a number beyond the integers":    {ask{query: `query($n: Int!) { bands(first: $n) { nodes { id } } }`, variables: map[string]any{"n": 1e15}}, 200, graph.CodeBadUserInput},
		"an object for an id":             {ask{query: `query($i: ID!) { band(id: $i) { id } }`, variables: map[string]any{"i": map[string]any{}}}, 422, "GRAPHQL_VALIDATION_FAILED"},
		"no text":                         {ask{body: `{"query": "{ bands(search: \"\\u0000\") { nodes { id } } }"}`}, 200, graph.CodeBadUserInput},
		"a number that is too large":      {ask{query: `{ bands(first: 99999999999999999999) { nodes { id } } }`}, 422, "GRAPHQL_VALIDATION_FAILED"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if c.ask.url == "" {
				c.ask.url = a.url
			}
			got := a.ask(c.ask)
			require.Equal(t, c.code, got.code(t), got.text)
			require.Equal(t, c.status, got.status, got.text)
			require.NotContains(t, got.text, "SECRET")
			require.Equal(t, "no-store", got.header.Get("Cache-Control"))
			require.NotEmpty(t, got.header.Get("Request-Id"))
		})
	}
	t.Run("a mutation by GET has changed nothing", func(t *testing.T) {
		require.Equal(t, []any{}, a.data(ask{url: a.url, token: anna, query: `{ me { ignoredCities } }`}).at(t, "me.ignoredCities"))
	})
	t.Run("nothing allows a page of another site to read an answer", func(t *testing.T) {
		got := a.data(ask{url: a.url, query: query, header: map[string]string{"Origin": "https://evil.example"}})
		for name := range got.header {
			require.NotContains(t, name, "Access-Control")
		}
	})
}

func TestIntrospection(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	production := a.url
	development := a.serve(func(c *graph.Config) { c.Development = true })
	text, err := os.ReadFile("testdata/introspection.graphql")
	require.NoError(t, err)
	got := a.data(ask{url: development, query: string(text)})
	require.Contains(t, got.text, "ignoreMunicipality")
	require.Contains(t, a.ask(ask{url: development, query: `{ bandz { id } }`}).text, "Did you mean")
	for _, query := range []string{string(text), `{ __schema { queryType { name } } }`, `{ __type(name: "Me") { fields { name } } }`} {
		got := a.ask(ask{url: production, query: query})
		require.NotEmpty(t, got.Errors)
		require.NotContains(t, got.text, "ignoredCities")
	}
	for _, query := range []string{`{ bandz { id } }`, `{ band { id } }`, `{ me { subjec } }`, `{ events(filter: {fro: "x"}) { totalCount } }`, `{ events(filter: {` + july + `}, sort: DAT) { totalCount } }`, `{ me }`} {
		require.NotContains(t, a.ask(ask{url: production, query: query}).text, "Did you mean", query)
	}
}

func TestFault(t *testing.T) {
	t.Parallel()
	a := newApp(t)
	a.fill(1, 1)
	_, err := a.pool.Exec(t.Context(), "ALTER TABLE band RENAME name TO title")
	require.NoError(t, err)
	got := a.ask(ask{query: `{ bands { nodes { name } } }`})
	require.Equal(t, graph.CodeInternal, got.code(t))
	id := got.Errors[0].Extensions.RequestID
	require.Equal(t, got.header.Get("Request-Id"), id)
	for _, internal := range []string{"SQLSTATE", "does not exist", "title", "SELECT", "pgx"} {
		require.NotContains(t, got.text, internal)
	}
	require.Contains(t, a.log.String(), id)
	require.Contains(t, a.log.String(), "42703", "the log has what happened")
	// What does not need it is answered.
	got = a.ask(ask{query: `{ events(filter: {` + july + `}) { nodes { date band { name } danceHall { name } } } }`})
	require.Equal(t, graph.CodeInternal, got.code(t))
	require.Equal(t, "2026-07-01", got.at(t, "events.nodes.0.date"))
	require.Equal(t, "Parken", got.at(t, "events.nodes.0.danceHall.name"))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := graph.NewHandler(graph.Config{Limits: graph.Limits{Depth: -1}})
	for _, problem := range []string{"Pool", "Service", "Hub", "Consistency", "negative"} {
		require.ErrorContains(t, err, problem)
	}
}
