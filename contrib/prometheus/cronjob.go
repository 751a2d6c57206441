package prometheus

import (
	"cmp"
	"iter"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
)

// CronJobs are what makes jobs by a schedule. A scrape walks over them, also by
// several goroutines at once; it is best if that order does not change, as only
// the first [Options.MaxJobs] are shown.
type CronJobs interface {
	CronJobs() iter.Seq[CronJob]
}

// CronJobsFunc adapts a function to [CronJobs].
type CronJobsFunc func(yield func(CronJob) bool)

// CronJobs calls f.
func (f CronJobsFunc) CronJobs() iter.Seq[CronJob] { return iter.Seq[CronJob](f) }

// A CronJob is what the metrics kube_cronjob_* say of one. Times that are zero and
// pointers that are nil have no series.
type CronJob struct {
	Name                string // unique; of two with one name, only the first is shown
	Labels, Annotations map[string]string
	Schedule            string // such as "0 4 * * *"
	TimeZone            string // such as "Europe/Berlin"; empty means the local one
	ConcurrencyPolicy   string // Allow, Forbid or Replace; empty means Allow
	Suspend             bool
	StartingDeadline    *time.Duration
	// SuccessfulJobsHistoryLimit and FailedJobsHistoryLimit are how many finished
	// jobs are kept.
	SuccessfulJobsHistoryLimit, FailedJobsHistoryLimit *int

	CreatedAt          time.Time
	Active             int // how many of its jobs have not finished
	LastScheduleTime   time.Time
	LastSuccessfulTime time.Time
	// NextScheduleTime is the time after LastScheduleTime, or else CreatedAt, at
	// which a job is due; it is in the past if that job is late. A suspended
	// CronJob has no series for it.
	NextScheduleTime time.Time
	// Revision grows with each change. Zero has no series.
	Revision uint64
}

// A cronJobFamily is a metric that CronJobs have.
type cronJobFamily struct {
	desc   *client.Desc
	values func(c *CronJob, emit emit)
}

func newCronJobFamily(name, help string, values func(*CronJob, emit), labels ...string) cronJobFamily {
	desc := client.NewDesc(name, help, append([]string{"namespace", "cronjob"}, labels...), nil)
	return cronJobFamily{desc, values}
}

func cronJobFamilies() []cronJobFamily {
	return []cronJobFamily{
		newCronJobFamily("kube_cronjob_info", "Information about the CronJob.", func(c *CronJob, emit emit) {
			emit(1, c.Schedule, cmp.Or(c.ConcurrencyPolicy, "Allow"), cmp.Or(c.TimeZone, "local"))
		}, "schedule", "concurrency_policy", "timezone"),
		newCronJobFamily("kube_cronjob_created", "When the CronJob was created, in seconds since 1970.",
			func(c *CronJob, emit emit) { emitTime(c.CreatedAt, emit) }),
		newCronJobFamily("kube_cronjob_status_active", "How many of its jobs have not finished.",
			func(c *CronJob, emit emit) { emit(float64(c.Active)) }),
		newCronJobFamily("kube_cronjob_status_last_schedule_time", "When a job was last due and made.",
			func(c *CronJob, emit emit) { emitTime(c.LastScheduleTime, emit) }),
		newCronJobFamily("kube_cronjob_status_last_successful_time", "When a job was last completed.",
			func(c *CronJob, emit emit) { emitTime(c.LastSuccessfulTime, emit) }),
		newCronJobFamily("kube_cronjob_next_schedule_time", "When the next job is due.", func(c *CronJob, emit emit) {
			if !c.Suspend {
				emitTime(c.NextScheduleTime, emit)
			}
		}),
		newCronJobFamily("kube_cronjob_spec_suspend", "Whether the CronJob is suspended.",
			func(c *CronJob, emit emit) { emit(number(c.Suspend)) }),
		newCronJobFamily("kube_cronjob_spec_starting_deadline_seconds", "How late a job may be made.",
			func(c *CronJob, emit emit) {
				if c.StartingDeadline != nil {
					emit(c.StartingDeadline.Seconds())
				}
			}),
		newCronJobFamily("kube_cronjob_spec_successful_job_history_limit", "How many complete jobs are kept.",
			func(c *CronJob, emit emit) { emitNumber(c.SuccessfulJobsHistoryLimit, emit) }),
		newCronJobFamily("kube_cronjob_spec_failed_job_history_limit", "How many failed jobs are kept.",
			func(c *CronJob, emit emit) { emitNumber(c.FailedJobsHistoryLimit, emit) }),
		newCronJobFamily("kube_cronjob_metadata_resource_version", "The revision of the CronJob.",
			func(c *CronJob, emit emit) {
				if c.Revision > 0 {
					emit(float64(c.Revision))
				}
			}),
	}
}

func emitNumber(n *int, emit emit) {
	if n != nil {
		emit(float64(*n))
	}
}

func cronLabelFamily(list labelList) cronJobFamily {
	return newCronJobFamily("kube_cronjob_labels", "Labels of the CronJob.", func(c *CronJob, emit emit) {
		if len(list.keys) > 0 {
			emit(1, list.values(c.Labels)...)
		}
	}, list.names...)
}

func cronAnnotationFamily(list labelList) cronJobFamily {
	return newCronJobFamily("kube_cronjob_annotations", "Annotations of the CronJob.", func(c *CronJob, emit emit) {
		if len(list.keys) > 0 {
			emit(1, list.values(c.Annotations)...)
		}
	}, list.names...)
}

// collectCronJobs gives all values of all CronJobs. A panic of user code becomes an
// error of the scrape.
func (m *Metrics) collectCronJobs(ch chan<- client.Metric) {
	if m.options.CronJobs == nil {
		return
	}
	shown := make(map[string]struct{})
	guard(m.cronJobs[0].desc, ch, func() {
		for c := range m.options.CronJobs.CronJobs() {
			if len(shown) == m.options.MaxJobs {
				return
			}
			if _, again := shown[c.Name]; !again {
				shown[c.Name] = struct{}{}
				m.collectCronJob(&c, ch)
			}
		}
	})
}

func (m *Metrics) collectCronJob(c *CronJob, ch chan<- client.Metric) {
	for _, f := range m.cronJobs {
		f.values(c, func(value float64, labels ...string) {
			all := append([]string{m.options.Namespace, c.Name}, labels...)
			ch <- gauge(f.desc, value, all...)
		})
	}
}
