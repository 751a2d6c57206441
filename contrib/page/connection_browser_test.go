package page_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

// A streamChange is the begin or the end of a stream.
type streamChange struct {
	open  int64 // streams, after it
	views int   // of the stream
}

// streams are the begins and ends of streams from now on.
func (w *world) streams() <-chan streamChange {
	var open atomic.Int64
	changes := make(chan streamChange, 1000)
	w.intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if views := len(r.URL.Query()["v"]); strings.HasSuffix(r.URL.Path, "/stream") {
			changes <- streamChange{open.Add(1), views}
			defer func() { changes <- streamChange{open.Add(-1), views} }()
		}
		next.ServeHTTP(rw, r)
	})
	return changes
}

// intercept puts a handler before that of the server.
func (w *world) intercept(handle func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	next := w.server.Config.Handler
	w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handle(rw, r, next) })
}

// awaits waits for such a change.
func awaits(ctx context.Context, changes <-chan streamChange, is func(streamChange) bool) error {
	for {
		select {
		case change := <-changes:
			if is(change) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestBrowserHasOneStream opens two pages in one browser.
func TestBrowserHasOneStream(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	changes := w.streams()
	w.create(batch.Job{Name: "a", Suspend: true})
	b.open(w.url)
	b.until(isLive)
	other := b.tab()
	other.open(w.url + "job/a")
	other.until(isLive)
	require.NoError(t, w.controller.Resume(t.Context(), "a"))
	other.until(text("summary") + `.includes("Complete")`)
	b.until(text("jobs") + `.includes("Complete")`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	shared := false
	require.NoError(t, awaits(ctx, changes, func(c streamChange) bool {
		shared = shared || c.views == 2
		return shared && c.open == 1
	}), "one for both, and no other")
	other.open("about:blank")
	b.open("about:blank")
	none := func(c streamChange) bool { return c.open == 0 }
	require.NoError(t, awaits(ctx, changes, none), "a closed page costs nothing")
}

// TestBrowserLeaves: a page ends its stream before another one takes its place, which the
// server does not give before. Back is a page that moves, and so is one that was not left.
func TestBrowserLeaves(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	changes := w.streams()
	w.intercept(func(rw http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path != "/elsewhere" {
			next.ServeHTTP(rw, r)
		} else if awaits(r.Context(), changes, func(c streamChange) bool { return c.open == 0 }) == nil {
			fmt.Fprint(rw, "elsewhere")
		}
	})
	w.create(batch.Job{Name: "first", Suspend: true})
	b.open(w.url + "job/first")
	b.until(isLive)
	b.expect("favicon.ico")
	b.open(w.server.URL + "/elsewhere")
	eval[int](b, `history.back(); 0`) // which loads nothing if the page was kept
	b.until(`document.getElementById("summary") !== null && ` + isLive)
	require.NoError(t, w.controller.Resume(t.Context(), "first"))
	b.until(text("summary") + `.includes("Complete")`)

	for _, leave := range []string{`document.querySelector("a[download]").click()`,
		`location.href = "../job/first/file/joblog.tsv"`} {
		eval[int](b, leave+`; 0`)
		_, err := w.controller.Again(t.Context(), "first", false)
		require.NoError(t, err)
		w.finish("first")
		status, err := w.controller.Get("first")
		require.NoError(t, err)
		b.until(fmt.Sprintf(`document.querySelectorAll("#attempts > tr").length === %d`, status.Run))
	}
}

func TestBrowserReconnects(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	b.expect("net::ERR_CONNECTION_REFUSED")
	b.expect("ERR_INCOMPLETE_CHUNKED_ENCODING")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	serve := func(listener net.Listener, suspended bool) (stop func()) {
		w := &world{t: t, controller: newController(t, batch.Options{})}
		w.create(batch.Job{Name: "job", Suspend: suspended})
		server := &http.Server{Handler: page.Handler(w.controller, page.Options{})}
		go func() { _ = server.Serve(listener) }()
		return func() { require.NoError(t, server.Close()) }
	}
	stop := serve(listener, true)
	b.open("http://" + address + "/job/job")
	b.until(isLive + ` && ` + text("summary") + `.includes("Suspended")`)
	stop()
	b.until(text("live") + ` === "no connection"`)
	listener, err = net.Listen("tcp", address)
	require.NoError(t, err)
	stop = serve(listener, false)
	defer stop()
	b.until(isLive + ` && ` + text("summary") + `.includes("Complete")`)
}

// TestBrowserWithoutSharedWorkers: where browsers have no such workers, as on some
// phones, each page has a stream of its own.
func TestBrowserWithoutSharedWorkers(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	b.before(`delete globalThis.SharedWorker`)
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "first", Suspend: true})
	b.open(w.url)
	require.Equal(t, "undefined", eval[string](b, `typeof SharedWorker`))
	b.until(isLive)
	require.NoError(t, w.controller.Resume(t.Context(), "first"))
	b.until(text("jobs") + `.includes("Complete")`)
	b.run(chromedp.Click(`a[href="./job/first"]`))
	b.until(isLive + ` && location.pathname.endsWith("/job/first")`)
	eval[int](b, `history.back(); 0`)
	b.until(isLive + ` && document.getElementById("jobs") !== null`)
	w.create(batch.Job{Name: "second", Suspend: true})
	b.until(text("jobs") + `.includes("second")`)
}
