package page_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/page"
)

const (
	isLive   = `document.getElementById("live").textContent === "live"`
	isLoaded = `document.readyState === "complete"`
)

// text is an expression for the text of an element.
func text(id string) string { return fmt.Sprintf(`document.getElementById(%q).innerText`, id) }

func TestBrowserListIsLive(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "first", Suspend: true, Labels: map[string]string{"team": "data"}})
	b.open(w.url)
	b.until(isLive)
	b.accessible()
	b.until(text("jobs") + `.includes("Suspended")`)
	require.NoError(t, w.controller.Resume(t.Context(), "first"))
	b.until(text("jobs") + `.includes("Complete")`)
	w.create(batch.Job{Name: "second", Suspend: true})
	b.until(`document.querySelectorAll("#jobs > tr").length === 2 && document.querySelector("#jobs > ` +
		`tr").innerText.includes("second")`)
	require.NoError(t, w.controller.Delete(t.Context(), "first", batch.DeleteBackground))
	b.until(`document.querySelectorAll("#jobs > tr").length === 1`)

	b.run(chromedp.SendKeys("input[name=q]", "nothing like it"))
	b.until(text("pager") + ` === "No jobs."`)
	b.until(`location.search === "?q=nothing+like+it"`)
	require.Equal(t, "q", eval[string](b, `document.activeElement.name`), "typing goes on")
	w.create(batch.Job{Name: "sidelined", Suspend: true})
	b.run(
		chromedp.Evaluate[chromedp.Void](`document.querySelector("input[name=q]").select()`), chromedp.KeyEvent("sideline"),
	)
	b.until(`document.querySelectorAll("#jobs > tr").length === 1 && ` + text("jobs") + `.includes("sidelined")`)
	require.NoError(t, w.controller.Resume(t.Context(), "sidelined"))
	b.until(text("jobs") + `.includes("Complete")`)
}

func TestBrowserJobIsLive(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{Write: true})
	step := make(chan error)
	w.create(batch.Job{
		Name: "import", CompletionMode: batch.Indexed, Completions: new(2), BackoffLimitPerIndex: new(3),
		Backoff:        batch.ConstantBackoff(0),
		ActiveDeadline: new(time.Hour),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), "reads part", a.Index)
			a.SetOutput("42 rows")
			return <-step
		}),
	})
	b.open(w.url + "job/import")
	b.until(isLive)
	b.until(`document.querySelectorAll("#timeline svg.box.running").length === 1`)
	b.until(text("logs") + `.includes("reads part 0")`)
	step <- errors.New("disk is full")
	b.until(
		`document.querySelectorAll("#attempts > tr").length === 2 && ` + text("attempts") + `.includes("disk is full")`,
	)
	b.until(`document.querySelectorAll("#timeline svg.box.failed").length === 1`)
	step <- nil
	b.until(text("logs") + `.includes("reads part 1") && document.querySelectorAll("svg.map .done").length === 1`)
	b.accessible()
	step <- nil
	b.until(text("summary") + `.includes("Complete")`)
	b.until(text("attempts") + `.includes("42 rows") && ` + text("events") + `.includes("Completed")`)
	b.accessible()

	b.run(chromedp.Click("#attempts a", chromedp.AtLeast(1)))
	b.until(`location.pathname.includes("/attempt/") && ` + isLive)
	b.until(text("logs") + `.includes("reads part")`)
	b.accessible()
}

func TestBrowserTenThousandJobs(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	for i := range 10_000 {
		w.create(batch.Job{Name: fmt.Sprintf("job-%04d", i), Suspend: true})
	}
	b.open(w.url)
	b.until(isLive + ` && ` + text("pager") + `.includes("1–100 of 10,000")`)
	require.Equal(t, 100, eval[int](b, `document.querySelectorAll("#jobs > tr").length`))
	b.run(chromedp.Click("#pager a[rel=next]"))
	b.until(isLive + ` && ` + text("pager") + `.includes("101–200 of 10,000")`)
	b.run(chromedp.SendKeys("input[name=q]", "0042"))
	b.until(`document.querySelectorAll("#jobs > tr").length === 1`)
	require.NoError(t, w.controller.Resume(t.Context(), "job-0042"))
	b.until(text("jobs") + `.includes("Complete")`)
	b.accessible()
}

func TestBrowserMapOfTenMillionIndexes(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	const n = 10_000_000
	w.create(batch.Job{Name: "huge", CompletionMode: batch.Indexed, Completions: new(n), Parallelism: new(2),
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			if a.Index < 30_000 {
				return nil
			}
			return blocks(ctx, a)
		})})
	w.reached("huge", func(s batch.Status) bool { return s.Succeeded == 30_000 })
	b.open(w.url + "job/huge")
	b.until(isLive + ` && document.querySelector("svg.map .done")?.getAttribute("width") === "3"`)
	b.until(`document.querySelector("svg.map .active")?.getAttribute("width") === "1"`)
	require.Less(t, eval[int](b, `document.querySelectorAll("svg.map rect").length`), 60)
	b.accessible()
	// A click on the fourth cell leads to its indexes.
	b.run(chromedp.ScrollIntoView("svg.map"))
	box := eval[[]float64](
		b, `(r => [r.left, r.top, r.width / 50])(document.querySelector("svg.map").getBoundingClientRect())`,
	)
	b.run(chromedp.MouseClickXY(box[0]+3.5*box[2], box[1]+0.5*box[2]))
	b.until(`location.search === "?from=30000&to=40000" && ` + isLive)
	require.Equal(t, "10", eval[string](b, `document.querySelector("svg.map").dataset.each`))
}

// TestBrowserMapByKeyboard: the cells of the map are reached, and read, without a pointer.
func TestBrowserMapByKeyboard(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	step := make(chan error)
	w.create(batch.Job{Name: "map", CompletionMode: batch.Indexed, Completions: new(25), BackoffLimitPerIndex: new(0),
		Executor: batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return <-step })})
	step <- nil
	step <- errors.New("no such part")
	b.open(w.url + "job/map")
	b.until(isLive + ` && document.querySelector("svg.map .active")?.getAttribute("x") === "2"`)
	b.accessible()
	says := func(want string) {
		t.Helper()
		b.until(fmt.Sprintf(`document.activeElement.id === "cells" && document.activeElement.role === "slider" &&
			document.activeElement.ariaValueText === %q`, want))
	}
	b.run(chromedp.Focus("#cells"))
	says("Index 0: succeeded")
	press := func(keys ...string) {
		for _, key := range keys {
			b.run(chromedp.KeyEvent(key))
		}
	}
	press(kb.ArrowRight)
	says("Index 1: failed")
	press(kb.ArrowRight)
	says("Index 2: running")
	b.accessible()
	step <- nil
	says("Index 2: succeeded")
	press(kb.ArrowDown, kb.ArrowDown, kb.ArrowDown)
	says("Index 22: not begun")
	press(kb.End)
	says("Index 24: not begun")
	press(kb.Home, kb.ArrowLeft, kb.ArrowRight, kb.Enter)
	b.until(`location.search === "?index=1" && ` + isLive)
	b.until(`document.querySelectorAll("#attempts > tr").length === 1`)
	close(step)
}

func TestBrowserOnAPhone(t *testing.T) {
	b := newBrowser(t, 360, 740)
	b.run(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch))
	w := newWorld(t, page.Options{Write: true})
	w.create(batch.Job{Name: strings.Repeat("long-name-", 6) + "end",
		Labels: map[string]string{"a-long-label": strings.Repeat("x", 60)}},
		batch.Job{Name: "report", CompletionMode: batch.Indexed, Completions: new(2000), Suspend: true})
	w.finish(strings.Repeat("long-name-", 6) + "end")
	for _, path := range []string{"", "job/report", "job/" + strings.Repeat("long-name-", 6) + "end",
		"job/report/change/parallelism"} {
		b.open(w.url + path)
		require.LessOrEqual(t, eval[int](b, `document.documentElement.scrollWidth`), 360, path)
		b.accessible()
	}
}

func TestBrowserByKeyboardOnly(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{Write: true})
	w.create(batch.Job{Name: "report", Executor: blocks})
	b.open(w.url)
	b.until(isLive)
	press := func(key string) { b.run(chromedp.KeyEvent(key)) }
	reach := func(text string) {
		var way []string
		for range 40 {
			press(kb.Tab)
			way = append(way, eval[string](b, `document.activeElement.outerHTML.slice(0, 60)`))
			if eval[string](b, `document.activeElement.textContent.trim()`) == text {
				require.NotEqual(
					t, "none", eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`), "the focus shows",
				)
				return
			}
		}
		require.Fail(t, "the keyboard does not get to "+text, way)
	}
	_, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: "rawKeyDown", Key: "/"})
	require.NoError(t, err)
	b.until(`document.activeElement.name === "q"`)
	b.run(chromedp.Evaluate[chromedp.Void](`document.activeElement.blur()`))
	reach("report")
	press(kb.Enter)
	b.until(`location.pathname.endsWith("/job/report") && ` + isLive)
	reach("suspend")
	press(kb.Enter)
	b.until(`location.pathname.endsWith("/change/suspend") && ` + isLoaded)
	b.accessible()
	reach("Yes, suspend")
	press(kb.Enter)
	b.until(`document.getElementById("answer")?.innerText === "Job report is suspended." && ` + isLoaded)
	reach("Back to the job")
	press(kb.Enter)
	b.until(`document.getElementById("summary")?.innerText.includes("Suspended")`)
}

// TestBrowserHostileJob has a job that says everything that no page should believe.
func TestBrowserHostileJob(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{})
	evil := "</script><script>globalThis.owned = 1</script><img src=x onerror='globalThis.owned = 1'>\" " +
		"onmouseover=\"owned=1\x1b[31m\xff\u202e"
	w.create(batch.Job{
		Name: "hostile", BackoffLimit: new(0), Annotations: map[string]string{"note": strings.ToValidUTF8(evil, "")},
		Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stderr(), strings.Repeat("megabyte ", 120_000))
			fmt.Fprintln(a.Stdout(), evil)
			a.SetOutput(evil)
			a.Progress(1, 2, evil)
			return errors.New(evil + strings.Repeat("x", 1<<20))
		}),
	})
	w.finish("hostile")
	attempts, err := w.controller.Attempts(t.Context(), "hostile")
	require.NoError(t, err)
	for _, path := range []string{"?q=" + "%3C/script%3E%22onx=", "job/hostile", "job/hostile/attempt/" + attempts[0].UID,
		"job/nothing%3Cscript%3E"} {
		if strings.Contains(path, "nothing") {
			b.expect("404")
		}
		b.open(w.url + path)
		require.Equal(t, "undefined", eval[string](b, `typeof owned`), path)
		require.Zero(t, eval[int](b, `document.querySelectorAll("img, script:not([src])").length`), path)
		require.LessOrEqual(t, eval[int](b, `document.documentElement.scrollWidth`), 1200, path)
		require.Less(t, eval[int](b, `document.documentElement.outerHTML.length`), 200_000, path)
		require.NotRegexp(t, regexp.MustCompile("[\x1b\u202e]"), eval[string](b, `document.body.innerText`), path)
		b.accessible()
	}
	b.open(w.url + "job/hostile")
	b.until(isLive + ` && ` + text("logs") + `.includes("</script>")`)
	require.Equal(t, "undefined", eval[string](b, `typeof owned`))
}

func TestBrowserWithoutJavaScript(t *testing.T) {
	b := newBrowser(t, 1200, 900, chromedp.Flag("blink-settings", "scriptEnabled=false"))
	w := newWorld(t, page.Options{})
	w.create(batch.Job{Name: "report", CompletionMode: batch.Indexed, Completions: new(3), Executor: batch.ExecutorFunc(
		func(ctx context.Context, a batch.Attempt) error {
			fmt.Fprintln(a.Stdout(), "page", a.Index)
			return nil
		})})
	w.finish("report")
	visible := func() string {
		text, err := chromedp.Run(b.ctx, chromedp.Text("main"))
		require.NoError(t, err)
		return text
	}
	b.open(w.url)
	require.Contains(t, visible(), "reached expected number of succeeded pods")
	b.run(chromedp.Click(`a[href="./job/report"]`), chromedp.WaitReady("footer.links"))
	for _, part := range []string{"Complete", "page 2", "Succeeded", "CompletionsReached"} {
		require.Contains(t, visible(), part)
	}
	require.NotContains(t, visible(), "Timeline", "what needs JavaScript is not there")
}

func TestBrowserPrints(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	w := newWorld(t, page.Options{Write: true})
	w.create(batch.Job{Name: "report", CompletionMode: batch.Indexed, Completions: new(60), Parallelism: new(4)})
	w.finish("report")
	b.open(w.url + "job/report")
	b.until(isLive)
	pdf, err := chromedp.Run(b.ctx, chromedp.PrintToPDF(chromedp.PDFPrintBackground()))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(pdf), "%PDF-"))
	pages := len(regexp.MustCompile(`/Type\s*/Page\b`).FindAll(pdf, -1))
	require.InDelta(t, 7, pages, 4, "all attempts and events, and not much more")
}

// TestBrowserReadsTheReport opens the file that has the whole page of a job.
func TestBrowserReadsTheReport(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	file := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(file, []byte(exports(t)("report.html")), 0o600))
	b.open("file://" + filepath.ToSlash(file))
	b.until(`document.querySelectorAll("#timeline svg.box").length === 5`)
	require.Contains(t, eval[string](b, text("main")), "no such <table>")
	b.accessible()
}

// A schedule says of itself what the CronJobs of package cron do.
type schedule struct {
	name, sentence string
	next           []time.Time
	last           string
}

func (s schedule) Summary() (name, sentence string, next []time.Time, last string) {
	return s.name, s.sentence, s.next, s.last
}

// TestBrowserCronJobs: the list shows CronJobs with their next times, in their zone, and
// the job that ended last; a change shows with the next change of a job.
func TestBrowserCronJobs(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	at := time.Date(2026, 3, 30, 2, 30, 0, 0, time.FixedZone("CEST", 7200))
	var crons atomic.Pointer[[]schedule]
	crons.Store(&[]schedule{{"backup", "every day at 02:30 <b>", []time.Time{at, at.AddDate(0, 0, 1)}, "first"}})
	w := newWorld(t, page.Options{CronJobs: page.CronJobsOf(func(yield func(schedule) bool) {
		for _, s := range *crons.Load() {
			if !yield(s) {
				return
			}
		}
	})})
	w.create(batch.Job{Name: "first"})
	b.open(w.url)
	b.until(isLive)
	require.Equal(t, "CronJobs\nbackup every day at 02:30 <b>\n\nNext Mon 30 Mar 02:30 CEST Tue 31 Mar 02:30 CEST Last "+
		"first",
		eval[string](b, text("cronjobs")))
	b.accessible()
	crons.Store(&[]schedule{{"backup", "suspended", nil, ""}, {"report", "@hourly", nil, ""}})
	w.create(batch.Job{Name: "second"})
	b.until(text("cronjobs") + `.includes("report @hourly") && !` + text("cronjobs") + `.includes("Next")`)
	crons.Store(new([]schedule))
	w.create(batch.Job{Name: "third"})
	b.until(`document.getElementById("cronjobs").hidden`)
	b.accessible()
}
