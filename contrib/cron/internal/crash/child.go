package crash

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/boltstore"
	"github.com/runtocompletion/batch/contrib/cron"
)

// childVariable names the environment variable with the child's folder.
const childVariable = "BATCH_CRON_CRASH_FOLDER"

// cronJobs are those that the child declares.
func cronJobs() []cron.CronJob {
	var jobs []cron.CronJob
	for i, policy := range []cron.ConcurrencyPolicy{cron.Allow, cron.Forbid, cron.Replace} {
		jobs = append(jobs,
			cron.CronJob{Name: fmt.Sprintf("kept-%d", i), ConcurrencyPolicy: policy},
			cron.CronJob{Name: fmt.Sprintf("trimmed-%d", i), ConcurrencyPolicy: policy, SuccessfulJobsHistoryLimit: new(0)},
			cron.CronJob{Name: fmt.Sprintf("short-%d", i), ConcurrencyPolicy: policy,
				Job: batch.Job{TTLAfterFinished: new(time.Duration(0))}},
		)
	}
	for i := range jobs {
		jobs[i].Schedule = "@every 1s"
	}
	return jobs
}

// A ledger is a file of lines, each written at once.
type ledger struct{ file *os.File }

func openLedger(path string) (ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return ledger{file}, err
}

func (l ledger) write(format string, args ...any) error {
	_, err := fmt.Fprintf(l.file, format+"\n", args...)
	return err
}

// runChild is the child: it runs until it is killed.
func runChild(folder string) error {
	l, err := openLedger(folder + "/ledger")
	if err != nil {
		return err
	}
	store, err := boltstore.Open(folder+"/jobs.db", boltstore.Options{})
	if err != nil {
		return err
	}
	b, err := batch.New(context.Background(), batch.Options{Store: store})
	if err != nil {
		return err
	}
	c, err := cron.New(b, cron.Options{})
	if err != nil {
		return err
	}
	for _, job := range cronJobs() {
		job.Job.Executor = l.executor(job.Name)
		if _, err := c.Apply(context.Background(), job); err != nil {
			return err
		}
	}
	if err := l.write("up"); err != nil {
		return err
	}
	for change, err := range c.Watch(context.Background(), 0) {
		if err != nil {
			return err
		}
		if at := change.Status.LastScheduleTime; !at.IsZero() {
			if err := l.write("told %s %d", change.Status.Name, at.Unix()); err != nil {
				return err
			}
		}
	}
	return nil
}

// executor writes down which job runs for which time.
func (l ledger) executor(name string) batch.Executor {
	return batch.ExecutorFunc(func(ctx context.Context, a batch.Attempt) error {
		at, ok := cron.ScheduledTime(ctx)
		if !ok {
			return l.write("fault %s has no time", a.Job)
		}
		return l.write("run %s %d %s %s", name, at.Unix(), a.Job, a.Token()[:36])
	})
}
