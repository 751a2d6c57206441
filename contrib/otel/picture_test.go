package otel_test

import (
	"context"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/otel"
	"github.com/runtocompletion/batch/internal/picture"
)

// A bar is a span of the picture. Places are in percent of the trace.
type bar struct {
	Name, Says, Kind string
	At, Width        float64
	Depth            int
}

var waterfall = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 14px 18px; font: 13px/26px "DejaVu Sans", sans-serif; color: #1b1f24; }
div { display: grid; grid-template-columns: 400px 1fr; white-space: nowrap; border-top: 1px solid #e1e4e9; }
p { margin: 0; position: relative; } b { font-weight: 600; } i { color: #5b6470; font-style: normal; }
s { position: absolute; top: 6px; height: 14px; border-radius: 3px; background: #4b8df0; }
.failed s { background: #df5156; } .user s { background: #9a6dd7; }</style>
{{range .}}<div class="{{.Kind}}"><p style="padding-left: {{.Depth}}8px"><b>{{.Name}}</b> <i>{{.Says}}</i></p>
<p><s style="left: {{printf "%.2f" .At}}%; width: {{printf "%.2f" .Width}}%"></s></p></div>{{end}}`))

// TestPicture draws the spans of a job whose second part fails once, as doc/ has them.
func TestPicture(t *testing.T) {
	var bars []bar
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, batch.Options{}, otel.Options{})
		ctx, request := l.tracer.Start(t.Context(), "POST /imports")
		require.NoError(t, l.telemetry.Create(ctx, batch.Job{
			Name: "import", CompletionMode: batch.Indexed, Completions: new(3), Parallelism: new(2),
			BackoffLimitPerIndex: new(2), Backoff: batch.ConstantBackoff(5 * time.Second),
			Executor: batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
				time.Sleep(time.Duration(2+a.Index) * time.Second)
				_, query := l.tracer.Start(ctx, "INSERT")
				defer query.End()
				time.Sleep(4 * time.Second)
				if a.Index == 1 && a.Number == 0 {
					return batchtest.ErrFailed
				}
				return nil
			}),
		}))
		time.Sleep(time.Second)
		request.End()
		_, err := l.Wait(t.Context(), "import")
		require.NoError(t, err)
		l.finish()
		bars = barsOf(l.spans.Ended())
	})
	require.Len(t, bars, 10, "a request, a job, four attempts and what they do")
	file := filepath.Join(t.TempDir(), "trace.html")
	page, err := os.Create(file)
	require.NoError(t, err)
	require.NoError(t, waterfall.Execute(page, bars))
	require.NoError(t, page.Close())
	picture.Take(t, "file://"+filepath.ToSlash(file), "trace", 1000, 300)
}

// barsOf draws spans in the order of their starts, each below its parent.
func barsOf(spans []sdktrace.ReadOnlySpan) (bars []bar) {
	slices.SortStableFunc(spans, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	first, last := spans[0].StartTime(), spans[0].EndTime()
	for _, s := range spans {
		if s.EndTime().After(last) {
			last = s.EndTime()
		}
	}
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / last.Sub(first).Seconds() }
	var below func(parent sdktrace.ReadOnlySpan, depth int)
	below = func(parent sdktrace.ReadOnlySpan, depth int) {
		for _, s := range spans {
			if s.Parent().SpanID() != parent.SpanContext().SpanID() {
				continue
			}
			bars = append(bars, barOf(s, depth, share(s.StartTime().Sub(first)), share(s.EndTime().Sub(s.StartTime()))))
			below(s, depth+1)
		}
	}
	bars = append(bars, barOf(spans[0], 0, 0, share(spans[0].EndTime().Sub(first))))
	below(spans[0], 1)
	return bars
}

func barOf(s sdktrace.ReadOnlySpan, depth int, at, width float64) bar {
	b := bar{Name: s.Name(), Depth: 2 * depth, At: at, Width: width, Kind: "user"}
	if index, ok := attributeOf(s.Attributes(), "batch.attempt.index"); ok {
		number, _ := attributeOf(s.Attributes(), "batch.attempt.number")
		outcome, _ := attributeOf(s.Attributes(), "batch.attempt.outcome")
		b.Says, b.Kind = fmt.Sprintf("index %v, retry %v: %v", index, number, outcome), fmt.Sprint(outcome)
	}
	if state, ok := attributeOf(s.Attributes(), "batch.job.state"); ok {
		b.Says, b.Kind = fmt.Sprint(state), "job"
	}
	return b
}
