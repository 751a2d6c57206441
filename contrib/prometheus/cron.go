package prometheus

import (
	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// CronJobsOf shows the CronJobs of a controller, for [Options.CronJobs].
func CronJobsOf(c *cron.Controller) CronJobs {
	return CronJobsFunc(func(yield func(CronJob) bool) {
		for status := range c.All() {
			spec, err := c.CronJob(status.Name)
			if err != nil {
				continue // it is gone
			}
			if !yield(cronJobOf(&spec, &status)) {
				return
			}
		}
	})
}

func cronJobOf(spec *cron.CronJob, status *cron.Status) CronJob {
	shown := CronJob{
		Name: spec.Name, Labels: spec.Labels, Annotations: spec.Annotations,
		Schedule: spec.Schedule, TimeZone: spec.TimeZone, ConcurrencyPolicy: string(spec.ConcurrencyPolicy),
		Suspend: spec.Suspend, StartingDeadline: spec.StartingDeadline,
		SuccessfulJobsHistoryLimit: spec.SuccessfulJobsHistoryLimit, FailedJobsHistoryLimit: spec.FailedJobsHistoryLimit,
		CreatedAt: status.CreatedAt, Active: len(status.Active),
		LastScheduleTime: status.LastScheduleTime, LastSuccessfulTime: status.LastSuccessfulTime,
		NextScheduleTime: status.Due, Revision: status.Revision,
	}
	if d := spec.StartingDeadline; d != nil && *d == cron.StartNothing {
		*d = 0 // as a manifest says it; the spec is a copy
	}
	return shown
}

// OwnerOf returns the CronJob of a controller that has made a job, for [Options.Owner].
func OwnerOf(c *cron.Controller) func(job batch.Job) Owner {
	return func(job batch.Job) Owner {
		owner, _, ok := c.Owner(job)
		if !ok {
			return Owner{}
		}
		return Owner{Kind: "CronJob", Name: owner.Name, Controller: true}
	}
}
