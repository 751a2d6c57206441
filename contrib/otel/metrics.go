package otel

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/k8sconv"

	"github.com/runtocompletion/batch"
)

// instruments are what is measured.
type instruments struct {
	duration     metric.Float64Histogram
	retries      metric.Int64Counter
	running      metric.Int64UpDownCounter
	dropped      metric.Int64Counter
	observed     observed
	registration metric.Registration
}

// observed are the instruments that are read from the controller.
type observed struct {
	active, failed, successful, parallel, desired metric.Int64ObservableUpDownCounter // of each job
	jobs, attempts                                metric.Int64ObservableUpDownCounter // of all
}

var bounds = []float64{0.01, 0.1, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600}

func newInstruments(meter metric.Meter) (*instruments, error) {
	i := new(instruments)
	var errs [5]error
	i.duration, errs[0] = meter.Float64Histogram("batch.attempt.duration", metric.WithUnit("s"),
		metric.WithDescription("How long executions of attempts took, by outcome."),
		metric.WithExplicitBucketBoundaries(bounds...))
	i.retries, errs[1] = meter.Int64Counter("batch.attempt.retries", metric.WithUnit("{execution}"),
		metric.WithDescription("Executions that repeat an earlier one."))
	i.running, errs[2] = meter.Int64UpDownCounter("batch.executor.running", metric.WithUnit("{execution}"),
		metric.WithDescription("Executors that are at work."))
	i.dropped, errs[3] = meter.Int64Counter("batch.span.dropped", metric.WithUnit("{span}"),
		metric.WithDescription("Attempts whose span could not be ended in time."))
	errs[4] = i.observed.make(meter)
	return i, errors.Join(errs[:]...)
}

func (o *observed) make(meter metric.Meter) error {
	active, err1 := k8sconv.NewJobPodActiveObservable(meter)
	failed, err2 := k8sconv.NewJobPodFailedObservable(meter)
	successful, err3 := k8sconv.NewJobPodSuccessfulObservable(meter)
	parallel, err4 := k8sconv.NewJobPodMaxParallelObservable(meter)
	desired, err5 := k8sconv.NewJobPodDesiredSuccessfulObservable(meter)
	o.active, o.failed, o.successful = active.Inst(), failed.Inst(), successful.Inst()
	o.parallel, o.desired = parallel.Inst(), desired.Inst()
	var err6, err7 error
	o.jobs, err6 = meter.Int64ObservableUpDownCounter("batch.jobs", metric.WithUnit("{job}"),
		metric.WithDescription("Jobs by state."))
	o.attempts, err7 = meter.Int64ObservableUpDownCounter("batch.attempts", metric.WithUnit("{attempt}"),
		metric.WithDescription("Attempts that have not ended, by phase; pending ones are in line."))
	return errors.Join(err1, err2, err3, err4, err5, err6, err7)
}

func (o *observed) all() []metric.Observable {
	return []metric.Observable{o.active, o.failed, o.successful, o.parallel, o.desired, o.jobs, o.attempts}
}

// began takes in that an execution has.
func (i *instruments) began(a batch.Attempt, isRetry bool) {
	safely(func() {
		i.running.Add(context.Background(), 1)
		if isRetry || a.Restarts > 0 {
			i.retries.Add(context.Background(), 1, metric.WithAttributes(attribute.String("batch.retry.kind", kindOf(a))))
		}
	})
}

func (i *instruments) ended(outcome string, took time.Duration) {
	safely(func() {
		i.running.Add(context.Background(), -1)
		i.duration.Record(context.Background(), took.Seconds(),
			metric.WithAttributes(attribute.String("batch.attempt.outcome", outcome)))
	})
}

func (i *instruments) drop() { safely(func() { i.dropped.Add(context.Background(), 1) }) }

func (i *instruments) close() error { return i.registration.Unregister() }

// observe looks at every job, when a reader wants to know.
func (t *Telemetry) observe(_ context.Context, to metric.Observer) error {
	var jobs []batch.Status
	states, phases := make(map[string]int), map[string]int{"pending": 0, "running": 0, "terminating": 0}
	for j := range t.controller.All() {
		states[j.State()]++
		phases["pending"] += j.Pending
		phases["running"] += j.Active - j.Pending
		phases["terminating"] += j.Terminating
		if jobs = append(jobs, j); len(jobs) >= 2*t.options.MaxJobs {
			jobs = first(jobs, t.options.MaxJobs)
		}
	}
	o := &t.metrics.observed
	for state, n := range states {
		to.ObserveInt64(o.jobs, int64(n), metric.WithAttributes(attribute.String("batch.job.state", state)))
	}
	for phase, n := range phases {
		to.ObserveInt64(o.attempts, int64(n), metric.WithAttributes(attribute.String("batch.attempt.phase", phase)))
	}
	for _, j := range first(jobs, t.options.MaxJobs) {
		t.observeJob(&j, to)
	}
	return nil
}

func (t *Telemetry) observeJob(j *batch.Status, to metric.Observer) {
	o := &t.metrics.observed
	attributes := metric.WithAttributes(semconv.K8SNamespaceName(t.options.Namespace),
		semconv.K8SJobName(j.Name), semconv.K8SJobUID(j.UID))
	to.ObserveInt64(o.active, int64(j.Active), attributes)
	to.ObserveInt64(o.failed, int64(j.Failed), attributes)
	to.ObserveInt64(o.successful, int64(j.Succeeded), attributes)
	to.ObserveInt64(o.parallel, int64(j.Parallelism), attributes)
	if j.Completions != nil {
		to.ObserveInt64(o.desired, int64(*j.Completions), attributes)
	}
}

func rank(j batch.Status) int {
	if j.Finished() {
		return 1
	}
	return 0
}

// first returns the jobs that are to have metrics of their own: those that have not
// finished, the oldest first, and then the others, the latest first.
func first(jobs []batch.Status, most int) []batch.Status {
	slices.SortFunc(jobs, func(a, b batch.Status) int {
		switch {
		case a.Finished() != b.Finished():
			return cmp.Compare(rank(a), rank(b))
		case !a.Finished():
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.Name, b.Name))
		}
		return cmp.Or(endOf(b).Compare(endOf(a)), strings.Compare(a.Name, b.Name))
	})
	if len(jobs) > most {
		clear(jobs[most:])
		jobs = jobs[:most]
	}
	return jobs
}
