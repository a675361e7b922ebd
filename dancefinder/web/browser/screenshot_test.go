package browser_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/web/webtest"
)

// screenshots are the pages of the design's pictures, under the same names.
var screenshots = []struct {
	name string
	path string
	do   func(*tab)
}{
	{"list", "/?dag=2026-11-26", nil},
	{"filter", "/", func(b *tab) { b.run(chromedp.Evaluate(`document.getElementById("andra").open = true`, nil)) }},
	{"row-menu", "/?dag=2026-11-28", func(b *tab) { b.click(".rad:nth-child(3) .meny summary") }},
	{"ignored", "/?dag=2026-11-27&dolda=1", func(b *tab) {
		b.click(".dag:last-of-type .rad:not(.dold) .meny summary")
		b.click(".dag:last-of-type .rad .lada button")
		b.until(`document.querySelector("#klart .angra") === document.activeElement`)
	}},
	{"map", "/karta?plats=Dalarna|Rättvik|Rättvik", nil},
	{"map-sweden", "/karta?karta=sverige", nil},
	{"empty", "/?period=idag&hem=Mora&inom=25&kommun=Dalarna|Mora", nil},
	{"month", "/?period=manad", nil},
	{"calendar", "/kalender", nil},
	{"english", "/?lang=en", nil},
	{"bad", "/?dag=i+morgon", nil},
}

// TestScreenshots writes pictures of the page to the folder that SCREENSHOTS names, for
// people to look at beside the design's. Without it, it sees to it that each page is
// there and as wide as its screen.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	site.Add(webtest.Elsewhere...)
	prefer(t, site, "Karin B.")
	folder := os.Getenv("SCREENSHOTS")
	for suffix, l := range map[string]look{"360": phone, "1280": desk, "360-dark": phone.inTheDark(), "1280-dark": desk.inTheDark()} {
		if folder == "" && l.dark {
			continue // nobody looks, and it is as wide
		}
		b := open(t, site, l.as("Karin B."), "/")
		for _, shot := range screenshots {
			b.goTo(shot.path)
			b.until(`document.documentElement.classList.contains("js")`)
			if shot.do != nil {
				shot.do(b)
			}
			require.LessOrEqual(t, eval[int64](b, "document.documentElement.scrollWidth"), l.width, "%s scrolls sideways", shot.name)
			if folder != "" {
				var picture []byte
				b.run(chromedp.FullScreenshot(&picture, 100))
				require.NoError(t, os.MkdirAll(folder, 0o750))
				require.NoError(t, os.WriteFile(filepath.Join(folder, "dancefinder-"+shot.name+"-"+suffix+".png"), picture, 0o600))
			}
			if shot.name == "ignored" {
				b.click("#klart .angra")
				b.sees("visas igen")
			}
		}
		b.forgive() // of the page that says 400
	}
}

// prefer gives a user the homes and the hidden things of the design's pictures.
func prefer(t *testing.T, site *webtest.Site, name string) {
	t.Helper()
	subject := "demo:" + lower(name)
	for _, home := range []struct {
		name string
		at   domain.Coordinate
	}{{"Mora", domain.Coordinate{Latitude: 61.007, Longitude: 14.543}}, {"Falun", domain.Coordinate{Latitude: 60.6036, Longitude: 15.626}}} {
		_, _, err := site.Service.Prefer(t.Context(), domain.AddOrigin{Subject: subject, Origin: home.name, Coordinate: &home.at})
		require.NoError(t, err)
	}
	_, _, err := site.Service.Prefer(t.Context(), domain.IgnoreBand{Subject: subject, BandID: domain.BandID(webtest.Band("Lindvikarna"))})
	require.NoError(t, err)
	_, _, err = site.Service.Prefer(t.Context(), domain.IgnoreCity{Subject: subject, City: "Sälen"})
	require.NoError(t, err)
	_, _, err = site.Service.Prefer(t.Context(), domain.IgnoreState{Subject: subject, State: "Värmland"})
	require.NoError(t, err)
	site.Wait()
}
