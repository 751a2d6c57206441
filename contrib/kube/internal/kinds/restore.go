package kinds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
)

// storeTime is how long to wait for a store that fails.
const storeTime = time.Second

// Restore lets the CronJobs and jobs go on that clients have created in earlier processes, and
// tells of those that cannot. While the store fails it tries again.
func (h *Host) Restore(ctx context.Context, logger *slog.Logger) {
	for {
		var cronJobs []convert.Refusal
		if h.CronJobs != nil { // first: the jobs they have are declared with them
			cronJobs = h.Runner.RestoreCronJobs(ctx, h.CronJobs)
		}
		refusals := h.Runner.Restore(ctx, h.Controller, convert.FromClient)
		if !storeFails(cronJobs) && !storeFails(refusals) {
			logRefusals(ctx, logger, "stored CronJob waits, it cannot be run here", "cronjob", cronJobs)
			logRefusals(ctx, logger, "stored job waits, it cannot be run here", "job", refusals)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(storeTime):
		}
	}
}

func storeFails(refusals []convert.Refusal) bool {
	for _, r := range refusals {
		if errors.Is(r.Err, batch.ErrStore) {
			return true
		}
	}
	return false
}

func logRefusals(ctx context.Context, logger *slog.Logger, message, kind string, refusals []convert.Refusal) {
	for _, r := range refusals {
		if ctx.Err() == nil && !errors.Is(r.Err, batch.ErrShutdown) && !errors.Is(r.Err, cron.ErrShutdown) {
			logger.Error(message, slog.String(kind, r.Job), slog.String("error", firstOf(r.Err)))
		}
	}
}

// explainStalled says in the condition of a client's job that waits to be
// declared what is in the way.
func (h *Host) explainStalled(shown *batchv1.Job, spec batch.Job) {
	for i := range shown.Status.Conditions {
		c := &shown.Status.Conditions[i]
		if c.Reason != string(batch.ReasonExecutorNotDeclared) {
			continue
		}
		if err := h.Runner.Obstacle(spec, convert.FromClient); err != nil {
			c.Message += ": " + firstOf(err)
		}
	}
}

// firstOf tells one of several field errors: all of them may be many.
func firstOf(err error) string {
	errs := fieldErrorsOf(err)
	switch len(errs) {
	case 0:
		return err.Error()
	case 1:
		return errs[0].Error()
	}
	return fmt.Sprintf("%v, and %d more", errs[0], len(errs)-1)
}
