package browser_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/domain"
	"github.com/dancefinder/eventsourcing/dancefinder/web/webtest"
	"github.com/dancefinder/eventsourcing/eventsourced/consumer"
)

// poison has the projection of bands fail at a new band of that name, whose table takes none such.
func poison(t *testing.T, site *webtest.Site, name string) {
	t.Helper()
	_, err := site.Pool.Exec(t.Context(), `DO $$ BEGIN ALTER TABLE band ADD CONSTRAINT band_name CHECK (name NOT LIKE '%poison%') NOT VALID; EXCEPTION WHEN duplicate_object THEN END $$`)
	require.NoError(t, err)
	_, _, err = site.Service.CreateBand(t.Context(), domain.CreateBand{Name: name})
	require.NoError(t, err)
	state(t, site, "band", func(s consumer.Status) bool { return s.State == consumer.Failed })
}

// state waits until a projection is as it should be.
func state(t *testing.T, site *webtest.Site, name string, is func(consumer.Status) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		all, err := site.Manager.Status(t.Context())
		require.NoError(t, err)
		for _, s := range all {
			if s.Name == name && is(s) {
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond)
}

// answer answers the question that is asked.
func (b *tab) answer(reason, typed string) {
	b.t.Helper()
	b.enter(".confirm #reason", reason)
	if typed != "" {
		b.enter(".confirm #typed", typed)
	}
	b.click(".confirm .ends button")
	b.until(`!document.querySelector(".confirm")`)
}

// comes waits until the page says a text, by itself or when it is loaded again.
func (b *tab) comes(text string) {
	b.t.Helper()
	if !b.noScript {
		b.sees(text)
		return
	}
	for range 100 {
		b.reload()
		if eval[bool](b, fmt.Sprintf("document.body.innerText.includes(%q)", text)) {
			return
		}
	}
	require.FailNow(b.t, "it does not come", text)
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)

	for name, l := range map[string]look{"with script, at a desk": desk.asOperator("karin"), "without script, on a phone": phone.asOperator("olof").withoutScript()} {
		t.Run(name+", the poisoned event, its dry-run, its skip and the debt", func(t *testing.T) {
			b := open(t, site, l, "/admin/")
			require.NotContains(t, b.text("h1"), "failed")
			poison(t, site, "<script>poison</script> "+l.user)
			b.comes("1 failed")
			b.click(".trouble .button")
			b.sees("Payload")
			require.Contains(t, b.text(".payload"), "<script>poison</script>", "it is text")
			b.click(`form:has([value="dry-run"]) button`)
			b.sees("It would still fail.")
			b.click(`a[href*="action=skip"]`)
			b.sees("This event is never applied")
			require.Equal(t, !l.noScript, b.count("dialog[open]") == 1)
			if !l.noScript {
				b.press(kb.Escape)
				b.until(`!document.querySelector("dialog")`)
				require.Equal(t, "Skip this event…", b.focused())
				b.press(kb.Enter)
				b.until(`document.activeElement.id === "reason"`)
			}
			b.answer("the listing is wrong", "band")
			b.sees("Skipped. It goes on.")
			b.comes("skipped")
			state(t, site, "band", func(s consumer.Status) bool { return s.State == consumer.Live && s.Skipped > 0 })
			require.Contains(t, b.text(".operations"), "demo:"+l.user+" skip: “the listing is wrong”")
		})
		t.Run(name+", a rebuild, its rollback, a reset", func(t *testing.T) {
			b := open(t, site, l, "/admin/consumer?kind=projection&name=dancehall")
			b.click(`form:has([value="verify"]) button`)
			b.sees("Verify has begun.")
			b.comes("Verify: equal")
			b.click(`a[href*="action=rebuild"]`)
			b.answer("to see it", "")
			b.sees("The rebuild has begun.")
			b.comes("Roll back…")
			b.click(`a[href*="action=rollback"]`)
			b.answer("to see it back", "dancehall")
			b.sees("The rollback has begun.")
			b.comes("rollback: “to see it back”")
			b.click(`a[href*="action=reset"]`)
			b.answer("all of it", "dancehall")
			b.sees("Reset. All events are applied again.")
			state(t, site, "dancehall", func(s consumer.Status) bool { return s.State == consumer.Live && s.Behind == 0 && s.Position > 0 })
			b.click(`a[href*="action=pause"]`)
			b.answer("", "")
			b.comes("Paused")
			b.click(`form:has([value="resume"]) button`)
			b.sees("Resumed.")
			b.comes("Live")
		})
	}
	t.Run("who is no operator sees nothing and may nothing", func(t *testing.T) {
		b := open(t, site, phone, "/admin/")
		require.Equal(t, "/login?next=%2Fadmin%2F", b.address())
		for _, path := range []string{"/admin/", "/admin/events", "/admin/consumer?kind=projection&name=band"} {
			request, err := http.NewRequestWithContext(t.Context(), "GET", site.URL+path, nil)
			require.NoError(t, err)
			request.Header.Set("Authorization", "Bearer "+site.Token("reader"))
			answer, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Equal(t, http.StatusForbidden, answer.StatusCode)
		}
	})
}

// inTheDark is how many of adminPages have colours of their own, and are looked at in the dark, too.
const inTheDark = 5

// adminPages are those of the design's pictures, and more.
var adminPages = []struct{ name, path string }{
	{"overview", "/admin/"}, {"projection", "/admin/consumer?kind=projection&name=band"}, {"calm", "/admin/consumer?kind=projection&name=event"},
	{"confirm", "/admin/confirm?action=reset&kind=projection&name=band"}, {"events", "/admin/events"}, {"parked", "/admin/parked"}, {"nodes", "/admin/nodes"},
	{"log", "/admin/log"}, {"operations", "/admin/operations"}, {"nothing", "/admin/nothing"}, {"empty", "/admin/?q=nothing"},
}

// TestAdminPages looks at each page of the operators as TestPages does at the others.
func TestAdminPages(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	poison(t, site, "poison")
	folder := os.Getenv("SCREENSHOTS")
	for name, l := range map[string]look{"360": phone, "1280": desk, "360-dark": phone.inTheDark(), "1280-dark": desk.inTheDark()} {
		t.Run(name, func(t *testing.T) {
			if folder == "" { // Chromium takes pictures of one window at a time
				t.Parallel()
			}
			b := open(t, site, l.asOperator("karin"), "/admin/")
			var found []string
			for i, shown := range adminPages {
				if folder == "" && l.dark && i >= inTheDark {
					continue // its colours are those of others
				}
				b.goTo(shown.path)
				if shown.name == "projection" {
					b.click(`form:has([value="dry-run"]) button`)
					b.until(`location.search.includes("done=dry-run") && document.readyState === "complete"`)
					b.sees("It would still fail.")
				}
				if folder != "" {
					b.picture(filepath.Join(folder, "admin-"+shown.name+"-"+name+".png"))
				}
				require.LessOrEqual(t, eval[int64](b, "document.documentElement.scrollWidth"), l.width, "%s scrolls sideways: %s", shown.name, wider(b, l.width))
				found = append(found, b.troublesFor(shown.name+", "+name, l.dark)...)
			}
			b.forgive() // of what says 404
			require.Empty(t, found)
		})
	}
	t.Run("nothing is lost at twice the size of text, on 320 pixels, in forced colours", func(t *testing.T) {
		t.Parallel()
		b := open(t, site, look{width: 320, height: 700, forced: true, user: "karin", operator: true}, "/admin/")
		for _, path := range []string{"/admin/", "/admin/consumer?kind=projection&name=band", "/admin/confirm?action=reset&kind=projection&name=band"} {
			b.goTo(path)
			b.run(chromedp.Evaluate(`document.documentElement.style.fontSize = "200%"`, nil))
			require.LessOrEqual(t, eval[int](b, "document.documentElement.scrollWidth"), 320, "%s: %s", path, wider(b, 320))
		}
	})
}

// wider names what sticks out.
func wider(b *tab, width int64) []string {
	b.t.Helper()
	return eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > %d).map((e) => e.outerHTML.slice(0, 90)).slice(0, 12)`, width))
}
