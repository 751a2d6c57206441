package batch_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
)

// TestZeroController wants an error from each method that has one.
func TestZeroController(t *testing.T) {
	var c batch.Controller
	ctx := t.Context()
	job := batch.Job{Name: "j", Executor: succeed}
	calls := map[string]func() error{
		"Create":        func() error { return c.Create(ctx, job) },
		"Apply":         func() error { _, err := c.Apply(ctx, job); return err },
		"Run":           func() error { _, err := c.Run(ctx, job); return err },
		"Get":           func() error { _, err := c.Get("j"); return err },
		"Job":           func() error { _, err := c.Job("j"); return err },
		"Update":        func() error { return c.Update(ctx, "j", func(*batch.Job) {}) },
		"Suspend":       func() error { return c.Suspend(ctx, "j") },
		"Delete":        func() error { return c.Delete(ctx, "j", batch.DeleteOrphan) },
		"Cancel":        func() error { return c.Cancel(ctx, "j", nil) },
		"Again":         func() error { _, err := c.Again(ctx, "j", batch.AgainOptions{}); return err },
		"Wait":          func() error { _, err := c.Wait(ctx, "j"); return err },
		"Attempts":      func() error { _, err := c.Attempts(t.Context(), "j"); return err },
		"Results":       func() error { _, err := batch.Results[int](ctx, &c, "j"); return err },
		"Failures":      func() error { _, err := c.Failures(ctx, "j"); return err },
		"Events":        func() error { _, err := c.Events(t.Context(), "j"); return err },
		"Stack":         func() error { _, err := c.Stack("j", "a"); return err },
		"DeleteAttempt": func() error { return c.DeleteAttempt(ctx, "j", "a") },
		"Disrupt":       func() error { return c.Disrupt(ctx, "j", "a", "DeletionByPodGC") },
		"SaveRecord":    func() error { return c.SaveRecord(ctx, "key", nil) },
		"Shutdown":      func() error { return c.Shutdown(ctx) },
		"Subscribe": func() error {
			return c.Subscribe(ctx, "mail", func(context.Context, batch.Change) error { return nil })
		},
		"Subscribe with nil": func() error { return c.Subscribe(ctx, "mail", nil) },
		"Watch": func() (last error) {
			for _, err := range c.Watch(ctx, 0) {
				last = err
			}
			return last
		},
		"Logs": func() (last error) {
			for _, err := range c.Logs(ctx, "j", "a", batch.LogOptions{}) {
				last = err
			}
			return last
		},
	}
	for name, call := range calls {
		require.EqualError(t, call(), "batch: the controller was not made by New", name)
	}
	for range c.All() {
		t.Error("there is a job")
	}
	for range c.Records("") {
		t.Error("there is a record")
	}
}
