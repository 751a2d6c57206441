package batch_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// A handlerFunc is a log handler.
type handlerFunc func(r slog.Record) error

func (f handlerFunc) Enabled(context.Context, slog.Level) bool      { return true }
func (f handlerFunc) Handle(_ context.Context, r slog.Record) error { return f(r) }
func (f handlerFunc) WithAttrs([]slog.Attr) slog.Handler            { return f }
func (f handlerFunc) WithGroup(string) slog.Handler                 { return f }

// TestHostileLogHandlers wants a handler that is slow, panics or exits to delay no
// timer of any job, and to end nothing.
func TestHostileLogHandlers(t *testing.T) {
	release := make(chan struct{})
	for name, handle := range map[string]handlerFunc{
		"it never returns": func(slog.Record) error { <-release; return nil },
		"it is slow":       func(slog.Record) error { time.Sleep(time.Hour); return nil },
		"it panics":        func(slog.Record) error { panic("gotcha") },
		"it exits":         func(slog.Record) error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release = make(chan struct{})
				c, err := batch.New(t.Context(), batch.Options{Logger: slog.New(handle)})
				require.NoError(t, err)
				start := time.Now()
				for _, name := range []string{"a", "b", "c"} {
					mustCreate(t, c, batch.Job{
						Name: name, BackoffLimit: new(2), Backoff: batch.ConstantBackoff(time.Minute), Executor: fails(errDisk),
					})
				}
				for _, name := range []string{"a", "b", "c"} {
					_, err := c.Wait(t.Context(), name)
					failed(t, err, batch.ReasonBackoffLimitExceeded)
					require.WithinDuration(t, start.Add(2*time.Minute), time.Now(), 10*time.Millisecond)
				}
				close(release)
				time.Sleep(100 * time.Hour)
				require.NoError(t, c.Shutdown(ended(errCause)))
			})
		})
	}
}
