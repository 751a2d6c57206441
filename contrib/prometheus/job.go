package prometheus

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/runtocompletion/batch"
)

// A job is what is known of a job at a scrape.
type job struct {
	batch.Status
	spec *batch.Job // nil if the job was removed meanwhile
}

// A jobFamily is a metric that jobs have. Its values are given to emit, each with
// the labels that it has besides namespace and job_name.
type jobFamily struct {
	desc   *client.Desc
	values func(j *job, emit emit)
}

type emit func(value float64, labels ...string)

func newJobFamily(name, help string, values func(*job, emit), labels ...string) jobFamily {
	desc := client.NewDesc(name, help, append([]string{"namespace", "job_name"}, labels...), nil)
	return jobFamily{desc, values}
}

// jobFamilies are the metrics of kube-state-metrics that need no options, and
// batch_job_next_retry_timestamp_seconds.
func jobFamilies() []jobFamily {
	return []jobFamily{
		newJobFamily("kube_job_info", "Information about the job.",
			func(_ *job, emit emit) { emit(1) }),
		newJobFamily("kube_job_created", "When the job was created, in seconds since 1970.",
			func(j *job, emit emit) { emit(seconds(j.CreatedAt)) }),
		newJobFamily("kube_job_spec_parallelism", "How many attempts may be active at once.",
			func(j *job, emit emit) { emit(float64(j.Parallelism)) }),
		newJobFamily("kube_job_spec_completions", "How many successes complete the job.", completions),
		newJobFamily("kube_job_spec_active_deadline_seconds", "How long the job may be active.", activeDeadline),
		newJobFamily("kube_job_status_active", "How many attempts are active.",
			func(j *job, emit emit) { emit(float64(j.Active)) }),
		newJobFamily("kube_job_status_ready", "How many attempts are ready.",
			func(j *job, emit emit) { emit(float64(j.Ready)) }),
		newJobFamily("kube_job_status_succeeded", "How many successes count.",
			func(j *job, emit emit) { emit(float64(j.Succeeded)) }),
		newJobFamily("kube_job_status_failed", "How many attempts have failed, or why the job has.", failed, "reason"),
		newJobFamily("kube_job_complete", "Whether the job is complete.",
			func(j *job, emit emit) { j.condition(batch.ConditionComplete, emit) }, "condition"),
		newJobFamily("kube_job_failed", "Whether the job has failed.",
			func(j *job, emit emit) { j.condition(batch.ConditionFailed, emit) }, "condition"),
		newJobFamily("kube_job_status_start_time", "When the job started, in seconds since 1970.",
			func(j *job, emit emit) { emitTime(j.StartTime, emit) }),
		newJobFamily("kube_job_status_completion_time", "When the job became complete, in seconds since 1970.",
			func(j *job, emit emit) { emitTime(j.CompletionTime, emit) }),
		newJobFamily("kube_job_status_suspended", "Whether the job is suspended.", suspended),
		newJobFamily("batch_job_next_retry_timestamp_seconds", "When the next attempt may start that a delay holds back.",
			func(j *job, emit emit) { emitTime(j.NextRetry, emit) }),
	}
}

func completions(j *job, emit emit) {
	if j.Completions != nil {
		emit(float64(*j.Completions))
	}
}

// activeDeadline is in whole seconds, as a manifest has it.
func activeDeadline(j *job, emit emit) {
	if j.spec != nil && j.spec.ActiveDeadline != nil {
		emit(float64((*j.spec.ActiveDeadline + time.Second - 1) / time.Second))
	}
}

// The reasons of failed jobs that kube-state-metrics tells apart.
var failureReasons = []string{"BackoffLimitExceeded", "DeadlineExceeded", "Evicted"}

// failed is as kube-state-metrics has it: the number of failed attempts without a
// reason, until the job has failed for a known one; then 1 for that reason.
func failed(j *job, emit emit) {
	if j.Failed == 0 {
		emit(0, "")
		return
	}
	isKnown := false
	if c, ok := j.Condition(batch.ConditionFailed); ok {
		for _, reason := range failureReasons {
			isKnown = isKnown || c.Reason == reason
			emit(number(c.Reason == reason), reason)
		}
	}
	if !isKnown {
		emit(float64(j.Failed), "")
	}
}

// condition gives a value for each status that a condition of the job may have.
func (j *job) condition(of string, emit emit) {
	c, ok := j.Condition(of)
	if !ok {
		return
	}
	for _, status := range []string{"True", "False", "Unknown"} {
		emit(number(c.Status == status), strings.ToLower(status))
	}
}

func suspended(j *job, emit emit) {
	if c, ok := j.Condition(batch.ConditionSuspended); ok {
		emit(number(c.Status == "True"))
	}
}

func emitTime(t time.Time, emit emit) {
	if !t.IsZero() {
		emit(seconds(t))
	}
}

func (m *Metrics) ownerFamily() jobFamily {
	return newJobFamily("kube_job_owner", "What has made the job.", func(j *job, emit emit) {
		switch owner := m.ownerOf(j); owner {
		case Owner{}:
			emit(1, "", "", "")
		default:
			emit(1, owner.Kind, owner.Name, strconv.FormatBool(owner.Controller))
		}
	}, "owner_kind", "owner_name", "owner_is_controller")
}

func (m *Metrics) ownerOf(j *job) Owner {
	if m.options.Owner == nil || j.spec == nil {
		return Owner{}
	}
	return m.options.Owner(*j.spec)
}

func labelFamily(list labelList) jobFamily {
	return newJobFamily("kube_job_labels", "Labels of the job.", func(j *job, emit emit) {
		if len(list.keys) > 0 && j.spec != nil {
			emit(1, list.values(j.spec.Labels)...)
		}
	}, list.names...)
}

func annotationFamily(list labelList) jobFamily {
	return newJobFamily("kube_job_annotations", "Annotations of the job.", func(j *job, emit emit) {
		if len(list.keys) > 0 && j.spec != nil {
			emit(1, list.values(j.spec.Annotations)...)
		}
	}, list.names...)
}

// collectJob gives all values of a job. It calls user code, whose panic becomes an
// error of the scrape.
func (m *Metrics) collectJob(j *job, ch chan<- client.Metric) {
	for _, f := range m.jobs {
		guard(f.desc, ch, func() {
			f.values(j, func(value float64, labels ...string) {
				all := append([]string{m.options.Namespace, j.Name}, labels...)
				ch <- gauge(f.desc, value, all...)
			})
		})
	}
}

// guard calls f and reports its panic as an error of the metric.
func guard(desc *client.Desc, ch chan<- client.Metric, f func()) {
	defer func() {
		if v := recover(); v != nil {
			ch <- client.NewInvalidMetric(desc, fmt.Errorf("prometheus: panic: %v", v))
		}
	}()
	f()
}
