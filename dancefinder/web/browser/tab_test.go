package browser_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/identity"
	"github.com/dancefinder/eventsourcing/dancefinder/web/webtest"
)

// tab is one tab of the browser, in a profile of its own.
type tab struct {
	t    *testing.T
	ctx  context.Context
	site *webtest.Site
	look
	hasAxe bool

	mu       sync.Mutex
	troubles []string
	bytes    int
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError {
			b.troubles = append(b.troubles, e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventLoadingFinished:
		b.bytes += int(e.EncodedDataLength)
	}
}

// forgive forgets what the browser has complained about.
func (b *tab) forgive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = nil
}

// login posts the demo's form, and gives the browser the cookie.
func (b *tab) login(name string, operator bool) {
	b.t.Helper()
	form := url.Values{"name": {name}}
	if operator {
		form.Set("role", identity.RoleOperator)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.PostForm(b.site.URL+"/login", form)
	require.NoError(b.t, err)
	require.NoError(b.t, answer.Body.Close())
	require.NotEmpty(b.t, answer.Cookies())
	for _, cookie := range append(answer.Cookies(), &http.Cookie{Name: "tips", Value: "1"}) {
		b.run(network.SetCookie(cookie.Name, cookie.Value).WithURL(b.site.URL).WithHTTPOnly(true))
	}
}

func (b *tab) run(actions ...chromedp.Action) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Run(b.ctx, actions...))
}

func (b *tab) goTo(path string) {
	b.t.Helper()
	b.leave(func(ctx context.Context) error {
		_, _, _, _, err := page.Navigate(b.site.URL + path).Do(ctx)
		return err
	})
}

func (b *tab) reload() {
	b.t.Helper()
	b.leave(page.Reload().Do)
}

// leave does what leads to another page, and returns when that has loaded. chromedp's own
// Navigate waits for what a page with a stream does not always tell.
func (b *tab) leave(act chromedp.ActionFunc) {
	b.t.Helper()
	b.run(chromedp.Evaluate("window.left = true", nil), act)
	b.until(`!window.left && document.readyState === "complete"`)
}

// eval returns what a JavaScript expression is worth.
func eval[T any](b *tab, expression string) (value T) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Run(b.ctx, chromedp.Evaluate(expression, &value)), expression)
	return value
}

// until waits until a JavaScript expression is true, across pages that load meanwhile.
func (b *tab) until(expression string) {
	b.t.Helper()
	came := assert.Eventually(new(assert.CollectT), func() bool {
		var ok bool
		err := chromedp.Run(b.ctx, chromedp.Evaluate("Boolean("+expression+")", &ok))
		return err == nil && ok
	}, 40*time.Second, 30*time.Millisecond)
	if !came {
		var text string
		_ = chromedp.Run(b.ctx, chromedp.Evaluate(`location.href + "\n" + document.body.innerText`, &text))
		require.FailNow(b.t, "this did not come true", "%s\non\n%s", expression, text)
	}
}

// sees waits until the page shows text.
func (b *tab) sees(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// text returns what an element says, in one line.
func (b *tab) text(selector string) string {
	b.t.Helper()
	return strings.Join(strings.Fields(eval[string](b, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))), " ")
}

// texts returns what all such elements say.
func (b *tab) texts(selector string) (all []string) {
	b.t.Helper()
	return eval[[]string](b, fmt.Sprintf(`[...document.querySelectorAll(%q)].map((e) => e.innerText.replace(/\s+/g, " ").trim())`, selector))
}

func (b *tab) count(selector string) int {
	b.t.Helper()
	return eval[int](b, fmt.Sprintf("document.querySelectorAll(%q).length", selector))
}

// click presses an element with the mouse, when it has been in its place for two looks and nothing
// covers it, and again if it has moved away all the same: a busy browser draws late. It goes by
// the place: chromedp's own Click goes by a node of the document, which may be another one by then.
func (b *tab) click(selector string) {
	b.t.Helper()
	for range 5 {
		b.until(fmt.Sprintf(`(() => {
			const e = document.querySelector(%q)
			if (!e?.checkVisibility()) return false
			e.scrollIntoViewIfNeeded()
			const r = e.getClientRects()[0], before = window.place
			window.place = [r.x + r.width / 2, r.y + r.height / 2]
			if (String(window.place) !== String(before) || !e.contains(document.elementFromPoint(...window.place))) return false
			e.addEventListener("click", () => { window.pressed = true }, {once: true, capture: true})
			return true
		})()`, selector))
		at := eval[[]float64](b, `(() => { const at = window.place; window.place = 0; window.pressed = false; return at })()`)
		b.run(chromedp.MouseClickXY(at[0], at[1]))
		if b.noScript || eval[bool](b, `window.pressed !== false`) { // or the page is another one
			return
		}
	}
	require.FailNow(b.t, "pressed in vain", selector)
}

// focus gives an element the focus.
func (b *tab) focus(selector string) {
	b.t.Helper()
	b.until(fmt.Sprintf(`document.querySelector(%q)?.checkVisibility()`, selector))
	b.run(chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q).focus()`, selector), nil))
}

// enter types into a field.
func (b *tab) enter(selector, keys string) {
	b.t.Helper()
	b.focus(selector)
	b.press(keys)
}

// press presses keys.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.run(chromedp.KeyEvent(keys))
}

// focused says what has the focus.
func (b *tab) focused() string {
	b.t.Helper()
	return eval[string](b, `(() => { const e = document.activeElement; return e.getAttribute("aria-label") || e.innerText || e.id || e.localName })()`)
}

func (b *tab) address() string {
	var address string
	_ = chromedp.Run(b.ctx, chromedp.Evaluate("location.pathname + location.search", &address))
	return address
}

func lower(s string) string { return strings.ToLower(s) }
