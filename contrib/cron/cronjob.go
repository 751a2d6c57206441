package cron

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron/internal/engine"
	"github.com/runtocompletion/batch/contrib/cron/internal/schedule"
	"github.com/runtocompletion/batch/internal/fields"
	"github.com/runtocompletion/batch/internal/names"
)

// A CronJob creates jobs on a schedule. The zero value of every field but Name,
// Schedule and Job.Executor is Kubernetes' default. It is a plain value: a
// controller takes a copy, except the executor and other functions of Job.
type CronJob struct {
	// Name names the CronJob within its controller: a DNS-1123 subdomain of at most
	// 52 bytes. The job for a time is called "<name>-<minutes since 1970>".
	Name string
	// Labels and Annotations are kept with the CronJob and mean nothing to it.
	Labels, Annotations map[string]string

	// Schedule says when, such as "30 2 * * *", "@daily" or "@every 90s": see the
	// package's documentation. Required.
	Schedule string
	// TimeZone is the zone of the schedule, such as "Europe/Berlin". Empty means the
	// local zone of the process.
	TimeZone string
	// EachTimeOnce lets each fixed time of a day come exactly once when the clock is
	// put forward or back: at the first instant after a gap, and the first time of
	// two. Otherwise it is left out, or comes twice. It says nothing about schedules
	// with a star in minutes or hours, which go on with the clock.
	EachTimeOnce bool
	// StartingDeadline is the age at which a time that was missed is not started any
	// more. Nil means never. Zero is an error: see [StartNothing].
	StartingDeadline *time.Duration
	// ConcurrencyPolicy says what becomes of a time that comes while a job is active.
	// Empty means Allow.
	ConcurrencyPolicy ConcurrencyPolicy
	// Suspend starts nothing until the CronJob is resumed. Then the most recent time
	// that was missed starts at once.
	Suspend bool
	// SuccessfulJobsHistoryLimit and FailedJobsHistoryLimit are how many finished jobs
	// are kept, those that started last. Nil means 3 and 1. Zero keeps none.
	SuccessfulJobsHistoryLimit, FailedJobsHistoryLimit *int

	// Job is the template of the jobs. It has no name. Executors find the time that
	// they were started for with [ScheduledTime].
	Job batch.Job
}

// ConcurrencyPolicy says what becomes of a time that is due while a job is active.
type ConcurrencyPolicy string

const (
	// Allow starts the job beside those that are active.
	Allow ConcurrencyPolicy = "Allow"
	// Forbid waits until no job is active, and then starts the most recent time that
	// is not older than the deadline.
	Forbid ConcurrencyPolicy = "Forbid"
	// Replace deletes the active jobs and starts the new one at once: attempts that
	// are being stopped may still run beside it for their grace period.
	Replace ConcurrencyPolicy = "Replace"
)

// StartNothing is a StartingDeadline by which nothing is ever started, as
// startingDeadlineSeconds: 0 means in a manifest. It is there for those who read
// manifests. A zero in Go is taken for a mistake.
const StartNothing time.Duration = math.MinInt64

// A ValidationError reports everything that is wrong with a CronJob, or with a
// change of it.
type ValidationError struct {
	CronJob string // its name
	Fields  []batch.FieldError
}

// Error lists all fields.
func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, field := range e.Fields {
		texts[i] = field.Error()
	}
	return fmt.Sprintf("cron: CronJob %q is invalid: %s", e.CronJob, strings.Join(texts, "; "))
}

// clone returns a copy that shares only functions and the executor.
func (c *CronJob) clone() CronJob {
	d := *c
	d.Labels, d.Annotations = maps.Clone(c.Labels), maps.Clone(c.Annotations)
	d.StartingDeadline = copyOf(c.StartingDeadline)
	d.SuccessfulJobsHistoryLimit = copyOf(c.SuccessfulJobsHistoryLimit)
	d.FailedJobsHistoryLimit = copyOf(c.FailedJobsHistoryLimit)
	d.Job = cloneJob(&c.Job)
	d.Job.Input = encodeInput(d.Job.Input)
	return d
}

// encodeInput returns the input of a template as JSON, which a store gives back as it
// was. What does not encode is left as it is, to be refused.
func encodeInput(input any) any {
	if input == nil {
		return nil
	}
	if data, err := json.Marshal(input); err == nil {
		return json.RawMessage(data)
	}
	return input
}

func copyOf[T any](p *T) *T {
	if p == nil {
		return nil
	}
	return new(*p)
}

// cloneJob copies what a job points to. What policies have inside is copied by
// the one that creates the job, and not written to here.
func cloneJob(j *batch.Job) batch.Job {
	d := *j
	v := reflect.ValueOf(&d).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Pointer:
			if !f.IsNil() {
				p := reflect.New(f.Type().Elem())
				p.Elem().Set(f.Elem())
				f.Set(p)
			}
		case reflect.Map:
			if !f.IsNil() {
				m := reflect.MakeMap(f.Type())
				for _, key := range f.MapKeys() {
					m.SetMapIndex(key, f.MapIndex(key))
				}
				f.Set(m)
			}
		}
	}
	return d
}

// withDefaults returns a copy of c with its defaults resolved; the template's are
// left to each job.
func (c *CronJob) withDefaults() CronJob {
	d := c.clone()
	d.ConcurrencyPolicy = cmp.Or(d.ConcurrencyPolicy, Allow)
	if d.SuccessfulJobsHistoryLimit == nil {
		d.SuccessfulJobsHistoryLimit = new(3)
	}
	if d.FailedJobsHistoryLimit == nil {
		d.FailedJobsHistoryLimit = new(1)
	}
	return d
}

// maxName leaves room for the minutes in the names of jobs.
const maxName = 52

// Validate returns a [*ValidationError] with all that [Controller.Create] would find
// wrong with the CronJob, or nil.
func (c CronJob) Validate() error {
	d := c.withDefaults()
	return d.validate(nil, false)
}

// ValidateChange returns a [*ValidationError] with all that [Controller.Update] would
// find wrong with the CronJob as a change of old, or nil. A zone, and a schedule that
// names one, that older versions have let in may stay.
func (c CronJob) ValidateChange(old CronJob) error {
	d, before := c.withDefaults(), old.withDefaults()
	return d.validate(&before, before.Job.Executor == nil)
}

// Times returns an iterator over the times after a given one that Schedule, TimeZone and
// EachTimeOnce mean, for a look ahead. It ends where the next one is more than five years
// away, and has none for "0 0 30 2 *". "@every" counts from the given time. Other fields
// are not looked at. The error is a [*ValidationError].
func (c CronJob) Times(after time.Time) (iter.Seq[time.Time], error) {
	none := func(func(time.Time) bool) {}
	if faults := slices.Concat(c.checkSchedule(nil), c.checkZone(nil)); len(faults) > 0 {
		return none, &ValidationError{CronJob: c.Name, Fields: faults}
	}
	zone, _ := c.location()
	parsed, err := schedule.Parse(c.Schedule, zone, c.EachTimeOnce)
	if err != nil {
		return none, err
	}
	return func(yield func(time.Time) bool) {
		for at, ok := parsed.After(after.Unix()); ok && yield(time.Unix(at, 0).In(zone)); at, ok = parsed.After(at) {
		}
	}, nil
}

// validate returns everything that is wrong with c as a change of old, or as new if
// old is nil. Both have their defaults. A job without an executor is valid only
// where one is declared later.
func (c *CronJob) validate(old *CronJob, undeclared bool) error {
	fields := slices.Concat(c.checkName(old), c.checkSchedule(old), c.checkZone(old), c.checkNumbers(),
		c.checkPolicy(), c.checkJob(undeclared))
	if len(fields) == 0 {
		return nil
	}
	return &ValidationError{CronJob: c.Name, Fields: fields}
}

func (c *CronJob) checkName(old *CronJob) []batch.FieldError {
	const path = "metadata.name"
	switch {
	case old != nil && c.Name != old.Name:
		return []batch.FieldError{invalid(path, c.Name, "field is immutable")}
	case old != nil:
		return nil
	case c.Name == "":
		return []batch.FieldError{{Field: path, Kind: "Required", Detail: "name or generateName is required"}}
	}
	var fields []batch.FieldError
	for _, text := range names.Subdomain(c.Name) {
		fields = append(fields, invalid(path, c.Name, text))
	}
	if len(c.Name) > maxName {
		fields = append(fields, invalid(path, c.Name, "must be no more than 52 characters"))
	}
	return fields
}

func (c *CronJob) checkSchedule(old *CronJob) []batch.FieldError {
	const path = "spec.schedule"
	if c.Schedule == "" {
		return []batch.FieldError{{Field: path, Kind: "Required"}}
	}
	var fields []batch.FieldError
	if err := schedule.Check(c.Schedule); err != nil {
		fields = append(fields, invalid(path, c.Schedule, err.Error()))
	}
	switch {
	case !strings.Contains(c.Schedule, "TZ"):
	case old == nil || !strings.Contains(old.Schedule, "TZ"):
		fields = append(fields, invalid(path, c.Schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
	case c.TimeZone != "":
		fields = append(fields, invalid(path, c.Schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
	}
	return fields
}

func (c *CronJob) checkZone(old *CronJob) []batch.FieldError {
	const path = "spec.timeZone"
	if c.TimeZone == "" || old != nil && c.TimeZone == old.TimeZone {
		return nil
	}
	var fields []batch.FieldError
	if strings.EqualFold(c.TimeZone, "local") {
		fields = append(fields, invalid(path, c.TimeZone,
			"timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
	}
	if _, err := schedule.Location(c.TimeZone); err != nil || !isZoneName(c.TimeZone) {
		fields = append(fields, invalid(path, c.TimeZone, "unknown time zone "+c.TimeZone))
	}
	return fields
}

// isZoneName reports whether a name has the form of a zone's.
func isZoneName(name string) bool {
	const longest = 14
	for part := range strings.SplitSeq(name, "/") {
		good := func(r rune) bool {
			isLetter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
			return isLetter || r >= '0' && r <= '9' || r < 128 && strings.ContainsRune(".-_+", r)
		}
		if part == "" || part == "." || part == ".." || part[0] == '-' || len(part) > longest ||
			strings.ContainsFunc(part, func(r rune) bool { return !good(r) }) {
			return false
		}
	}
	return true
}

func (c *CronJob) checkNumbers() (fields []batch.FieldError) {
	if d := c.StartingDeadline; d != nil && *d <= 0 && *d != StartNothing {
		detail := "must be greater than or equal to 0"
		if *d == 0 {
			detail = "must be positive: with a deadline of 0 nothing would ever be started"
		}
		fields = append(fields, invalid("spec.startingDeadlineSeconds", *d, detail))
	}
	for path, limit := range map[string]*int{
		"spec.successfulJobsHistoryLimit": c.SuccessfulJobsHistoryLimit,
		"spec.failedJobsHistoryLimit":     c.FailedJobsHistoryLimit,
	} {
		if *limit < 0 {
			fields = append(fields, invalid(path, *limit, "must be greater than or equal to 0"))
		}
	}
	slices.SortFunc(fields, func(a, b batch.FieldError) int { return -strings.Compare(a.Field, b.Field) })
	return fields
}

func (c *CronJob) checkPolicy() []batch.FieldError {
	if slices.Contains([]ConcurrencyPolicy{Allow, Forbid, Replace}, c.ConcurrencyPolicy) {
		return nil
	}
	return []batch.FieldError{{Field: "spec.concurrencyPolicy", Kind: "NotSupported", Value: string(c.ConcurrencyPolicy),
		Detail: `supported values: "Allow", "Forbid", "Replace"`}}
}

// checkJob checks the template, without what depends on the names of jobs. Its
// labels and annotations are not looked at before a job is created.
func (c *CronJob) checkJob(undeclared bool) (fields []batch.FieldError) {
	job := c.Job
	if job.Name != "" {
		fields = append(fields, batch.FieldError{Field: "spec.jobTemplate.metadata.name", Kind: "Forbidden",
			Value: job.Name, Detail: "jobs are named after the CronJob"})
	}
	// the job's default does not count
	if job.CompletionMode == batch.Indexed && job.Completions == nil && job.Parallelism == nil {
		fields = append(fields, batch.FieldError{Field: "spec.jobTemplate.spec.completions", Kind: "Required",
			Detail: "when completion mode is Indexed"})
	}
	job.Name, job.Labels, job.Annotations = "a", nil, nil
	if undeclared && job.Executor == nil {
		job.Executor = batch.ExecutorFunc(undeclaredExecutor)
	}
	if err, ok := job.Validate().(*batch.ValidationError); ok {
		for _, f := range err.Fields {
			f.Field = "spec.jobTemplate." + f.Field
			fields = append(fields, f)
		}
	}
	return fields
}

func invalid(path string, value any, detail string) batch.FieldError {
	return batch.FieldError{Field: path, Kind: "Invalid", Value: value, Detail: detail}
}

// engineSpec is c, with its defaults, as the engine wants it. A CronJob that an
// older version has stored may have a schedule or a zone that is refused today.
func (c *CronJob) engineSpec() engine.Spec {
	s := engine.Spec{
		Name: c.Name, Text: c.Schedule, HasZone: schedule.HasZone(c.Schedule), Suspend: c.Suspend,
		Deadline: schedule.NoDeadline, Successful: *c.SuccessfulJobsHistoryLimit, Failed: *c.FailedJobsHistoryLimit,
		Policy: map[ConcurrencyPolicy]engine.Policy{Forbid: engine.Forbid, Replace: engine.Replace}[c.ConcurrencyPolicy],
	}
	if c.StartingDeadline != nil {
		s.Deadline = max(0, *c.StartingDeadline)
	}
	zone, err := c.location()
	if err != nil {
		s.BadZone, s.Zone = true, c.TimeZone
	}
	parsed, err := schedule.Parse(c.Schedule, zone, c.EachTimeOnce)
	if err != nil {
		s.Unparsable = err.Error()
		return s
	}
	s.Schedule = parsed
	return s
}

// location is the zone of the schedule. With an error it is UTC.
func (c *CronJob) location() (*time.Location, error) {
	if c.TimeZone == "" {
		return time.Local, nil
	}
	zone, err := schedule.Location(c.TimeZone)
	if err != nil {
		return time.UTC, err
	}
	return zone, nil
}

// apply returns live with the changes that were made to its declaration since
// before: what an update has changed stays. Functions are always the declared ones.
func (c *CronJob) apply(live, before *CronJob) CronJob {
	merged := live.clone()
	job := merged.Job
	fields.Merge(&merged, c, before)
	fields.Merge(&job, &c.Job, &before.Job)
	merged.Job = job
	return merged.clone()
}

// sameSpec reports whether nothing but metadata and functions differs.
func sameSpec(a, b CronJob) bool {
	for _, c := range []*CronJob{&a, &b} {
		c.Labels, c.Annotations = nil, nil
		c.Job.Executor, c.Job.Backoff, c.Job.RestartBackoff = nil, nil, nil
	}
	return bytes.Equal(compact(a), compact(b))
}
