package page_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
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

func TestBrowserTimeline(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "lanes", CompletionMode: batch.Indexed, Completions: new(9), Parallelism: new(3),
		BackoffLimitPerIndex: new(2),
		Backoff:              batch.ConstantBackoff(100 * time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index == 4 && a.Number == 0 {
				return errors.New("once")
			}
			return work(3*time.Millisecond).Execute(ctx, a)
		})})
	w.finish("lanes")
	b.open(w.url + "job/lanes")
	b.until(`document.querySelectorAll("#timeline svg.box").length === 10`)
	require.LessOrEqual(t, eval[int](b, `document.querySelectorAll("#timeline .lanes li").length`), 4)
	require.Equal(t, 1, eval[int](b, `document.querySelectorAll("#timeline svg.wait").length`), "the back-off shows")
	b.run(chromedp.Click("[data-do=lanes]"))
	b.until(`[...document.querySelectorAll("#timeline .lanes li")].map(e => e.textContent).join(" ") === ` +
		`"0 1 2 3 4 5 6 7 8"`)

	is := func(attribute, test string, value float64) {
		b.until(fmt.Sprintf(`(is => `+test+`)(parseFloat(document.querySelector("#timeline svg.wait").getAttribute(%q)))`,
			value, attribute))
	}
	width := eval[float64](b, `parseFloat(document.querySelector("#timeline svg.wait").getAttribute("width"))`)
	b.run(chromedp.Focus("#timeline .chart"), chromedp.KeyEvent("+"))
	is("width", "Math.abs(is - 2 * %f) < 0.1", width)
	place := eval[float64](b, `parseFloat(document.querySelector("#timeline svg.wait").getAttribute("x"))`)
	b.run(chromedp.KeyEvent(kb.ArrowRight))
	is("x", "is < %f", place)
	b.run(chromedp.KeyEvent("0"))
	is("width", "Math.abs(is - %f) < 0.1", width)
	b.run(chromedp.KeyEvent("f"))
	b.until(`document.querySelector("[data-do=follow]").getAttribute("aria-pressed") === "true"`)
}

// TestBrowserShowsEveryBackOff: a slot that another attempt takes at once hides no back-off.
// The times are those of the test.
func TestBrowserShowsEveryBackOff(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "taken", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(2),
		BackoffLimitPerIndex: new(1), Backoff: batch.ConstantBackoff(0), Executor: batch.ExecutorFunc(
			func(ctx context.Context, a batch.Attempt) error {
				if a.Index == 0 && a.Number == 0 {
					return errors.New("once")
				}
				return nil
			})})
	w.finish("taken")
	b.before(`document.addEventListener("readystatechange", () => {
		if (document.readyState !== "interactive") return; // before the script of the page
		const scale = document.getElementById("scale").dataset, start = Number(scale.start);
		scale.end = start + 400;
		const times = { "0/0": [0, 100], "1/0": [0, 100], "2/0": [100, 200], "0/1": [300, 400] };
		const rows = [...document.querySelectorAll("#attempts > tr")];
		const at = row => times[row.dataset.index + "/" + row.dataset.number];
		for (const row of rows) [row.dataset.a, row.dataset.b] = at(row).map(at => start + at);
		rows.sort((x, y) => at(y)[0] - at(x)[0] || y.dataset.index - x.dataset.index);
		document.getElementById("attempts").append(...rows);
	})`)
	b.open(w.url + "job/taken")
	b.until(`document.querySelectorAll("#timeline svg.box").length === 4`)
	require.Equal(t, 2, eval[int](b, `document.querySelectorAll("#timeline .lanes li").length`))
	const share = `(s => [parseFloat(s.getAttribute("x")), parseFloat(s.getAttribute("width"))])`
	require.InDeltaSlice(t, []float64{25 / 1.02, 50 / 1.02},
		eval[[]float64](b, share+`(document.querySelector("#timeline svg.wait"))`), 0.1)
	require.Empty(t, eval[string](b, `[...document.querySelectorAll("#timeline svg.wait line")].filter(line =>
		[...document.querySelectorAll("#timeline svg.box rect")].some(box => {
			const l = line.getBoundingClientRect(), r = box.getBoundingClientRect();
			return l.top < r.bottom && l.bottom > r.top && l.left < r.right - 1 && l.right > r.left + 1;
		})).map(line => line.outerHTML).join()`), "nothing is drawn over it")
}

// TestBrowserShowsNoBackOffOfWhatWasGivenUp: an index that is not tried again waits for
// nothing, while another one does.
func TestBrowserShowsNoBackOffOfWhatWasGivenUp(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	forGood := errors.New("for good")
	w.create(batch.Job{Name: "waits", CompletionMode: batch.Indexed, Completions: new(2), BackoffLimitPerIndex: new(1),
		Backoff:       batch.ConstantBackoff(time.Hour),
		FailurePolicy: []batch.FailureRule{{Action: batch.ActionFailIndex, OnError: batch.ErrorIs(forGood)}},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index == 0 {
				return forGood
			}
			return errors.New("once")
		})})
	w.reached("waits", func(s batch.Status) bool { return s.FailedIndexes.Len() == 1 && !s.NextRetry.IsZero() })
	b.open(w.url + "job/waits")
	b.until(`document.querySelectorAll("#timeline svg.box.failed").length === 2`)
	b.until(`document.querySelectorAll("#timeline svg.wait").length === 1`)
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
		b.until(fmt.Sprintf(`document.querySelector("main").innerText.includes(%q)`, part))
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

// TestBrowserRestarts: each run of an attempt that is restarted in place is a piece of
// its lane, with its outcome, and the back-off is between them.
func TestBrowserRestarts(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "flaky", RestartPolicy: batch.RestartOnFailure, BackoffLimit: new(9),
		RestartBackoff: batch.ConstantBackoff(40 * time.Millisecond),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Restarts == 3 {
				return nil
			}
			return errors.Join(work(20*time.Millisecond).Execute(ctx, a), errors.New("not yet"))
		})})
	w.finish("flaky")
	b.open(w.url + "job/flaky")
	b.until(`document.querySelectorAll("#timeline svg.box").length === 4`)
	require.Equal(t, 3, eval[int](b, `document.querySelectorAll("#timeline svg.box.failed").length`))
	require.Equal(t, 1, eval[int](b, `document.querySelectorAll("#timeline svg.box.succeeded").length`))
	require.Equal(t, 3, eval[int](b, `document.querySelectorAll("#timeline svg.wait").length`))
	require.Equal(t, 1, eval[int](b, `document.querySelectorAll("#timeline .lanes li").length`))
	ends := `[...document.querySelectorAll("#timeline svg.box, #timeline svg.wait")]
		.map(e => [e.x.baseVal.value, e.x.baseVal.value + e.width.baseVal.value]).sort((a, b) => a[0] - b[0])`
	gaps := ends + `.reduce((worst, e, i, all) => i ? Math.max(worst, Math.abs(e[0] - all[i - 1][1])) : 0, 0)`
	require.Less(t, eval[float64](b, gaps), 4.0, "runs and back-offs follow each other without gaps or overlaps")
	require.Contains(
		t, eval[string](b, `document.querySelector("#timeline svg.box.failed title").textContent`), "exit code 1",
	)
	b.accessible()
	b.run(chromedp.Click("#attempts a", chromedp.AtLeast(1)))
	b.until(`document.querySelectorAll("#runs li").length === 4 && ` + text("runs") + `.includes("exit code 1")`)
	b.accessible()
}
