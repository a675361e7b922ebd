package browser_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/web/webtest"
)

func TestHideABand(t *testing.T) {
	t.Parallel()
	site := webtest.New(t, nil)
	site.Add(webtest.Pictures...)
	const tallmoz = `[...document.querySelectorAll(".rad h3")].some((h) => h.innerText === "Tallmoz")`

	t.Run("with the keyboard alone, and undo", func(t *testing.T) {
		t.Parallel()
		b := open(t, site, phone.as("keyboard"), "/?"+near+"&dag=2026-11-29")
		b.press(kb.Tab)
		require.Equal(t, "Till danserna", b.focused())
		for b.count(".dagar :focus") == 0 { // head, filter, days
			b.press(kb.Tab)
			require.True(t, eval[bool](b, seen), "%s has the focus, and nobody sees it", b.focused())
		}
		b.focus(".rad:nth-child(3) .meny summary")
		require.Equal(t, "Fler val för Tallmoz, söndag 29 november, Folkets Hus Ekparken", b.focused())
		b.press(kb.Enter)
		b.until(`document.activeElement.innerText.includes("Bandet")`)
		b.press(kb.ArrowDown)
		require.Contains(t, b.focused(), "Stället")
		b.press(kb.ArrowUp + kb.ArrowUp)
		require.Contains(t, b.focused(), "Lägg till i kalendern")
		b.press(kb.Escape)
		require.Contains(t, b.focused(), "Fler val för Tallmoz")
		require.Equal(t, 0, b.count("details.meny[open]"))

		b.press(kb.Enter)
		b.until(`document.activeElement.innerText.includes("Bandet")`)
		b.press(kb.Enter)
		b.until(`document.activeElement.innerText === "Ångra"`)
		require.False(t, eval[bool](b, tallmoz))
		require.Contains(t, b.text("#klart"), "Tallmoz är dolt. 1 dans döljs.")
		b.press(kb.Enter)
		b.until(tallmoz)
		require.Contains(t, b.text("#klart"), "Tallmoz visas igen.")

		b.press(kb.Escape) // leaves the message
		b.focus(".rad:nth-child(2) .meny summary")
		b.press(kb.Enter)
		b.until(`document.activeElement.innerText.includes("Bandet")`)
		b.press(kb.Enter)
		b.until(`document.activeElement.innerText === "Ångra"`)
		b.press(kb.Escape)
		require.Contains(t, b.focused(), "Fler val för Tallmoz", "Esc goes on with the next row")
		require.Equal(t, 0, b.count("#klart"))
	})
	t.Run("with script, for good", func(t *testing.T) {
		t.Parallel()
		l := desk.as("script")
		l.motion = true
		b := open(t, site, l, "/?"+near+"&dag=2026-11-29")
		b.run(chromedp.Evaluate("window.here = true", nil))
		hide(b, "Tallmoz")
		b.until("!" + tallmoz)
		require.True(t, eval[bool](b, "window.here"), "nothing was reloaded")
		b.reload()
		b.until(`document.querySelectorAll(".rad").length > 2`)
		require.False(t, eval[bool](b, tallmoz))
		b.click("#dolda")
		b.sees("Du har dolt bandet")
		b.click(".dold .igen button")
		b.until(tallmoz + ` && !document.querySelector(".dold")`)
	})
	t.Run("without script", func(t *testing.T) {
		t.Parallel()
		b := open(t, site, phone.as("plain").withoutScript(), "/?"+near+"&dag=2026-11-29")
		hide(b, "Tallmoz")
		b.sees("Tallmoz är dolt.")
		require.False(t, eval[bool](b, tallmoz))
		b.goTo("/?" + near + "&dag=2026-11-29")
		require.False(t, eval[bool](b, tallmoz))
		hide(b, "Karin & Knektarna")
		b.sees("Karin & Knektarna är dolt.")
		b.click("#klart .angra")
		b.sees("Karin & Knektarna visas igen.")
		b.click("#andra summary")
		b.click("#dolda")
		b.click("#visa-danser")
		b.sees("Du har dolt bandet")
		b.click(".dolda dd button")
		b.until(tallmoz)
	})
}

// hide opens the menu of a band's row and presses its first button.
func hide(b *tab, band string) {
	b.t.Helper()
	b.run(chromedp.Evaluate(fmt.Sprintf(`[...document.querySelectorAll(".rad")].find((r) => r.querySelector("h3").innerText === %q).classList.add("target")`, band), nil))
	b.click(".target .meny summary")
	b.click(".target .lada button")
}
