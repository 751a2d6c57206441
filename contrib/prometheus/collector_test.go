package prometheus_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

// newYear is when bubbles begin.
const newYear = 946684800.0

// A jobCase is a job, and what its metrics are.
type jobCase struct {
	job  batch.Job
	want map[string]float64 // besides spec, and after an hour
}

var jobCases = map[string]jobCase{
	"one that runs": {
		job: batch.Job{Executor: batchtest.Hang()},
		want: map[string]float64{"status_active": 1, "status_ready": 1, "status_succeeded": 0, "status_failed": 0,
			"status_start_time": newYear},
	},
	"one that is complete": {
		job: batch.Job{Completions: new(3), Parallelism: new(2), Executor: batchtest.Take(time.Minute)},
		want: map[string]float64{"spec_parallelism": 2, "spec_completions": 3,
			"status_active": 0, "status_ready": 0, "status_succeeded": 3, "status_failed": 0,
			"status_start_time": newYear, "status_completion_time": newYear + 120,
			"complete{condition=true}": 1, "complete{condition=false}": 0, "complete{condition=unknown}": 0},
	},
	"one that has failed too often": {
		job: batch.Job{BackoffLimit: new(1), Executor: batchtest.Exit(1)},
		want: map[string]float64{
			"status_active": 0, "status_ready": 0, "status_succeeded": 0, "status_start_time": newYear,
			"status_failed{reason=BackoffLimitExceeded}": 1, "status_failed{reason=DeadlineExceeded}": 0,
			"status_failed{reason=Evicted}": 0,
			"failed{condition=true}":        1, "failed{condition=false}": 0, "failed{condition=unknown}": 0},
	},
	"one that has run too long": {
		job: batch.Job{ActiveDeadline: new(1500 * time.Millisecond), Executor: batchtest.Hang()},
		want: map[string]float64{"spec_active_deadline_seconds": 2,
			"status_active": 0, "status_ready": 0, "status_succeeded": 0, "status_start_time": newYear,
			"status_failed{reason=BackoffLimitExceeded}": 0, "status_failed{reason=DeadlineExceeded}": 1,
			"status_failed{reason=Evicted}": 0,
			"failed{condition=true}":        1, "failed{condition=false}": 0, "failed{condition=unknown}": 0},
	},
	"one that has failed for a reason without a series": {
		job: batch.Job{Executor: batchtest.Fail(batch.Permanent(errors.New("no such table")))},
		want: map[string]float64{
			"status_active": 0, "status_ready": 0, "status_succeeded": 0, "status_start_time": newYear,
			"status_failed{reason=BackoffLimitExceeded}": 0, "status_failed{reason=DeadlineExceeded}": 0,
			"status_failed{reason=Evicted}": 0, "status_failed": 1,
			"failed{condition=true}": 1, "failed{condition=false}": 0, "failed{condition=unknown}": 0},
	},
	"a work queue that is suspended": {
		job: batch.Job{Suspend: true, Parallelism: new(5), Executor: succeed},
		want: map[string]float64{"spec_parallelism": 5, "spec_completions": -1, "status_suspended": 1,
			"status_active": 0, "status_ready": 0, "status_succeeded": 0, "status_failed": 0},
	},
	"one that waits for its next attempt": {
		job: batch.Job{BackoffLimit: new(100), Backoff: batch.ConstantBackoff(2 * time.Hour), Executor: batchtest.Exit(1)},
		want: map[string]float64{"status_active": 0, "status_ready": 0, "status_succeeded": 0, "status_failed": 1,
			"status_start_time": newYear},
	},
}

func TestJobMetricsAreThoseOfKubeStateMetrics(t *testing.T) {
	spec := map[string]float64{"info": 1, "owner": 1, "created": newYear, "spec_parallelism": 1, "spec_completions": 1}
	for name, c := range jobCases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				controller := batchtest.NewController(t, batch.Options{})
				registry := registry(t, newMetrics(t, prometheus.Options{}).Collector(controller))
				c.job.Name = "j"
				create(t, controller, c.job)
				time.Sleep(time.Hour)
				want := maps.Clone(spec)
				maps.Copy(want, c.want)
				maps.DeleteFunc(want, func(_ string, value float64) bool { return value < 0 })
				require.Equal(t, want, ofJobs(samples(t, registry)))
			})
		})
	}
}

// ofJobs are the kube_job_* samples, without the label of their job.
func ofJobs(all map[string]float64) map[string]float64 {
	short := strings.NewReplacer("{job_name=j}", "", ",job_name=j", "", "job_name=j,", "")
	found := make(map[string]float64)
	for series, value := range with(all, "kube_job_") {
		found[short.Replace(series)] = value
	}
	return found
}

func TestLabelsAnnotationsAndOwners(t *testing.T) {
	m := newMetrics(t, prometheus.Options{
		Namespace:   "batch-jobs",
		Labels:      []string{"app.kubernetes.io/name", "costCentre"},
		Annotations: []string{"note"},
		Owner: func(j batch.Job) prometheus.Owner {
			return prometheus.Owner{Kind: "CronJob", Name: j.Labels["cron"] + "\xe9", Controller: true}
		},
	})
	c := batchtest.NewController(t, batch.Options{})
	create(t, c, batch.Job{
		Name: "j", Suspend: true, Executor: succeed,
		Labels:      map[string]string{"app.kubernetes.io/name": "web", "cron": "nightly", "other": "x"},
		Annotations: map[string]string{"note": "café \"</script>\"\n"},
	})
	require.NoError(t, testutil.CollectAndCompare(m.Collector(c), strings.NewReader(`
# HELP kube_job_annotations Annotations of the job.
# TYPE kube_job_annotations gauge
kube_job_annotations{annotation_note="café \"</script>\"\n",job_name="j",namespace="batch-jobs"} 1
# HELP kube_job_labels Labels of the job.
# TYPE kube_job_labels gauge
kube_job_labels{job_name="j",label_app_kubernetes_io_name="web",label_cost_centre="",namespace="batch-jobs"} 1
# HELP kube_job_owner What has made the job.
# TYPE kube_job_owner gauge
`+`kube_job_owner{job_name="j",namespace="batch-jobs",`+
		`owner_is_controller="true",owner_kind="CronJob",owner_name="nightly`+"\uFFFD"+`"} 1
`), "kube_job_annotations", "kube_job_labels", "kube_job_owner"))
}

func TestTheWholeCountsAllJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		controller := batchtest.NewController(t, batch.Options{MaxActive: 2})
		registry := registry(t, newMetrics(t, prometheus.Options{MaxActive: 2, MaxJobs: 1}).Collector(controller))
		create(t, controller,
			batch.Job{Name: "a", Completions: new(5), Parallelism: new(5), Executor: batchtest.Take(45 * time.Minute)},
			batch.Job{Name: "b", BackoffLimit: new(0), Executor: batchtest.Exit(1)},
			batch.Job{Name: "c", Suspend: true, Executor: succeed})
		time.Sleep(time.Hour)
		create(t, controller, batch.Job{Name: "d", Backoff: batch.ConstantBackoff(time.Hour), Executor: batchtest.Exit(1)})
		time.Sleep(time.Hour)
		all := samples(t, registry)
		require.Equal(t, map[string]float64{
			"jobs{state=Complete}": 0, "jobs{state=Failed}": 1, "jobs{state=FailureTarget}": 0, "jobs{state=Running}": 2,
			"jobs{state=SuccessCriteriaMet}": 0, "jobs{state=Suspended}": 1, "jobs{state=Terminating}": 0,
			"attempts{phase=pending}": 0, "attempts{phase=running}": 1,
			"attempts{phase=terminating}": 0, "attempts{phase=abandoned}": 0,
			"completions{result=succeeded}": 4, "completions{result=failed}": 2,
			"jobs_stalled{reason=ExecutorNotDeclared}": 0, "jobs_stalled{reason=StoreFailed}": 0,
			"jobs_backing_off": 1, "jobs_without_series": 3, "executors_limit": 2,
			"store_records_total": 0, "store_commit_running_seconds": 0,
		}, with(all, "batch_"))
	})
}

func TestCardinalityIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		controller := batchtest.NewController(t, batch.Options{})
		registry := registry(t, newMetrics(t, prometheus.Options{MaxJobs: 4}).Collector(controller))
		few := []int{}
		for round := range 20 {
			name := func(kind string) string { return fmt.Sprintf("%s-%02d", kind, round) }
			create(t, controller,
				batch.Job{Name: name("complete"), Executor: succeed},
				batch.Job{Name: name("failed"), BackoffLimit: new(0), Executor: batchtest.Exit(1)})
			if round%10 == 0 {
				create(t, controller, batch.Job{Name: name("running"), Executor: batchtest.Hang()})
			}
			time.Sleep(time.Minute)
			few = append(few, len(samples(t, registry)))
		}
		all := samples(t, registry)
		require.Equal(t, []string{"failed-18}", "failed-19}", "running-00}", "running-10}"},
			names(with(all, "kube_job_info{job_name=")))
		require.Equal(t, 38.0, all["batch_jobs_without_series"])
		for _, n := range few {
			require.LessOrEqual(t, n, 20+4*25)
		}
		require.NoError(t, controller.Delete(t.Context(), "running-00", batch.DeleteBackground))
		require.Equal(t, []string{"failed-17}", "failed-18}", "failed-19}", "running-10}"},
			names(with(samples(t, registry), "kube_job_info{job_name=")), "the next in order takes the place")
	})
}

func TestAPanicOfUserCodeIsAnErrorOfTheScrape(t *testing.T) {
	boom := func(yield func(prometheus.CronJob) bool) {
		yield(prometheus.CronJob{Name: "first"})
		panic("no schedule")
	}
	m := newMetrics(t, prometheus.Options{
		Owner:    func(batch.Job) prometheus.Owner { panic("no owner") },
		CronJobs: prometheus.CronJobsFunc(boom),
	})
	c := batchtest.NewController(t, batch.Options{})
	create(t, c, batch.Job{Name: "a", Suspend: true, Executor: succeed},
		batch.Job{Name: "b", Suspend: true, Executor: succeed})
	families, err := registry(t, m.Collector(c)).Gather()
	require.ErrorContains(t, err, "prometheus: panic: no owner")
	require.ErrorContains(t, err, "prometheus: panic: no schedule")
	found := make(map[string]int)
	for _, f := range families {
		found[f.GetName()] = len(f.GetMetric())
	}
	require.Equal(t, 2, found["kube_job_info"], "the rest is there")
	require.Equal(t, 1, found["kube_cronjob_info"])
}

func TestOptionsAreValidated(t *testing.T) {
	_, err := prometheus.New(prometheus.Options{
		MaxActive: -1, MaxJobs: -2, Buckets: []float64{1, 1},
		Labels: []string{"app-name", "app.name"}, Annotations: []string{"*"},
	})
	require.EqualError(t, err, strings.Join([]string{
		`prometheus: Options.MaxActive: -1: must not be negative`,
		`prometheus: Options.MaxJobs: -2: must not be negative`,
		`prometheus: Options.Buckets: [1 1]: must be ascending`,
		`prometheus: Options.Labels: "app-name" and "app.name" make the same label label_app_name`,
		`prometheus: Options.Annotations: "*": must be the key of one label`,
	}, "\n"))
}
