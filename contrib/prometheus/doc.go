// Package prometheus shows the jobs of a [batch.Controller] to Prometheus.
//
//	metrics, err := prometheus.New(prometheus.Options{})
//	...
//	c, err := batch.New(ctx, batch.Options{Store: metrics.Store(store)})
//	...
//	registry.MustRegister(metrics.Collector(c))
//	...
//	job.Executor = metrics.Executor("thumbnails", render)
//
// # Jobs and CronJobs
//
// The collector has the metrics that kube-state-metrics has for Jobs and CronJobs,
// kube_job_* and kube_cronjob_*, with the same names, labels and values, so that
// dashboards and alert rules made for a cluster work. They are read from the
// controller when Prometheus asks: between scrapes they cost nothing. A scrape looks
// at every job, for a microsecond or a few, and writes some twenty series for each of
// those that have series of their own. [CronJobsOf] and [OwnerOf] show the CronJobs of
// contrib/cron.
//
// # Attempts and the store
//
// [Metrics.Executor] counts every execution of an executor once, however fast they
// come and whatever becomes of the job:
//
//   - batch_attempt_duration_seconds: how long executions took, by outcome
//   - batch_attempt_wait_seconds: how long they waited in line for a free slot
//     before; 0 without a limit
//   - batch_attempt_retries_total: executions that repeat an earlier one
//   - batch_executors_running: how many are at work
//
// [Metrics.Store] measures what the controller stores:
//
//   - batch_store_commit_duration_seconds, batch_store_records_total
//   - batch_store_commit_running_seconds: how long the present commit takes
//     already; it grows while a disk hangs
//
// # The whole
//
// These count all jobs there are:
//
//   - batch_jobs: by state
//   - batch_attempts: by phase; those pending are in line
//   - batch_completions: counted successes and failures
//   - batch_jobs_backing_off, batch_jobs_stalled: those that wait for a retry
//     delay, for their executor, or for the store
//   - batch_executors_limit: the limit over all jobs
//   - batch_limit_attempts: attempts of jobs that need a limit of [batch.Options], by
//     limit and phase; those pending are in line, the others have it
//   - batch_limit_slots: how many may have the limit at once
//
// # Cardinality
//
// The number of series has a bound, whatever the number of jobs. At most
// [Options.MaxJobs] jobs have series of their own, at most 25 each; when there are
// more, finished jobs go first, those that are complete before those that have
// failed, and the others are counted in the metrics of the whole only:
// batch_jobs_without_series says how many those are. CronJobs have the same bound.
// At most 100 names of executors, and of limits, are told apart.
package prometheus
