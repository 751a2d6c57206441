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
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	jobpage "github.com/runtocompletion/batch/contrib/page"
)

// TestPictures draws the list and a job as doc/ has them. With PAGE_PICTURES=1 the
// pictures are written anew.
func TestPictures(t *testing.T) {
	b := newBrowser(t, 1200, 900)
	b.run(chromedp.EmulateViewport(1200, 860))
	w := newWorld(t, jobpage.Options{})
	w.show()
	folder := t.TempDir()
	if os.Getenv("PAGE_PICTURES") != "" {
		folder = "doc"
	}
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		for name, address := range map[string]string{"list": w.url, "job": w.url + "job/thumbnails"} {
			b.open(address)
			b.until(`document.getElementById("live").textContent === "live"`)
			data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			require.NoError(t, err)
			require.Less(t, len(data), 200<<10, name)
			require.NoError(t, os.WriteFile(filepath.Join(folder, name+"-"+scheme+".png"), data, 0o644))
		}
	}
}

// show has jobs in every state.
func (w *world) show() {
	w.t.Helper()
	ends := batch.ExecutorFunc(func(_ context.Context, a batch.Attempt) error {
		fmt.Fprintln(a.Stdout(), "connecting to db-3.internal")
		return errors.New("dial tcp 10.2.0.7:5432: connection refused")
	})
	w.create(
		batch.Job{Name: "nightly-report", Completions: new(12), Parallelism: new(4), Executor: work(20 * time.Millisecond),
			Labels: map[string]string{"team": "data"}},
		batch.Job{
			Name: "schema-migration", BackoffLimit: new(0), Executor: ends, Labels: map[string]string{"team": "platform"},
		},
		batch.Job{Name: "reindex", Completions: new(10_000_000), CompletionMode: batch.Indexed, Parallelism: new(2),
			Suspend: true,
			Labels:  map[string]string{"team": "search"}},
		batch.Job{Name: "customer-import", Completions: new(40), CompletionMode: batch.Indexed, Parallelism: new(2),
			BackoffLimitPerIndex: new(3), Executor: importer, Labels: map[string]string{"team": "data", "tier": "batch"}},
		batch.Job{Name: "flaky-sync", Executor: ends, Labels: map[string]string{"team": "platform"}},
		batch.Job{Name: "thumbnails", Completions: new(48), CompletionMode: batch.Indexed, Parallelism: new(5),
			BackoffLimitPerIndex: new(2), Backoff: batch.ConstantBackoff(900 * time.Millisecond),
			ActiveDeadline: new(time.Hour), Executor: thumbnails, Labels: map[string]string{"team": "web", "tier": "batch"}},
	)
	w.finish("nightly-report", "schema-migration")
	require.NoError(w.t, w.controller.Suspend(w.t.Context(), "customer-import"))
	w.reached("thumbnails", func(s batch.Status) bool { return s.Succeeded >= 27 })
}

// reached waits for a status of a job.
func (w *world) reached(job string, is func(batch.Status) bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	for change, err := range w.controller.Watch(ctx, 0) {
		require.NoError(w.t, err)
		if change.Status.Name == job && is(change.Status) {
			return
		}
	}
}

var importer = batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
	return work(30*time.Millisecond).Execute(ctx, a)
})

// thumbnails take different times, some fail, and one does so for good.
var thumbnails = batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
	fmt.Fprintf(a.Stdout(), "GET s3://photos/%04d.jpg\n", a.Index*37%1000)
	d := time.Duration(500+(a.Index*7919)%1500) * time.Millisecond
	if a.Index >= 28 {
		d = time.Hour
	}
	if err := work(d).Execute(ctx, a); err != nil {
		return err
	}
	if a.Index == 9 || a.Index%6 == 3 && a.Number == 0 {
		fmt.Fprintln(a.Stderr(), "decode: unexpected EOF")
		return fmt.Errorf("photo %d: %w", a.Index, errors.New("unexpected EOF"))
	}
	fmt.Fprintf(a.Stdout(), "resized to 640×480, %d kB\n", 31+a.Index*13%40)
	a.SetOutput(fmt.Sprintf("%d kB", 31+a.Index*13%40))
	return nil
})
