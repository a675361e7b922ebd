package web_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"github.com/dancefinder/eventsourcing/dancefinder/web/webtest"
	"github.com/dancefinder/eventsourcing/readview/readviewtest"
)

func TestMain(m *testing.M) { readviewtest.Main(m) }

// visitor is somebody with a browser that runs no script.
type visitor struct {
	t      *testing.T
	site   *webtest.Site
	client *http.Client
}

// visit returns a visitor, logged in as user unless that is empty.
func visit(t *testing.T, site *webtest.Site, user string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	v := &visitor{t, site, &http.Client{Jar: jar, Transport: transport}}
	if user != "" {
		answer := v.post("/login", url.Values{"name": {user}, "next": {"/"}})
		require.Equal(t, http.StatusOK, answer.status)
	}
	return v
}

// answer is what a visitor gets.
type answer struct {
	status int
	header http.Header
	path   string // where it is from, after redirects
	body   string
}

func (v *visitor) do(request *http.Request) answer {
	v.t.Helper()
	response, err := v.client.Do(request)
	require.NoError(v.t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(v.t, err)
	require.NoError(v.t, response.Body.Close())
	return answer{response.StatusCode, response.Header, response.Request.URL.RequestURI(), string(body)}
}

func (v *visitor) get(path string) answer {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, v.site.URL+path, nil)
	require.NoError(v.t, err)
	return v.do(request)
}

func (v *visitor) post(path string, form url.Values) answer {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, v.site.URL+path, strings.NewReader(form.Encode()))
	require.NoError(v.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(request)
}

var space = regexp.MustCompile(`\s+`)

// text returns what the page says, without what only assistive technology hears.
func (a answer) text(t *testing.T) string {
	t.Helper()
	document, err := html.Parse(strings.NewReader(a.body))
	require.NoError(t, err)
	var b strings.Builder
	var walk func(*html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
		if n.Data == "head" || n.Data == "script" {
			return
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(document)
	return strings.TrimSpace(space.ReplaceAllString(b.String(), " "))
}

// bands returns the names of the bands in the list, in its order.
func (a answer) bands() (names []string) {
	for _, match := range regexp.MustCompile(`<h3[^>]*>(?:<s>)?([^<]+)`).FindAllStringSubmatch(a.body[strings.Index(a.body, "<main"):], -1) {
		names = append(names, html.UnescapeString(match[1]))
	}
	return names
}
