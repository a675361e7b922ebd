package graph_test

import (
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/graph"
)

func TestGraphiQL(t *testing.T) {
	t.Parallel()
	handler := graph.GraphiQL(`/graphql?"><script>`)
	get := func(method, path, encoding, tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Accept-Encoding", encoding)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	page := get("GET", "/graphiql/", "", "")
	require.Equal(t, http.StatusOK, page.Code)
	require.Contains(t, page.Body.String(), `data-endpoint="/graphql?&#34;&gt;&lt;script&gt;"`)
	require.NotContains(t, page.Header().Get("Content-Security-Policy"), "unsafe")
	require.NotRegexp(t, `https?://|<style|<script>|\son\w+=`, page.Body.String(), "nothing inline, nothing from elsewhere")
	files := regexp.MustCompile(`(?:src|href)="([^"]+\.(?:js|css))"`).FindAllStringSubmatch(page.Body.String(), -1)
	require.Len(t, files, 6)
	for _, file := range files {
		plain, packed := get("GET", "/graphiql/"+file[1], "", ""), get("GET", "/graphiql/"+file[1], "br, gzip", "")
		require.Equal(t, http.StatusOK, plain.Code, file[1])
		require.Empty(t, plain.Header().Get("Content-Encoding"))
		require.LessOrEqual(t, packed.Body.Len(), plain.Body.Len())
		require.Contains(t, plain.Header().Get("Content-Type"), map[string]string{".css": "css", ".js": "javascript"}[path.Ext(file[1])])
		require.Equal(t, http.StatusNotModified, get("GET", "/graphiql/"+file[1], "", plain.Header().Get("ETag")).Code)
	}
	for _, path := range []string{"/graphiql/index.html", "/graphiql/graphiql.min.js.gz", "/graphiql/update.sh", "/graphiql/../x", "/graphiql/.."} {
		require.Equal(t, http.StatusNotFound, get("GET", path, "", "").Code, path)
	}
	require.Equal(t, http.StatusMethodNotAllowed, get("POST", "/graphiql/", "", "").Code)
}
