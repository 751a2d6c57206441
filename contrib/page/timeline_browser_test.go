package page_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

// eventful creates a job "eventful" with an attempt that has failed, one that was
// disrupted, one that was stopped as the job was suspended, and one that runs.
func (w *world) eventful() {
	w.t.Helper()
	ctx := w.t.Context()
	w.create(batch.Job{Name: "eventful", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(3),
		BackoffLimitPerIndex: new(3), Backoff: batch.ConstantBackoff(time.Hour), ActiveDeadline: new(2 * time.Hour),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			a.Progress(3, 20, "reads part")
			if a.Index == 0 {
				panic("no such part")
			}
			return blocks(ctx, a)
		})})
	w.reached("eventful", func(s batch.Status) bool { return !s.NextRetry.IsZero() && s.Ready == 2 })
	attempts, err := w.controller.Attempts(ctx, "eventful")
	require.NoError(w.t, err)
	require.NoError(w.t, w.controller.Disrupt(ctx, "eventful", attempts[1].UID, "EvictionByEvictionAPI"))
	w.reached("eventful", func(s batch.Status) bool { return s.Ready == 1 })
	require.NoError(w.t, w.controller.Suspend(ctx, "eventful"))
	w.reached("eventful", func(s batch.Status) bool { return s.Active == 0 && s.Terminating == 0 })
	require.NoError(w.t, w.controller.Resume(ctx, "eventful"))
	w.reached("eventful", func(s batch.Status) bool { return s.Ready == 1 })
}

// TestBrowserTimelineShowsWhatHappens: an attempt's colour says how it went, and
// suspensions, the next try and the deadline are marked, also if they are far off.
func TestBrowserTimelineShowsWhatHappens(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{Write: true})
	w.eventful()
	b.open(w.url + "job/eventful")
	b.until(isLive + ` && document.querySelectorAll("#timeline svg.box").length === 4`)
	colours := eval[[]string](b, `["failed", "disrupted", "stopped", "running"].map(is => `+
		`getComputedStyle(document.querySelector("#timeline svg.box." + is + " rect")).fill)`)
	require.Len(t, unique(colours), 4, colours)
	require.Equal(t, 1, eval[int](b, `document.querySelectorAll("#timeline svg.band").length`), "the suspension")
	marks := `[...document.querySelectorAll("#timeline svg.mark text")].map(e => e.textContent).sort().join()`
	require.Equal(t, "deadline →,next try →", eval[string](b, marks))
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("#timeline svg.mark text")].filter(e => {
		const plot = document.querySelector("#timeline .plot").getBoundingClientRect(), r = e.getBoundingClientRect();
		return r.left < plot.left || r.right > plot.right || r.top < plot.top || r.bottom > plot.bottom;
	}).map(e => e.textContent)`), "they are in the picture")
	require.Contains(t, eval[string](b, text("facts")), "none, 3 for each index")

	w.create(batch.Job{Name: "late", ActiveDeadline: new(50 * time.Millisecond), Executor: blocks})
	w.finish("late")
	b.open(w.url + "job/late")
	b.until(marks + ` === "deadline"`)
	w.create(batch.Job{Name: "soon", ActiveDeadline: new(time.Hour)})
	w.finish("soon")
	b.open(w.url + "job/soon")
	b.until(`document.querySelectorAll("#timeline svg.box").length === 1`)
	require.Empty(t, eval[string](b, marks), "what is over has no deadline to come")
}

func unique(list []string) map[string]bool {
	set := make(map[string]bool)
	for _, s := range list {
		set[s] = true
	}
	return set
}

// TestBrowserInTheDark: every page can be read in the dark.
func TestBrowserInTheDark(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	b.scheme("dark")
	w := newWorld(t, page.Options{Write: true})
	w.eventful()
	attempts, err := w.controller.Attempts(t.Context(), "eventful")
	require.NoError(t, err)
	w.create(batch.Job{Name: "done"}, batch.Job{Name: "waits", Suspend: true},
		batch.Job{Name: "failed", BackoffLimit: new(0), Executor: batch.ExecutorFunc(
			func(context.Context, batch.Attempt) error { return errors.New("no such table") })})
	w.finish("done", "failed")
	for path, part := range map[string]string{
		"":             "next try at",
		"job/eventful": "reads part 3/20",
		"job/eventful/attempt/" + attempts[0].UID: "*batch.PanicError batch: executor panicked: no such part\ngoroutine ",
		"job/eventful/attempt/" + attempts[3].UID: "Progress: reads part\n3/20",
		"job/eventful/change/cancel":              "Cancel job eventful?",
	} {
		b.open(w.url + path)
		require.Contains(t, eval[string](b, `document.querySelector("main").innerText`), part)
		require.Equal(t, "rgb(15, 18, 22)", eval[string](b, `getComputedStyle(document.body).backgroundColor`), path)
		b.accessible()
	}
}

// TestBrowserReadsTheReportOfAJobThatRuns: in a file, time does not pass.
func TestBrowserReadsTheReportOfAJobThatRuns(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	w.eventful()
	file := filepath.Join(t.TempDir(), "report.html")
	report := get(w.server.Config.Handler, prefix+"job/eventful/file/report.html").Body.Bytes()
	require.NoError(t, os.WriteFile(file, report, 0o600))
	b.open("file://" + filepath.ToSlash(file))
	b.until(`document.querySelectorAll("#timeline svg.box").length === 4`)
	const picture = `document.querySelector("#timeline svg").outerHTML`
	before := eval[string](b, picture)
	eval[int](b, `new Promise(done => setTimeout(() => done(0), 1000))`)
	require.Equal(t, before, eval[string](b, picture))
	b.accessible()
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
	b.run(chromedp.NavigateBack())
	b.until(isLive + ` && document.getElementById("jobs") !== null`)
	w.create(batch.Job{Name: "second", Suspend: true})
	b.until(text("jobs") + `.includes("second")`)
}
