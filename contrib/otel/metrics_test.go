package otel_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
	"github.com/runtocompletion/batch/contrib/otel"
)

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, batch.Options{MaxActive: 2}, otel.Options{})
		l.create(batch.Job{Name: "a", Completions: new(5), Parallelism: new(4), Executor: batchtest.Script{
			batchtest.Do(batchtest.Take(time.Second), batchtest.Exit(1)), batchtest.Take(time.Hour)}})
		time.Sleep(time.Minute)
		require.Equal(t, []string{
			"batch.attempt.duration{outcome=failed} 1 in 1s",
			"batch.attempt.retries{kind=retry} 1",
			"batch.attempts{phase=pending} 2",
			"batch.attempts{phase=running} 2",
			"batch.attempts{phase=terminating} 0",
			"batch.executor.running 2",
			"batch.jobs{state=Running} 1",
			"k8s.job.pod.active{name=a} 4",
			"k8s.job.pod.desired_successful{name=a} 5",
			"k8s.job.pod.failed{name=a} 1",
			"k8s.job.pod.max_parallel{name=a} 4",
			"k8s.job.pod.successful{name=a} 0",
		}, l.metrics())
	})
}

func TestMetricsOfJobsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, batch.Options{}, otel.Options{MaxJobs: 3})
		for i := range 20 {
			l.create(batch.Job{Name: fmt.Sprintf("done-%02d", i), Executor: batchtest.Succeed()})
			time.Sleep(time.Second)
		}
		l.create(batch.Job{Name: "runs", Executor: batchtest.Hang()})
		synctest.Wait()
		var active []string
		for _, line := range l.metrics() {
			if strings.HasPrefix(line, "k8s.job.pod.active") {
				active = append(active, line)
			}
		}
		require.Equal(t, []string{"k8s.job.pod.active{name=done-18} 0", "k8s.job.pod.active{name=done-19} 0",
			"k8s.job.pod.active{name=runs} 1"}, active)
		require.Contains(t, l.metrics(), "batch.jobs{state=Complete} 20")
	})
}
