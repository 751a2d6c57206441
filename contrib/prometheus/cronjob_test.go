package prometheus_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

// fullCronJob has all that a CronJob may have.
func fullCronJob() prometheus.CronJob {
	return prometheus.CronJob{
		Name: "nightly", Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"note": "x"},
		Schedule: "0 4 * * *", TimeZone: "Europe/Berlin", ConcurrencyPolicy: "Forbid",
		StartingDeadline: new(90 * time.Second), SuccessfulJobsHistoryLimit: new(3), FailedJobsHistoryLimit: new(0),
		CreatedAt: time.Unix(1000, 5), Active: 2, LastScheduleTime: time.Unix(2000, 0),
		LastSuccessfulTime: time.Unix(1500, 0), NextScheduleTime: time.Unix(3000, 0), Revision: 17,
	}
}

func TestCronJobs(t *testing.T) {
	suspended := prometheus.CronJob{Name: "off", Schedule: "@daily", Suspend: true, NextScheduleTime: time.Unix(3000, 0)}
	m := newMetrics(t, prometheus.Options{
		MaxJobs: 2, Labels: []string{"app"}, Annotations: []string{"note"},
		CronJobs: prometheus.CronJobsFunc(func(yield func(prometheus.CronJob) bool) {
			for _, c := range []prometheus.CronJob{fullCronJob(), fullCronJob(), suspended, {Name: "too-many"}} {
				if !yield(c) {
					return
				}
			}
			panic("there are more than were asked for")
		}),
	})
	all := samples(t, registry(t, m.Collector(batchtest.NewController(t, batch.Options{}))))
	require.Equal(t, map[string]float64{
		"info{concurrency_policy=Forbid,cronjob=nightly,schedule=0 4 * * *,timezone=Europe/Berlin}": 1,
		"created{cronjob=nightly}": 1000, "status_active{cronjob=nightly}": 2,
		"status_last_schedule_time{cronjob=nightly}": 2000, "status_last_successful_time{cronjob=nightly}": 1500,
		"next_schedule_time{cronjob=nightly}": 3000, "spec_suspend{cronjob=nightly}": 0,
		"spec_starting_deadline_seconds{cronjob=nightly}":    90,
		"spec_successful_job_history_limit{cronjob=nightly}": 3, "spec_failed_job_history_limit{cronjob=nightly}": 0,
		"metadata_resource_version{cronjob=nightly}":     17,
		"labels{cronjob=nightly,label_app=web}":          1,
		"annotations{annotation_note=x,cronjob=nightly}": 1,

		"info{concurrency_policy=Allow,cronjob=off,schedule=@daily,timezone=local}": 1,
		"status_active{cronjob=off}": 0, "spec_suspend{cronjob=off}": 1,
		"labels{cronjob=off}": 1, "annotations{cronjob=off}": 1,
	}, with(all, "kube_cronjob_"))
}

func ExampleCronJobsFunc() {
	cronJobs := prometheus.CronJobsFunc(func(yield func(prometheus.CronJob) bool) {
		yield(prometheus.CronJob{Name: "nightly", Schedule: "0 4 * * *"}) // from the scheduler of your choice
	})
	metrics, err := prometheus.New(prometheus.Options{CronJobs: cronJobs})
	if err != nil {
		panic(err)
	}
	show(metrics, "kube_cronjob_info")
	fmt.Println("and no jobs")
	// Output:
	// kube_cronjob_info{concurrency_policy="Allow",cronjob="nightly",namespace="default",schedule="0 4
	// * * *",timezone="local"} 1
	// and no jobs
}
