package prometheus_test

import (
	"context"
	"errors"
	"log"
	"testing"
	"testing/synctest"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
	"github.com/runtocompletion/batch/contrib/prometheus"
)

// TestCronJobsOf wants the series of a CronJob that has run each hour since midnight.
func TestCronJobsOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := batch.New(t.Context(), batch.Options{})
		require.NoError(t, err)
		crons, err := cron.New(c, cron.Options{})
		require.NoError(t, err)
		begin := float64(time.Now().Unix())
		require.NoError(t, crons.Create(t.Context(), cron.CronJob{Name: "hourly", Schedule: "0 * * * *", TimeZone: "Etc/UTC",
			StartingDeadline: new(cron.StartNothing), Suspend: true, Job: batch.Job{Executor: succeed}}))
		require.NoError(
			t, crons.Update(t.Context(), "hourly", func(j *cron.CronJob) { j.Suspend, j.StartingDeadline = false, nil }),
		)
		require.NoError(t, crons.Create(t.Context(), cron.CronJob{Name: "never", Schedule: "0 * * * *",
			StartingDeadline: new(cron.StartNothing), Job: batch.Job{Executor: succeed}}))
		time.Sleep(150 * time.Minute)
		synctest.Wait()
		m := newMetrics(t, prometheus.Options{CronJobs: prometheus.CronJobsOf(crons), Owner: prometheus.OwnerOf(crons)})
		all := samples(t, registry(t, m.Collector(c)))
		const hour = 3600
		require.Equal(t, begin+2*hour, all["kube_cronjob_status_last_schedule_time{cronjob=hourly}"])
		require.Equal(t, begin+2*hour, all["kube_cronjob_status_last_successful_time{cronjob=hourly}"])
		require.Equal(t, begin+3*hour, all["kube_cronjob_next_schedule_time{cronjob=hourly}"])
		require.Equal(t, begin+hour, all["kube_cronjob_next_schedule_time{cronjob=never}"], "it is late")
		require.Equal(t, 0.0, all["kube_cronjob_spec_starting_deadline_seconds{cronjob=never}"])
		require.Equal(t, 3.0, all["kube_cronjob_spec_successful_job_history_limit{cronjob=hourly}"])
		require.Len(t, with(all, "kube_job_owner"), 2)
		require.NoError(t, crons.Shutdown(t.Context()))
		require.NoError(t, c.Shutdown(t.Context()))
	})
}

func ExampleCronJobsOf() {
	ctx := context.Background()
	jobs, err := batch.New(ctx, batch.Options{})
	if err != nil {
		log.Fatal(err)
	}
	crons, err := cron.New(jobs, cron.Options{})
	if err != nil {
		log.Fatal(err)
	}
	metrics, err := prometheus.New(prometheus.Options{
		CronJobs: prometheus.CronJobsOf(crons), Owner: prometheus.OwnerOf(crons),
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = crons.Apply(ctx, cron.CronJob{
		Name: "backup", Schedule: "30 2 * * *", TimeZone: "Europe/Berlin", Job: batch.Job{Executor: succeed},
	})
	if err != nil {
		log.Fatal(err)
	}
	registry := client.NewRegistry()
	registry.MustRegister(metrics.Collector(jobs))
	scrape(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), "kube_cronjob_info")
	if err := errors.Join(crons.Shutdown(ctx), jobs.Shutdown(ctx)); err != nil {
		log.Fatal(err)
	}
	// Output:
	// kube_cronjob_info{concurrency_policy="Allow",cronjob="backup",namespace="default",schedule="30 2
	// * * *",timezone="Europe/Berlin"} 1
}
