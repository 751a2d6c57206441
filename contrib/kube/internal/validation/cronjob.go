package validation

import (
	"context"
	"errors"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/cron"
)

// DefaultCronJob fills in what a CronJob leaves out, as the API server does. The
// template of its jobs gets the defaults of pods only: the rest is for each job.
func DefaultCronJob(m *batchv1.CronJob) {
	spec := &m.Spec
	orValue(&spec.ConcurrencyPolicy, batchv1.AllowConcurrent)
	orDefault(&spec.Suspend, false)
	orDefault(&spec.SuccessfulJobsHistoryLimit, 3)
	orDefault(&spec.FailedJobsHistoryLimit, 1)
	if policy := spec.JobTemplate.Spec.PodFailurePolicy; policy != nil {
		defaultRules(policy.Rules)
	}
	defaultTemplate(&spec.JobTemplate.Spec.Template.Spec)
}

// maxCronJobName leaves room for the minutes in the names of jobs.
const maxCronJobName = 52

// ValidateCronJob returns everything that the API server finds wrong with a
// defaulted CronJob that is to be created.
func ValidateCronJob(m *batchv1.CronJob) field.ErrorList {
	errs := validation.ValidateObjectMeta(&m.ObjectMeta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if len(m.Name) > maxCronJobName {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), m.Name, "must be no more than 52 characters"))
	}
	errs = append(errs, cronErrors(timing(m).Validate())...)
	return once(append(errs, checkCronJobSpec(&m.Spec)...))
}

// ValidateCronJobUpdate returns everything that the API server finds wrong with a
// defaulted CronJob that is to take the place of old.
func ValidateCronJobUpdate(updated, old *batchv1.CronJob) field.ErrorList {
	errs := validation.ValidateObjectMetaUpdate(&updated.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	errs = append(errs, cronErrors(timing(updated).ValidateChange(timing(old)))...)
	return once(append(errs, checkCronJobSpec(&updated.Spec)...))
}

// CronJobWarnings are what the API server says about a valid CronJob that it takes
// nevertheless. Old is nil unless the CronJob is an update.
func CronJobWarnings(m, old *batchv1.CronJob) []string {
	var w warner
	if old == nil {
		w.name(m.Name)
	}
	path := field.NewPath("spec", "jobTemplate", "spec", "template", "spec")
	w.pod(&m.Spec.JobTemplate.Spec.Template.Spec, path)
	if strings.Contains(m.Spec.Schedule, "TZ") {
		w.texts = append(w.texts, "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, "+
			"see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details")
	}
	return w.texts
}

// timing is when m starts its jobs. They do nothing, and their names are short.
func timing(m *batchv1.CronJob) cron.CronJob {
	c := Timing(m)
	c.Name = "cronjob"
	c.Job.Executor = batch.ExecutorFunc(func(context.Context, batch.Attempt) error { return nil })
	return c
}

// Timing is the CronJob that m describes, without its jobs.
func Timing(m *batchv1.CronJob) cron.CronJob {
	spec := &m.Spec
	c := cron.CronJob{Name: m.Name, Schedule: spec.Schedule,
		StartingDeadline:  startingDeadline(spec.StartingDeadlineSeconds),
		ConcurrencyPolicy: cron.ConcurrencyPolicy(spec.ConcurrencyPolicy), Suspend: spec.Suspend != nil && *spec.Suspend}
	if spec.TimeZone != nil {
		c.TimeZone = *spec.TimeZone
	}
	if n := spec.SuccessfulJobsHistoryLimit; n != nil {
		c.SuccessfulJobsHistoryLimit = new(int(*n))
	}
	if n := spec.FailedJobsHistoryLimit; n != nil {
		c.FailedJobsHistoryLimit = new(int(*n))
	}
	return c
}

// longest is the longest duration in seconds: 292 years.
const longest = int64(1<<63-1) / int64(time.Second)

func startingDeadline(seconds *int64) *time.Duration {
	switch {
	case seconds == nil:
		return nil
	case *seconds == 0:
		return new(cron.StartNothing)
	}
	return new(time.Duration(max(-longest, min(*seconds, longest))) * time.Second)
}

// cronErrors are the errors of a CronJob in the API's form.
func cronErrors(err error) field.ErrorList {
	if invalid, ok := errors.AsType[*cron.ValidationError](err); ok {
		return FieldErrors(invalid.Fields)
	}
	return nil
}

// errorTypes are the API's names of the kinds of errors.
var errorTypes = map[string]field.ErrorType{
	"Required": field.ErrorTypeRequired, "Invalid": field.ErrorTypeInvalid,
	"NotSupported": field.ErrorTypeNotSupported, "Forbidden": field.ErrorTypeForbidden,
	"TooLong": field.ErrorTypeTooLong, "TooMany": field.ErrorTypeTooMany, "Duplicate": field.ErrorTypeDuplicate,
}

// FieldErrors are errors of package batch in the API's form. Durations are in seconds.
func FieldErrors(list []batch.FieldError) (errs field.ErrorList) {
	for _, e := range list {
		value := e.Value
		if d, ok := value.(time.Duration); ok {
			value = d.Seconds()
		} else if value == nil {
			value = field.OmitValueType{}
		}
		errs = append(errs, &field.Error{Type: errorTypes[e.Kind], Field: e.Field, BadValue: value, Detail: e.Detail})
	}
	return errs
}

func checkCronJobSpec(spec *batchv1.CronJobSpec) (errs field.ErrorList) {
	if zone := spec.TimeZone; zone != nil && *zone == "" {
		errs = append(errs, field.Invalid(field.NewPath("spec", "timeZone"), "", "timeZone must be nil or non-empty string"))
	}
	job, path := &spec.JobTemplate.Spec, field.NewPath("spec", "jobTemplate", "spec")
	errs = append(errs, checkTemplateSpec(job, path)...)
	if job.Selector != nil {
		errs = append(errs, field.Invalid(path.Child("selector"), job.Selector, "`selector` will be auto-generated"))
	}
	if job.ManualSelector != nil && *job.ManualSelector {
		errs = append(errs, field.NotSupported(path.Child("manualSelector"), *job.ManualSelector, []string{"nil", "false"}))
	}
	return errs
}
