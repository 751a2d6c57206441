package batchtest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runtocompletion/batch"
)

// NewController returns a controller for the test. Without a logger of its own
// it logs to the test's output. When the test ends it is shut down: what still
// runs is cancelled, with [batch.ErrShutdown], and an executor that has not
// returned after its grace period fails the test. Options that are not valid
// end the test.
//
// In a bubble of testing/synctest all of that happens within the bubble, and
// the grace period in its virtual time.
func NewController(t testing.TB, o batch.Options) *batch.Controller {
	t.Helper()
	out := &output{w: t.Output()}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	c, err := batch.New(context.Background(), o)
	if err != nil {
		t.Fatalf("batchtest.NewController: %v", err)
	}
	t.Cleanup(func() {
		defer out.close()
		shutdown(t, c)
	})
	return c
}

// Run runs one job in a [NewController] and waits until it has finished, or
// the test's context ends. Status and error are those of
// [batch.Controller.Wait], or the error of [batch.Controller.Create].
func Run(t testing.TB, job batch.Job) (batch.Status, error) {
	t.Helper()
	c := NewController(t, batch.Options{})
	if err := c.Create(t.Context(), job); err != nil {
		return batch.Status{}, err
	}
	return c.Wait(t.Context(), job.Name)
}

// leakTime is what executors have to return, whatever their grace period, which
// may be zero, before they count as leaked.
const leakTime = time.Second

// shutdown stops c at once and reports what does not end.
func shutdown(t testing.TB, c *batch.Controller) {
	t.Helper()
	start := time.Now()
	err := shutdownWithin(c, 0)
	if err != nil && time.Since(start) < leakTime {
		err = shutdownWithin(c, leakTime)
	}
	if left, ok := errors.AsType[*batch.AbandonedError](err); ok {
		t.Errorf("batchtest: executors leaked: these attempts were cancelled and have not returned within their grace "+
			"period: %s",
			strings.Join(left.Attempts, ", "))
		return
	}
	if err != nil {
		t.Errorf("batchtest: Shutdown: %v", err)
	}
}

// shutdownWithin lets what runs go on for d, and then stops it.
func shutdownWithin(c *batch.Controller, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return c.Shutdown(ctx)
}

// An output is the test's output until it is closed: a test must not be
// written to after its end, and an executor that has leaked may log then.
type output struct {
	mu sync.Mutex // guards w
	w  io.Writer  // nil once closed
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.w == nil {
		return len(p), nil
	}
	return o.w.Write(p)
}

func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.w = nil
}
