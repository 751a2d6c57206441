package prometheus

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/runtocompletion/batch"
)

// Options configure [Metrics]. The zero value is good.
type Options struct {
	// Namespace is the label namespace of the kube_* metrics; empty means
	// "default". It should be that of [batch.Options].
	Namespace string
	// MaxActive is that of [batch.Options], for batch_executors_limit. Zero means
	// that there is no limit, and no such series.
	MaxActive int
	// Limits are those of [batch.Options], for batch_limit_slots. Nil means that there are
	// no such series.
	Limits map[string]batch.Limit
	// MaxJobs is how many jobs, and how many CronJobs, have series of their own.
	// Zero means 1000.
	MaxJobs int
	// Labels and Annotations are the keys of jobs and CronJobs to be shown in
	// kube_job_labels, kube_job_annotations and their like for CronJobs. None
	// means that there are no such series. Two keys that make the same label are
	// an error, and so is "*".
	Labels, Annotations []string
	// Owner says what has made a job, for kube_job_owner. Nil means that no job
	// has an owner. It is called at each scrape for each job that has series of
	// its own, also by several goroutines at once.
	Owner func(job batch.Job) Owner
	// CronJobs are shown as kube_cronjob_*. Nil means none.
	CronJobs CronJobs
	// Buckets are the upper bounds of the buckets for how long attempts take, and
	// how long they wait in line, in seconds, ascending. Nil means 12 of them from 10 milliseconds to a day.
	Buckets []float64
}

// An Owner is what has made a job, such as a CronJob. The zero Owner is none.
type Owner struct {
	Kind, Name string
	// Controller is whether the owner manages the job.
	Controller bool
}

// Metrics measure one controller, its executors and its store. Methods may be
// called by several goroutines at once.
type Metrics struct {
	options    Options
	executions *executions
	commits    *commits
	limits     *limits
	jobs       []jobFamily
	cronJobs   []cronJobFamily
}

const defaultMaxJobs = 1000

var defaultBuckets = []float64{0.01, 0.1, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600}

// New returns metrics of nothing yet. The error names every option that is wrong.
func New(o Options) (*Metrics, error) {
	labels, labelsErr := newLabelList("Labels", "label", o.Labels)
	annotations, annotationsErr := newLabelList("Annotations", "annotation", o.Annotations)
	if err := errors.Join(o.validate(), labelsErr, annotationsErr); err != nil {
		return nil, err
	}
	o.Namespace = cmp.Or(o.Namespace, "default")
	o.MaxJobs = cmp.Or(o.MaxJobs, defaultMaxJobs)
	if o.Buckets == nil {
		o.Buckets = defaultBuckets
	}
	m := &Metrics{options: o, executions: newExecutions(o.Buckets), commits: newCommits(), limits: newLimits()}
	m.jobs = append(jobFamilies(), m.ownerFamily(), labelFamily(labels), annotationFamily(annotations))
	m.cronJobs = append(cronJobFamilies(), cronLabelFamily(labels), cronAnnotationFamily(annotations))
	return m, nil
}

func (o *Options) validate() error {
	var errs []error
	if o.MaxActive < 0 {
		errs = append(errs, fmt.Errorf("prometheus: Options.MaxActive: %d: must not be negative", o.MaxActive))
	}
	if o.MaxJobs < 0 {
		errs = append(errs, fmt.Errorf("prometheus: Options.MaxJobs: %d: must not be negative", o.MaxJobs))
	}
	if !slices.IsSortedFunc(o.Buckets, ascending) {
		errs = append(errs, fmt.Errorf("prometheus: Options.Buckets: %v: must be ascending", o.Buckets))
	}
	return errors.Join(errs...)
}

// ascending puts equal bounds, and those that are not numbers, out of order.
func ascending(bound, before float64) int {
	if bound > before {
		return 1
	}
	return -1
}

// seconds is a time as kube-state-metrics gives it.
func seconds(t time.Time) float64 { return float64(t.Unix()) }

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// gauge is a value at this moment.
func gauge(d *client.Desc, value float64, labels ...string) client.Metric {
	for i := range labels {
		labels[i] = valid(labels[i])
	}
	m, err := client.NewConstMetric(d, client.GaugeValue, value, labels...)
	if err != nil {
		return client.NewInvalidMetric(d, err)
	}
	return m
}
