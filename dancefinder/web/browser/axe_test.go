package browser_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/web/webtest"
)

// axe is axe-core, which checks a page for what keeps people from using it.
var axe = sync.OnceValues(func() (string, error) {
	file, err := os.Open("testdata/axe.min.js.gz")
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // it is only read
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(unzipped)
	return string(text), err
})

// repeated is what is as what stands before it: more rows, areas and places of one kind.
const repeated = `[".rad:nth-child(n+4)", ".omraden li:nth-child(n+4)", ".karta a:nth-of-type(n+6)"].flatMap((s) => document.querySelector(s) ? [[s]] : [])`

// troublesFor returns what axe-core finds on the page as it is.
// With contrastOnly it looks at nothing but colours.
func (b *tab) troublesFor(what string, contrastOnly bool) (found []string) {
	b.t.Helper()
	script, err := axe()
	require.NoError(b.t, err)
	b.run(chromedp.Evaluate(script, nil))
	rules := `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`
	if b.count("details[open] > .lada") > 0 { // for a moment it covers what is under it, as a menu does
		rules += `, rules: {"target-size": {enabled: false}}`
	}
	if contrastOnly {
		rules = `["color-contrast"]`
	}
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		return chromedp.Evaluate(`axe.run({exclude: `+repeated+`}, {runOnly: `+rules+`}).then((r) =>
			r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.html.slice(0, 160) + " " + n.failureSummary)))`,
			&found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }).Do(ctx)
	}))
	for i := range found {
		found[i] = what + ": " + found[i]
	}
	return found
}

func TestAccessibility(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	site.Add(webtest.Elsewhere...)
	prefer(t, site, "Karin B.")
	states := append([]struct {
		name string
		path string
		do   func(*tab)
	}{
		{"login", "/login", nil},
		{"not found", "/nothing", nil},
		{"own dates", "/?period=egna&fran=2026-11-26&till=2026-11-30", nil},
		{"a home that is not found", "/?ny=Moora", nil},
		{"all of Sweden", "/?hem=Kiruna&inom=10", nil},
	}, screenshots...)
	for name, l := range map[string]look{"phone": phone, "desk": desk, "phone in the dark": phone.inTheDark(), "desk in the dark": desk.inTheDark()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, site, l.as("Karin B."), "/")
			var found []string
			for _, state := range states {
				if l.dark && !slices.Contains([]string{"list", "ignored", "map", "empty", "calendar", "bad"}, state.name) {
					continue
				}
				b.goTo(state.path)
				b.until(`document.documentElement.classList.contains("js")`)
				if state.name == "ignored" {
					b.run(chromedp.Evaluate(`document.querySelector("#andra").open = true`, nil))
				} else if state.do != nil {
					state.do(b)
				}
				found = append(found, b.troublesFor(fmt.Sprintf("%s, %s", state.name, name), l.dark)...)
			}
			b.forgive() // of what says 400 and 404
			require.Empty(t, found)
		})
	}
	t.Run("nobody logged in", func(t *testing.T) {
		t.Parallel()
		b := open(t, site, phone, "/?"+near)
		b.click(".rad .meny summary")
		require.Empty(t, b.troublesFor("anonymous", false))
	})
	t.Run("nothing is lost at twice the size of text, on 320 pixels, in forced colours", func(t *testing.T) {
		t.Parallel()
		l := look{width: 320, height: 700, forced: true, user: "Karin B."}
		b := open(t, site, l, "/")
		for _, path := range []string{"/", "/karta?karta=sverige", "/karta", "/?dolda=1", "/kalender"} {
			b.goTo(path)
			require.LessOrEqual(t, eval[int](b, "document.documentElement.scrollWidth"), 320, path)
			b.run(chromedp.Evaluate(`document.documentElement.style.fontSize = "200%"`, nil))
			if path == "/" {
				b.run(chromedp.Evaluate(`document.getElementById("andra").open = true`, nil))
			}
			require.LessOrEqual(t, eval[int](b, "document.documentElement.scrollWidth"), 320, "%s with large text", path)
		}
	})
}
