package graph_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/readview"
)

// ask is a request of a test.
type ask struct {
	url, method, token, body string
	query                    string
	variables                map[string]any
	extensions               map[string]any
	header                   map[string]string
}

// answer is what came back.
type answer struct {
	Data       map[string]any
	Errors     []answerError
	Extensions struct {
		Consistency struct {
			Token       string
			Satisfied   *bool
			Projections []readview.ProjectionProgress
		}
	}
	status int
	header http.Header
	text   string
}

type answerError struct {
	Message    string
	Path       []any
	Extensions struct{ Code, Field, RequestID string }
}

// code returns that of the only error.
func (a answer) code(t *testing.T) string {
	t.Helper()
	require.Len(t, a.Errors, 1, a.text)
	return a.Errors[0].Extensions.Code
}

func (a *app) ask(q ask) answer {
	a.t.Helper()
	body := q.body
	if body == "" {
		text, err := json.Marshal(map[string]any{"query": q.query, "variables": q.variables, "extensions": q.extensions})
		require.NoError(a.t, err)
		body = string(text)
	}
	if q.method == "" {
		q.method = http.MethodPost
	}
	if q.url == "" {
		q.url = a.url
	}
	if q.method != http.MethodPost {
		body = ""
	}
	r, err := http.NewRequestWithContext(a.t.Context(), q.method, q.url, strings.NewReader(body))
	require.NoError(a.t, err)
	r.Header.Set("Content-Type", "application/json")
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(a.t, err)
	defer func() { require.NoError(a.t, response.Body.Close()) }()
	text, err := io.ReadAll(response.Body)
	require.NoError(a.t, err)
	got := answer{status: response.StatusCode, header: response.Header, text: string(text)}
	require.NoError(a.t, json.Unmarshal(text, &got), string(text))
	return got
}

// data asks and requires that there is no error.
func (a *app) data(q ask) answer {
	a.t.Helper()
	got := a.ask(q)
	require.Empty(a.t, got.Errors, got.text)
	return got
}

// at returns what lies in the data at a path of names and indexes, such as "events.nodes.0.id".
func (a answer) at(t *testing.T, path string) any {
	t.Helper()
	var here any = a.Data
	for part := range strings.SplitSeq(path, ".") {
		switch level := here.(type) {
		case map[string]any:
			here = level[part]
		case []any:
			i := int(part[0] - '0')
			require.Less(t, i, len(level), "%s in %s", path, a.text)
			here = level[i]
		default:
			require.Failf(t, "nothing there", "%s in %s", path, a.text)
		}
	}
	return here
}
