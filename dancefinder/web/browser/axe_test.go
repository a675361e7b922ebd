package browser_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
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
	if !b.hasAxe { // sent once: it is large
		script, err := axe()
		require.NoError(b.t, err)
		b.run(chromedp.Evaluate(script, nil), chromedp.ActionFunc(func(ctx context.Context) error {
			_, err := page.AddScriptToEvaluateOnNewDocument(script).Do(ctx)
			return err
		}))
		b.hasAxe = true
	}
	rules := `["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]`
	if b.count("details[open] > .lada, #klart .angra") > 0 { // for a moment it covers what is under it, as a menu does
		rules += `, rules: {"target-size": {enabled: false}}`
	}
	if contrastOnly {
		rules = `["color-contrast"]`
	}
	b.run(chromedp.ActionFunc(func(ctx context.Context) error {
		return chromedp.Evaluate(`axe.run({exclude: `+repeated+`}, {resultTypes: ["violations"], runOnly: `+rules+`}).then((r) =>
			r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.html.slice(0, 160) + " " + n.failureSummary)))`,
			&found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }).Do(ctx)
	}))
	for i := range found {
		found[i] = what + ": " + found[i]
	}
	return found
}

// TestPages looks at each page in each look: it is as wide as its screen, and axe-core
// finds nothing: on a phone, and where a wide screen or the dark has something of its own.
// Where SCREENSHOTS names a folder, it writes pictures of them there, for
// people to look at beside the design's.
func TestPages(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	site.Add(webtest.Elsewhere...)
	folder := os.Getenv("SCREENSHOTS")
	for name, l := range map[string]look{ // each somebody's, as they hide things
		"360": phone.as("Karin B."), "1280": desk.as("Karin C."), "360-dark": phone.inTheDark().as("Karin D."), "1280-dark": desk.inTheDark().as("Karin E."),
	} {
		prefer(t, site, l.user)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, site, l, "/")
			var found []string
			for _, shown := range pages {
				if folder == "" && l.dark && !shown.dark {
					continue // nobody looks, and its colours are those of others
				}
				b.goTo(shown.path)
				b.until(`document.documentElement.classList.contains("js")`)
				if shown.do != nil {
					shown.do(b)
				}
				require.LessOrEqual(t, eval[int64](b, "document.documentElement.scrollWidth"), l.width, "%s scrolls sideways", shown.name)
				if l.width == phone.width || shown.wide {
					found = append(found, b.troublesFor(fmt.Sprintf("%s, %s", shown.name, name), l.dark)...)
				}
				if folder != "" {
					b.picture(filepath.Join(folder, "dancefinder-"+shown.name+"-"+name+".png"))
				}
				if shown.name == "ignored" {
					b.click("#klart .angra")
					b.sees("visas igen")
				}
			}
			b.forgive() // of what says 400 and 404
			require.Empty(t, found)
		})
	}
}

func TestAccessibility(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	site.Add(webtest.Elsewhere...)
	prefer(t, site, "Karin B.")
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
