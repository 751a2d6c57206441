package otel_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/otel"
)

func TestHandlerIsAHandler(t *testing.T) {
	var text bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		text.Reset()
		return otel.NewHandler(slog.NewJSONHandler(&text, nil))
	}, func(t *testing.T) map[string]any {
		var line map[string]any
		require.NoError(t, json.Unmarshal(text.Bytes(), &line))
		return line
	})
}

func TestLogsHaveTheirTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		handler := otel.NewHandler(slog.NewJSONHandler(&text, nil))
		logger := slog.New(handler)
		logger.Info("before")
		l := newLab(t, batch.Options{Logger: logger}, otel.Options{Handler: handler})
		l.create(batch.Job{Name: "j", BackoffLimit: new(0), Executor: batch.ExecutorFunc(
			func(ctx context.Context, a batch.Attempt) error {
				a.Logger().Info("by the attempt")
				logger.InfoContext(ctx, "by its context")
				logger.With("x", 1).WithGroup("g").With("y", 2).InfoContext(ctx, "in a group", "z", 3)
				_, query := l.tracer.Start(ctx, "query")
				defer query.End()
				logger.Info("by nobody")
				return batchtest.ErrFailed
			})})
		_, err := l.Wait(t.Context(), "j")
		require.Error(t, err)
		l.finish()

		job, attempt := l.one("batch.job").SpanContext(), l.one("batch.attempt").SpanContext()
		spans := make(map[string]string)
		for line := range strings.Lines(text.String()) {
			var record map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &record))
			message := record["msg"].(string)
			switch record["span_id"] {
			case job.SpanID().String():
				spans[message] = "job"
			case attempt.SpanID().String():
				spans[message] = "attempt"
			default:
				require.NotContains(t, record, "trace_id", message)
				continue
			}
			require.Equal(t, job.TraceID().String(), record["trace_id"])
			if message == "in a group" {
				require.Equal(t, map[string]any{"y": 2.0, "z": 3.0}, record["g"])
			}
		}
		// Before the job has a span there is none to name, and after its end
		// that may be over.
		delete(spans, "job created")
		delete(spans, "job finished")
		require.Equal(t, map[string]string{"by the attempt": "attempt", "by its context": "attempt",
			"in a group": "attempt", "attempt failed": "attempt"}, spans)
	})
}
