//go:build unix

package crash

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// A plan is what every process of a round runs.
type plan struct {
	jobs     []batch.Job
	cronJobs []cron.CronJob
}

// has reports whether there is a job of that name, and not only as one of a CronJob.
func (p *plan) has(name string) bool {
	return slices.ContainsFunc(p.jobs, func(job batch.Job) bool { return job.Name == name })
}

// newPlan returns the plan of a seed. No number of failures ends its jobs.
func newPlan(seed uint64) plan {
	random := rand.New(rand.NewPCG(seed, 1))
	var p plan
	for i := range 5 {
		p.jobs = append(p.jobs, patient(batch.Job{
			Name: fmt.Sprintf("job-%d", i), CompletionMode: batch.Indexed,
			Completions: new(100 + random.IntN(200)), Parallelism: new(1 + random.IntN(4)),
		}))
	}
	for _, policy := range []cron.ConcurrencyPolicy{cron.Allow, cron.Forbid, cron.Replace} {
		// The jobs of a minute have one name. Without history, each second has one.
		p.cronJobs = append(p.cronJobs, cron.CronJob{
			Name: "each-second-" + strings.ToLower(string(policy)), Schedule: "@every 1s", ConcurrencyPolicy: policy,
			SuccessfulJobsHistoryLimit: new(0), Job: patient(batch.Job{}),
		})
	}
	return p
}

// endlessPlan has one job, whose executors begin often.
func endlessPlan() plan {
	job := batch.Job{Name: "endless", CompletionMode: batch.Indexed, Completions: new(1_000_000), Parallelism: new(4)}
	return plan{jobs: []batch.Job{patient(job)}}
}

func patient(job batch.Job) batch.Job {
	job.BackoffLimit, job.Backoff = new(100_000), batch.ConstantBackoff(5*time.Millisecond)
	job.TerminationGracePeriod = new(200 * time.Millisecond)
	return job
}
