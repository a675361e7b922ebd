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

// pages are those of the design's pictures, under the same names, and some more.
var pages = []struct {
	name string
	path string
	wide bool // a wide screen shows more than a phone
	dark bool // it has colours of its own
	do   func(*tab)
}{
	{"list", "/?dag=2026-11-26", true, true, nil},
	{"filter", "/", true, false, func(b *tab) { b.run(chromedp.Evaluate(`document.getElementById("andra").open = true`, nil)) }},
	{"row-menu", "/?dag=2026-11-28", true, false, func(b *tab) { b.click(".rad:nth-child(3) .meny summary") }},
	{"ignored", "/?dag=2026-11-27&dolda=1", false, true, func(b *tab) {
		b.click(".dag:last-of-type .rad:not(.dold) .meny summary")
		b.click(".dag:last-of-type .meny[open] .lada button")
		b.until(`document.querySelector("#klart .angra") === document.activeElement`)
	}},
	{"ignored-filter", "/?dag=2026-11-27&dolda=1", false, false, func(b *tab) { b.run(chromedp.Evaluate(`document.getElementById("andra").open = true`, nil)) }},
	{"map", "/karta?plats=Dalarna|Rättvik|Rättvik", true, true, nil},
	{"map-sweden", "/karta?karta=sverige", false, false, nil},
	{"empty", "/?period=idag&hem=Mora&inom=25&kommun=Dalarna|Mora", false, true, nil},
	{"month", "/?period=manad", true, false, nil},
	{"calendar", "/kalender", true, true, nil},
	{"english", "/?lang=en", false, false, nil},
	{"bad", "/?dag=i+morgon", false, true, nil},
	{"login", "/login", false, false, nil},
	{"not-found", "/nothing", false, false, nil},
	{"own-dates", "/?period=egna&fran=2026-11-26&till=2026-11-30", false, false, nil},
	{"unknown-home", "/?ny=Moora", false, false, nil},
	{"all-of-sweden", "/?hem=Kiruna&inom=10", false, false, nil},
}

// picture writes a picture of the whole page to a file.
func (b *tab) picture(path string) {
	b.t.Helper()
	var picture []byte
	b.run(chromedp.FullScreenshot(&picture, 100))
	require.NoError(b.t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(b.t, os.WriteFile(path, picture, 0o600))
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
