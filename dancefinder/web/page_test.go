package web_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/web"
	"github.com/dancefinder/eventsourcing/dancefinder/web/webtest"
)

const near = "hem=Mora&hem=Falun"

func TestConfig(t *testing.T) {
	t.Parallel()
	_, err := web.NewHandler(web.Config{})
	require.ErrorIs(t, err, web.ErrConfig)
	for _, field := range []string{"Pool", "Service", "Consistency", "Projections"} {
		require.ErrorContains(t, err, field)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	site.Add(webtest.Elsewhere...)
	site.Add(webtest.NewDance("2026-11-30", "", "", `<script>alert(1)</script>`, `"><img src=x onerror=alert(2)>`, "Mora", "Mora", "Dalarna", `' onclick='alert(3)`))
	v := visit(t, site, "")

	t.Run("has the dances by days, with time, band, hall, place and distance", func(t *testing.T) {
		t.Parallel()
		a := v.get("/?" + near)
		require.Equal(t, http.StatusOK, a.status)
		text := a.text(t)
		require.Contains(t, text, "19 danser nära Mora och Falun")
		require.Contains(t, text, "Lördag 28 november 7 danser")
		require.Contains(t, text, "13.30 –17.00 Sågbergs kvintett Kaffe och smörgås ingår Medborgarhuset Norrgården Avesta, Dalarna 57 km Falun")
		require.Contains(t, text, "21.00 –01.00 Trio Hällmark Inställt Rotundan Lyktan Rättvik, Dalarna")
		require.Contains(t, text, "Loge Kvarnbacken Malung, Malung-Sälen, Dalarna")
		require.Contains(t, text, "Tid saknas")
	})
	t.Run("starts at the day of the URL", func(t *testing.T) {
		t.Parallel()
		a := v.get("/?" + near + "&dag=2026-11-29")
		require.Equal(t, "Karin & Knektarna", a.bands()[0])
		require.Regexp(t, `aria-current="date"><span class="sr">Söndag 29 november, 3 danser<`, a.body)
	})
	t.Run("speaks English, with the same filter", func(t *testing.T) {
		t.Parallel()
		a := v.get("/?" + near + "&inom=50&lang=en")
		require.Contains(t, a.body, `<html lang="en">`)
		require.Contains(t, a.text(t), "dances near Mora and Falun")
		require.Contains(t, a.text(t), "19:00 –22:00")
		require.Contains(t, a.body, `href="/?hem=Mora&amp;hem=Falun&amp;inom=50" lang="sv"`)
	})
	t.Run("without a home is all of Sweden", func(t *testing.T) {
		t.Parallel()
		text := v.get("/").text(t)
		require.Regexp(t, `\d+ danser i Sverige`, text)
		require.Contains(t, text, "Lägg till en hemort så visas avstånd.")
		require.Contains(t, text, "Båt, ingen fast plats")
		require.Contains(t, text, "Logga in för att dölja band och spara hemorter.")
	})
	t.Run("sorts by distance", func(t *testing.T) {
		t.Parallel()
		bands := v.get("/?hem=Rättvik&sortera=avstand&inom=50").bands()
		require.Equal(t, []string{"Rydholmz", "Trio Hällmark", "Björkz"}, bands[:3])
	})
	t.Run("shows what anybody has written as text", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/?" + near, "/karta?plats=Dalarna|Mora|Mora&" + near} {
			body := v.get(path).body
			require.Contains(t, body, "&lt;script&gt;alert(1)&lt;/script&gt;")
			require.NotContains(t, body, "<script>alert")
			require.NotContains(t, body, "<img")
			require.NotContains(t, body, "style=")
			require.NotRegexp(t, ` on[a-z]+="`, body)
			require.NotRegexp(t, `<script(?: type="module")? ?>`, body)
		}
	})
	t.Run("says what to do when there is nothing", func(t *testing.T) {
		t.Parallel()
		text := v.get("/?period=idag&hem=Mora&inom=25&kommun=Dalarna|Mora").text(t)
		require.Contains(t, text, "Inga danser i dag inom 25 km från Mora")
		require.Contains(t, text, "Närmaste dans är i Orsa, 15 km bort. Den ligger utanför Mora som du har valt.")
		require.Contains(t, text, "Ta bort området Mora 1 dans")
		require.Contains(t, text, "Visa hela helgen 1 dans")
	})
	t.Run("counts areas as if none were chosen, and shows zeros only if chosen", func(t *testing.T) {
		t.Parallel()
		text := v.get("/?" + near + "&kommun=Dalarna|Mora&kommun=Dalarna|Säter").text(t)
		require.Contains(t, text, "Dalarna (delvis vald) 18")
		require.Contains(t, text, "Rättvik 3")
		require.Contains(t, text, "Säter 0")
		require.NotContains(t, text, "Hedemora")
	})
	t.Run("the map has the places of the list", func(t *testing.T) {
		t.Parallel()
		a := v.get("/karta?" + near + "&plats=Dalarna|Rättvik|Rättvik")
		require.Contains(t, a.text(t), "Rättvik 3 danser fre 27 19.00 –23.00 Rydholmz")
		require.Regexp(t, `Andra orter 16 danser .*Falun Dalarna 3`, a.text(t))
		require.Contains(t, v.get("/karta").text(t), "Stockholm Stockholm")
	})
	t.Run("is within 100 kB with script, style and map", func(t *testing.T) {
		t.Parallel()
		body := v.get("/?" + near).body
		files := map[string]bool{"/?" + near: true, "/static/swap.js": true, "/static/live.js": true, "/static/menus.js": true, "/static/enhance.js": true}
		for _, path := range regexp.MustCompile(`/static/[^"#]+`).FindAllString(body, -1) {
			files[path] = true
		}
		total := 0
		for path := range files {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+path, nil)
			require.NoError(t, err)
			request.Header.Set("Accept-Encoding", "gzip") // and so it stays zipped
			a := v.do(request)
			require.Equal(t, http.StatusOK, a.status, path)
			require.Equal(t, "gzip", a.header.Get("Content-Encoding"), path)
			total += len(a.body)
		}
		require.Less(t, total, 100_000)
	})
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	v := visit(t, site, "Anna")
	for query, says := range map[string]string{
		"dag=i+morgon": "”i morgon” är inte ett datum", "dag=2026-02-30": "inte ett datum", "period=x": "ingen period", "inom=-1": "inte ett antal km", "inom=NaN": "inte ett antal km",
		"sortera=x": "ingen ordning", "hem=Atlantis": "ingen ort som vi känner", "hem=%ff": "inte läsbar text", "lan=a%00b": "inte läsbar text", "dolda=ja": "varken 1 eller 0",
		"period=egna&fran=2026-12-24&till=2026-12-01": "slutet är före början", "period=egna&fran=2020-01-01&till=2026-12-01": "fler än 366 dagar", "efter=AAAA": "leder ingenstans",
		"ort=" + strings.Repeat("a&ort=", 60): "fler än 50", "dag=" + strings.Repeat("9", 5000): "inte ett datum",
	} {
		for _, path := range []string{"/", "/kalender.ics"} {
			a := v.get(path + "?" + query)
			if path == "/kalender.ics" && strings.HasPrefix(query, "efter") {
				continue // a file has no pages
			}
			require.Equal(t, http.StatusBadRequest, a.status, "%s?%.60s", path, query)
			require.Contains(t, a.body, says)
			require.Less(t, len(a.body), 20_000)
		}
	}
	require.Equal(t, http.StatusNotFound, v.get("/nothing").status)
	require.Equal(t, http.StatusNotFound, v.get("/static/../web.go").status)
	require.Equal(t, http.StatusNotFound, v.get("/dans/x.ics").status)
	require.Equal(t, http.StatusNotFound, v.get("/kalender/x.ics").status)
	t.Run("posted forms", func(t *testing.T) {
		t.Parallel()
		for status, form := range map[int][]url.Values{
			http.StatusBadRequest: {{}, {"vad": {"BAND"}, "q": {"%zz"}}, {"vad": {"X:y"}}, {"vad": {"BAND:not-an-id"}}, {"vad": {"STATE:Dalarna"}, "q": {"dag=x"}}},
		} {
			for _, f := range form {
				require.Equal(t, status, v.post("/dolj", f).status, "%v", f)
			}
		}
		require.Equal(t, http.StatusRequestEntityTooLarge, v.post("/dolj", url.Values{"vad": {strings.Repeat("x", web.MaxBody)}}).status)
		require.Equal(t, http.StatusUnauthorized, visit(t, site, "").post("/dolj", url.Values{"vad": {"STATE:Dalarna"}}).status)
		require.Equal(t, http.StatusNotFound, v.get("/dolj").status, "nothing is done by GET")
		a := v.post("/dolj", url.Values{"vad": {"BAND:" + webtest.Band("Nobody")}})
		require.Contains(t, a.text(t), "Det gick inte att dölja Okänt band. Inget har ändrats.")
	})
	t.Run("lead nowhere but to the page", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"//evil.example", "https://evil.example/", `/\evil.example`, "/karta/../..//evil.example"} {
			a := v.post("/visa", url.Values{"vad": {"STATE:Dalarna"}, "pa": {path}, "q": {"period=helg"}})
			require.Equal(t, "/?period=helg", a.path)
		}
	})
	t.Run("of another site are refused", func(t *testing.T) {
		t.Parallel()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, site.URL+"/dolj", strings.NewReader("vad=STATE:Dalarna"))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		require.Equal(t, http.StatusForbidden, v.do(request).status)
	})
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	v := visit(t, site, "Anna")
	for _, path := range []string{"/", "/karta", "/kalender", "/nothing", "/?dag=x", "/static/style.css", "/kalender.ics", "/orter?q=mo"} {
		header := v.get(path).header
		policy := header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			require.Contains(t, policy, part, path)
		}
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"))
		require.NotEmpty(t, header.Get("Referrer-Policy"))
	}
	require.Equal(t, "private, no-store", v.get("/").header.Get("Cache-Control"))
	v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := v.post("/dolj", url.Values{"vad": {"STATE:Dalarna"}})
	require.Equal(t, http.StatusSeeOther, a.status)
	require.NotEmpty(t, a.header.Values("Set-Cookie"))
	for _, cookie := range a.header.Values("Set-Cookie") {
		require.Contains(t, cookie, "HttpOnly")
		require.Contains(t, cookie, "SameSite=Lax")
	}
}

// TestReadsItsOwnWrites hides and shows a band many times: the page that follows is
// never one from before.
func TestReadsItsOwnWrites(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	v := visit(t, site, "Anna")
	vad := url.Values{"vad": {"BAND:" + webtest.Band("Tallmoz")}, "q": {near}}
	for round := range 40 {
		require.NotContains(t, v.post("/dolj", vad).bands(), "Tallmoz", "round %d", round)
		require.Contains(t, v.post("/visa", vad).bands(), "Tallmoz", "round %d", round)
	}
}

func TestHideAndShow(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	for kind, test := range map[string]struct {
		value, name string
		count       int
	}{
		"BAND":         {webtest.Band("Evert Sandéns"), "Evert Sandéns", 2},
		"DANCE_HALL":   {string(domain.DanceHallIDFor("Furuparken", domain.Place{City: "Falun", Municipality: "Falun", State: "Dalarna"})), "Furuparken", 3},
		"CITY":         {"Sälen", "Sälen", 1},
		"MUNICIPALITY": {"Malung-Sälen", "Malung-Sälen", 2},
		"STATE":        {"Dalarna", "Dalarna", 17},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			v := visit(t, site, "user of "+strings.ToLower(kind))
			form := url.Values{"vad": {kind + ":" + test.value}, "q": {near}}
			require.Contains(t, v.get("/?"+near).body, `value="`+kind+":"+test.value+`"`)
			a := v.post("/dolj", form)
			require.Contains(t, a.text(t), fmt.Sprintf("%s är dolt. %d dans", test.name, test.count))
			require.Contains(t, a.text(t), fmt.Sprintf("· %d dold", test.count))
			require.Len(t, a.bands(), 18-test.count)
			require.NotContains(t, v.get("/?"+near).text(t), "är dolt.", "it is said once")

			shown := v.get("/?" + near + "&dolda=1")
			require.Len(t, shown.bands(), 18)
			require.Equal(t, test.count+1, strings.Count(shown.body, `value="`+kind+":"+test.value+`"`), "each row and the panel show it again")
			a = v.post("/visa", form)
			require.Contains(t, a.text(t), test.name+" visas igen.")
			require.Len(t, a.bands(), 18)
		})
	}
}

func TestHomes(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	t.Run("of somebody who is not logged in are in the URL", func(t *testing.T) {
		t.Parallel()
		v := visit(t, site, "")
		a := v.post("/hemort", url.Values{"ny": {"mora"}, "q": {"inom=25"}})
		require.Equal(t, "/?hem=Mora&inom=25", a.path)
		require.Contains(t, a.text(t), "nära Mora")
		require.Contains(t, a.body, `aria-label="Ta bort Mora"`)
	})
	t.Run("of a user are saved", func(t *testing.T) {
		t.Parallel()
		v := visit(t, site, "Hemma")
		require.Contains(t, v.post("/hemort", url.Values{"ny": {"Mora"}}).text(t), "Mora är en hemort nu.")
		require.Contains(t, v.get("/").text(t), "danser nära Mora")
		require.Contains(t, v.post("/hemort", url.Values{"bort": {"Mora"}}).text(t), "danser i Sverige")
	})
	t.Run("that are not found are asked about", func(t *testing.T) {
		t.Parallel()
		a := visit(t, site, "").post("/hemort", url.Values{"ny": {"Moora"}})
		require.Contains(t, a.text(t), "Hittar inte ”Moora”. Menade du Mora?")
	})
	t.Run("are at most 20", func(t *testing.T) {
		t.Parallel()
		v := visit(t, site, "Many")
		for _, name := range strings.Fields("Mora Falun Orsa Leksand Malung Avesta Borlänge Ludvika Sandviken Gävle Uppsala Stockholm Göteborg Malmö Lund Kalmar Växjö Umeå Luleå Kiruna") {
			v.post("/hemort", url.Values{"ny": {name}})
		}
		require.Contains(t, v.post("/hemort", url.Values{"ny": {"Visby"}}).text(t), "Du har 20 hemorter. Ta bort en först.")
	})
	t.Run("are suggested", func(t *testing.T) {
		t.Parallel()
		v := visit(t, site, "")
		require.Contains(t, v.get("/orter?q=mor").body, `"Mora"`)
		require.JSONEq(t, `[]`, v.get("/orter?q=%00").body)
	})
}

func TestManyDances(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	var dances []webtest.Dance
	for i := range 215 {
		dances = append(dances, webtest.NewDance("2026-11-28", "19:00", "", fmt.Sprintf("Band %03d", i), "Parken", "Mora", "Mora", "Dalarna", ""))
	}
	site.Add(dances...)
	v := visit(t, site, "Anna")
	a := v.get("/")
	require.Contains(t, a.text(t), "215 danser i Sverige")
	require.Contains(t, a.text(t), "Visar de 50 första. Välj kortare period.")
	require.Less(t, len(a.body), 100_000)
	var seen []string
	for page := 1; ; page++ {
		seen = append(seen, a.bands()...)
		require.Contains(t, a.text(t), "Lördag 28 november 215 danser", "page %d", page)
		next := regexp.MustCompile(`href="([^"]*efter=[^"]*)">Visa fler`).FindStringSubmatch(a.body)
		if next == nil {
			require.Equal(t, 5, page)
			break
		}
		a = v.get(strings.ReplaceAll(next[1], "&amp;", "&"))
		require.NotContains(t, a.text(t), "första. Välj kortare period.")
	}
	require.Len(t, seen, 215)
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(seen))), 215)
}

// TestStale stops a projection: the page says since when it is late, and why.
func TestStale(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, func(c *web.Config) { c.Now = webtest.Clock() })
	site.Add(webtest.Pictures...)
	v := visit(t, site, "Anna")
	require.NotContains(t, v.get("/?"+near).body, `id="banner"`)
	require.NoError(t, site.Manager.Pause(t.Context(), "userpreferences"))
	a := v.post("/dolj", url.Values{"vad": {"BAND:" + webtest.Band("Tallmoz")}, "q": {near}})
	require.Contains(t, a.bands(), "Tallmoz")
	require.Regexp(t, `Inga nya danser sedan 14\.3\d\. Ditt val är sparat och syns strax\.`, a.text(t))
	require.NoError(t, site.Manager.Resume(t.Context(), "userpreferences"))
	site.Wait()

	require.NoError(t, site.Manager.Pause(t.Context(), "band"))
	require.NoError(t, site.Manager.ResetProjection(t.Context(), "band"))
	text := v.get("/?" + near).text(t)
	require.Contains(t, text, "Okänt band")
	require.Contains(t, text, "Inga nya danser sedan 14.3")
	require.NotContains(t, text, "Björkz")
	require.NoError(t, site.Manager.Resume(t.Context(), "band"))
	site.Wait()
	a = v.get("/?" + near)
	require.Contains(t, a.bands(), "Björkz")
	require.NotContains(t, a.body, `id="banner"`)

	require.NoError(t, site.Manager.Pause(t.Context(), "event"))
	require.NoError(t, site.Manager.ResetProjection(t.Context(), "event"))
	for _, path := range []string{"/?", "/karta?"} {
		a = v.get(path + near)
		require.Contains(t, a.text(t), "Danserna är inte inlästa än", path)
		require.NotContains(t, a.text(t), "Inga danser", "nobody knows: %s", path)
		require.NotContains(t, a.text(t), "inga danser alls", path)
		require.Contains(t, a.body, `id="banner"`)
	}
	require.NoError(t, site.Manager.Resume(t.Context(), "event"))
	site.Wait()
	require.Contains(t, v.get("/?"+near).text(t), "17 danser nära")
}

// The page for operators sends people to the login, and tells programs that they need one.
func TestAdminWithoutASession(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	for accept, want := range map[string]struct {
		status int
		body   string
	}{
		"text/html,application/xhtml+xml,*/*;q=0.8": {http.StatusSeeOther, ""},
		"application/json":                          {http.StatusUnauthorized, `{"detail":"there is no session: log in first","status":401,"title":"This page is for operators"}`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+"/admin/", nil)
		require.NoError(t, err)
		request.Header.Set("Accept", accept)
		response, err := http.DefaultTransport.RoundTrip(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want.status, response.StatusCode)
		require.Contains(t, string(body), want.body)
	}
}
