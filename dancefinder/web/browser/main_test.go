// Package browser_test uses the page as people do, in headless Chromium: one for all
// tests, each in a profile of its own.
package browser_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/dancefinder/eventsourcing/dancefinder/web/webtest"
)

var browser struct {
	sync.Once
	ctx  context.Context
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if browser.stop != nil {
		browser.stop()
	}
	os.Exit(code)
}

// chromium returns the browser that all tests share.
func chromium(t *testing.T) context.Context {
	t.Helper()
	browser.Do(func() {
		path := ""
		// The shells have no windows, tab strips and toolbars to draw for nobody, which is half the work. Debian's
		// is started by a script that does not end it when it is itself ended: so without the script.
		for _, name := range []string{"/usr/lib/chromium/chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
			if found, err := exec.LookPath(name); err == nil && path == "" {
				path = found
			}
		}
		if path == "" {
			browser.err = fmt.Errorf("no Chromium: `apt-get install chromium-headless-shell`, or `make chromium`")
			return
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.NoFirstRun,
			chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("font-render-hinting", "none"),
		)
		allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, stop := chromedp.NewContext(allocator)
		browser.ctx, browser.err = ctx, chromedp.Run(ctx)
		browser.stop = func() {
			stop()
			stopAllocator()
		}
	})
	require.NoError(t, browser.err)
	return browser.ctx
}

// look is how a page is looked at.
type look struct {
	width, height int64
	dark          bool
	noScript      bool
	user          string // who is logged in; nobody when it is empty
	operator      bool   // with that role
	motion        bool   // not reduced
	forced        bool   // forced colours
}

var (
	phone = look{width: 360, height: 780}
	desk  = look{width: 1280, height: 1000}
)

func (l look) as(user string) look { l.user = user; return l }

func (l look) asOperator(user string) look { l.user, l.operator = user, true; return l }

func (l look) inTheDark() look { l.dark = true; return l }

func (l look) withoutScript() look { l.noScript = true; return l }

// open opens a tab on path. Anything that the browser complains about fails the test.
func open(t *testing.T, site *webtest.Site, l look, path string) *tab {
	t.Helper()
	ctx, stop := newProfile(t, chromium(t))
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	b := &tab{t: t, ctx: ctx, site: site, look: l}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the page when it failed: %s", b.address())
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		require.Empty(t, b.troubles, "the browser has something to complain about")
		cancel()
		stop()
	})
	chromedp.ListenTarget(ctx, b.listen)
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if l.motion {
		features[1].Value = "no-preference"
	}
	if l.forced {
		features = append(features, &emulation.MediaFeature{Name: "forced-colors", Value: "active"})
	}
	b.run(network.Enable(), log.Enable(), runtime.Enable(), chromedp.EmulateViewport(l.width, l.height),
		emulation.SetEmulatedMedia().WithFeatures(features), emulation.SetScriptExecutionDisabled(l.noScript),
		emulation.SetFocusEmulationEnabled(true)) // or only one window at a time would be in front
	if l.user != "" {
		b.login(l.user, l.operator)
	}
	b.goTo(path)
	if !l.noScript {
		b.until(`document.documentElement.classList.contains("js")`)
	}
	return b
}

// newProfile returns a tab in a window of its own: Chromium opens none in a profile
// that has no window yet.
func newProfile(t *testing.T, shared context.Context) (context.Context, func()) {
	t.Helper()
	executor := cdp.WithExecutor(shared, chromedp.FromContext(shared).Browser)
	profile, err := target.CreateBrowserContext().Do(executor)
	require.NoError(t, err)
	id, err := target.CreateTarget("about:blank").WithBrowserContextID(profile).WithNewWindow(true).Do(executor)
	require.NoError(t, err)
	ctx, stop := chromedp.NewContext(shared, chromedp.WithTargetID(id))
	return ctx, func() {
		stop()
		_ = target.DisposeBrowserContext(profile).Do(executor)
	}
}
