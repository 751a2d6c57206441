package page_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	devtools "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
	"github.com/runtocompletion/batch/internal/effort"
)

// The tests of this file look at the pages with a real browser, if there is one. PAGE_CHROMIUM
// and PAGE_AXE name the programs, if they are not in the usual places.

var chromium = sync.OnceValue(func() string {
	for _, name := range []string{os.Getenv("PAGE_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
})

// A browser is a process of chromium of a test's own, with a page.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex // guards the fields below
	expected []string   // parts of errors that are no surprise
	errors   []string   // that the console has shown
}

// newBrowser starts a browser with a window of that size.
func newBrowser(t *testing.T, width, height int, flags ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	path := chromium()
	if path == "" {
		effort.Need(t, errors.New("no chromium: apt-get install chromium, or PAGE_CHROMIUM"))
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(width, height),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("disable-dev-shm-usage", true),
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(options, flags...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { require.NoError(t, chromedp.Cancel(ctx)) }) // waits for the process
	return newTab(t, ctx)
}

// tab opens one more page in the same browser.
func (b *browser) tab() *browser {
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	return newTab(b.t, ctx)
}

func newTab(t *testing.T, ctx context.Context) *browser {
	t.Helper()
	b := &browser{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	_, err := chromedp.Call(ctx, log.Enable, cdp.Empty{})
	require.NoError(t, err)
	_, err = chromedp.Call(
		ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true},
	)
	require.NoError(t, err)
	t.Cleanup(b.noErrors)
	return b
}

// listen notes what the console shows.
func (b *browser) listen(event any) {
	text := ""
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		text = fmt.Sprint("console.", e.Type)
	case *log.EventEntryAdded:
		text = fmt.Sprint(e.Entry.Level, ": ", e.Entry.Text, " ", e.Entry.URL)
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = append(b.errors, text)
}

// expect names a part of errors that the console may show.
func (b *browser) expect(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = append(b.expected, text)
}

// noErrors fails the test if the console has shown something.
func (b *browser) noErrors() {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for _, text := range b.errors {
		for _, part := range b.expected {
			if strings.Contains(text, part) {
				continue next
			}
		}
		b.t.Errorf("the console shows: %s", text)
	}
}

func (b *browser) run(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, actions...))
}

// patience is what a busy machine may take for one step.
const patience = 2 * time.Minute

func (b *browser) open(address string) {
	b.t.Helper()
	b.run(chromedp.Navigate(address))
}

// eval evaluates an expression on the page, and waits for a promise.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err, expression)
	return value
}

// until waits until an expression is true on the page, or on one that follows it, which may
// not have all of its elements yet. It asks again and again: what waits in a page stays
// behind with it when the page is kept for "back".
func (b *browser) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		if err == nil && is {
			return
		}
		if ctx.Err() != nil {
			shown := eval[string](b, `document.body.innerText.slice(0, 3000)`)
			require.Fail(b.t, "waiting in vain for "+expression, "%v, with the page\n%s", err, shown)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// scheme makes the browser prefer light or dark.
func (b *browser) scheme(name string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
	require.NoError(b.t, err)
}

// before runs a script on each page before its own.
func (b *browser) before(script string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, devtools.AddScriptToEvaluateOnNewDocument,
		devtools.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	require.NoError(b.t, err)
}

// accessible checks the page with axe-core.
func (b *browser) accessible() {
	b.t.Helper()
	folder, _ := os.UserCacheDir()
	path := cmp.Or(os.Getenv("PAGE_AXE"), filepath.Join(folder, "batch-page/node_modules/axe-core/axe.min.js"))
	script, err := os.ReadFile(path)
	if err != nil {
		effort.Need(b.t, fmt.Errorf("no axe-core: testdata/install-axe, or PAGE_AXE: %w", err))
	}
	eval[int](b, string(script)+";0")
	found := eval[[]string](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => r.violations.flatMap(
		v => v.nodes.map(n => [v.id + ":", n.html.slice(0, 200),
			...[...n.any, ...n.all, ...n.none].map(c => c.message)].join(" "))))`)
	require.Empty(b.t, found)
}

// A world is a service with a controller and its pages under a prefix.
type world struct {
	t          *testing.T
	controller *batch.Controller
	server     *httptest.Server
	url        string // of the list
}

const prefix = "/ops/jobs/"

func newWorld(t *testing.T, o page.Options) *world {
	t.Helper()
	w := &world{t: t, controller: newController(t, batch.Options{})}
	handler := page.Handler(w.controller, o)
	mux := http.NewServeMux()
	mux.Handle(prefix, handler)
	w.server = httptest.NewServer(mux)
	t.Cleanup(w.server.Close)
	t.Cleanup(handler.Close)
	w.url = w.server.URL + prefix
	return w
}

func newController(t *testing.T, o batch.Options) *batch.Controller {
	t.Helper()
	c, err := batch.New(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, c.Shutdown(ended))
	})
	return c
}

func (w *world) create(jobs ...batch.Job) {
	w.t.Helper()
	for _, job := range jobs {
		if job.Executor == nil {
			job.Executor = work(0)
		}
		require.NoError(w.t, w.controller.Create(w.t.Context(), job))
	}
}

func (w *world) finish(names ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for _, name := range names {
		_, err := w.controller.Wait(ctx, name)
		if _, failed := err.(*batch.JobError); !failed {
			require.NoError(w.t, err)
		}
	}
}

// work is an executor that works so long.
func work(d time.Duration) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
}

// blocks is an executor that works until its context ends.
var blocks = batch.ExecutorFunc(func(ctx context.Context, _ batch.Attempt) error {
	<-ctx.Done()
	return context.Cause(ctx)
})
