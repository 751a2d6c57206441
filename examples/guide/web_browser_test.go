package main

import (
	"cmp"
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
	"github.com/runtocompletion/batch/internal/effort"
	"github.com/stretchr/testify/require"
)

// A browser shows the guide.
type browser struct {
	t       *testing.T
	ctx     context.Context
	console chan string // what it shows
}

// newBrowser starts a browser and opens the guide.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	effort.Need(t, err)
	server := httptest.NewServer(newTestWeb(t))
	t.Cleanup(server.Close)
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.WindowSize(1200, 900), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { require.NoError(t, chromedp.Cancel(ctx)) }) // waits for the process
	b := &browser{t, ctx, make(chan string, 100)}
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*log.EventEntryAdded); ok {
			b.console <- e.Entry.Text + " " + e.Entry.URL
		}
	}))
	_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(t, err)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(server.URL)))
	return b
}

func (b *browser) click(picture string) {
	b.t.Helper()
	require.NoError(b.t, chromedp.Do(b.ctx, chromedp.Click(`[data-picture=`+picture+`] button`)))
}

// until waits until a picture's text matches a pattern.
func (b *browser) until(picture, pattern string) {
	b.t.Helper()
	b.holds(`/` + pattern + `/s.test(document.querySelector("[data-picture=` + picture + `]").innerText)`)
}

// holds waits until an expression is true.
func (b *browser) holds(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(0)))
	require.NoError(b.t, err, expression)
}

func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return value
}

// keep writes a picture of the page into the folder that PAGE_PICTURES names.
func (b *browser) keep(name string) {
	b.t.Helper()
	if folder := os.Getenv("PAGE_PICTURES"); folder != "" {
		data, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		require.NoError(b.t, err)
		require.NoError(b.t, os.WriteFile(filepath.Join(folder, name), data, 0o644))
	}
}

func TestBrowserPictures(t *testing.T) {
	b := newBrowser(t)
	b.click("life")
	b.until("life", `3 of 3 succeeded.*3 attempts and their logs are kept.*kind: Job.*Completed`)
	const set = `document.querySelector("[data-picture=lanes] [name=failures]").value = 1`
	require.Equal(t, 1, eval[int](b, set))
	b.click("lanes")
	b.until("lanes", `Complete: 6.6 succeeded, 1 failed; .* one by one`)
	b.holds(`document.querySelectorAll("[data-picture=lanes] svg.box").length === 7`) // index 2 was run twice
	b.click("restarts")
	b.until("restarts", `retry 2.*Failed: BackoffLimitExceeded.*3 failed, more than the limit of 2`)
	b.until("restarts", `restart 2.*2 restarts reach the limit of 2`)
	const limit = "[data-picture=restarts] [name=limit]"
	require.NoError(t, chromedp.Do(b.ctx,
		chromedp.Evaluate[chromedp.Void](`document.querySelector("`+limit+`").removeAttribute("max")`),
		chromedp.SendKeys(limit, "99")))
	b.click("restarts")
	b.until("restarts", `limit \d+: must be from 0 to 10`)
	for len(b.console) > 0 {
		require.Contains(t, <-b.console, "400 (Bad Request)")
	}
}

// TestBrowserEverybodyCanRead checks the pictures with axe-core, also in the dark, and
// on a phone.
func TestBrowserEverybodyCanRead(t *testing.T) {
	folder, _ := os.UserCacheDir()
	path := cmp.Or(os.Getenv("PAGE_AXE"), filepath.Join(folder, "batch-page/node_modules/axe-core/axe.min.js"))
	script, err := os.ReadFile(path)
	effort.Need(t, err) // see contrib/page/testdata/install-axe
	b := newBrowser(t)
	eval[int](b, string(script)+";0")
	for picture, end := range map[string]string{"life": "are kept", "lanes": "one by one", "restarts": "restarts reach"} {
		b.click(picture)
		b.until(picture, end+".*logs -l")
	}
	for _, scheme := range []string{"light", "dark"} {
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		require.NoError(t, err)
		require.Empty(t, eval[[]string](b, `axe.run(document, {resultTypes: ["violations"]}).then(
			r => r.violations.flatMap(v => v.nodes.map(n => v.id + ": " + n.html.slice(0, 200))))`), scheme)
		b.keep(scheme + ".png")
	}
	require.NoError(t, chromedp.Do(b.ctx, chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile)))
	b.holds(`innerWidth === 360 && document.documentElement.scrollWidth <= 360`)
	b.keep("phone.png")
	require.Empty(t, b.console)
}
