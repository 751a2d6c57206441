// Package convert turns Jobs of batch/v1 into jobs of package batch and back,
// attempts into Pods, and events into Events.
package convert

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// A Function is Go code that a container with the image func/NAME runs. It is
// called as a [batch.Executor] is.
type Function = pod.Function

// A Container is what a [Function] sees of its container.
type Container = pod.Container

// A Runner decides what the containers of manifests may do here. It is
// kube.Runner, which says what the fields mean.
type Runner struct {
	Functions  map[string]Function
	Commands   bool
	ConfigMaps []*corev1.ConfigMap
	Secrets    []*corev1.Secret
	Dir        string
	Env        []string
	LogLimit   *int
	Output     func(a batch.Attempt, container string) (stdout, stderr io.WriteCloser)
}

func (r *Runner) values() pod.Values { return pod.NewValues(r.ConfigMaps, r.Secrets) }

// executor runs the containers of a manifest as the runner lets them.
func (r *Runner) executor(m *batchv1.Job) *pod.Pod {
	return pod.New(m, pod.Settings{Functions: r.Functions, Values: r.values(), Dir: r.Dir, Env: r.Env, Output: r.Output})
}

// Job returns the job that m, which has its defaults, describes. The error is an
// aggregate (k8s.io/apimachinery/pkg/util/errors) of *field.Error: what is wrong
// with m or, if nothing is, each thing that it asks for and that cannot be had
// here. The warnings are about what is had in part, or makes no difference here.
//
// The job keeps m, from which [Manifest] makes m again, and [Runner.Restore] the
// executor. It belongs to that origin.
func (r *Runner) Job(m *batchv1.Job, origin Origin) (job batch.Job, warnings []string, err error) {
	if err := validation.Validate(m).ToAggregate(); err != nil {
		return batch.Job{}, nil, err
	}
	if warnings, err = r.Check(m); err != nil {
		return batch.Job{}, warnings, err
	}
	kept, text, err := keep(m)
	if err != nil {
		return batch.Job{}, warnings, err
	}
	job = jobOf(m, r.executor(kept))
	if job.LogLimit, err = logLimit(m, r.LogLimit); err != nil {
		return batch.Job{}, warnings, err
	}
	job.Annotations = carry(map[string]string{string(origin): text}, m.Annotations)
	return job, warnings, nil
}

// Check says what of m cannot be had here, and what not quite.
func (r *Runner) Check(m *batchv1.Job) (warnings []string, err error) {
	s := r.support(m)
	return s.warnings, s.errs.ToAggregate()
}

// LogLimitAnnotation is how many bytes of its log each attempt of a job keeps.
const LogLimitAnnotation = "kube.runtocompletion.dev/log-limit"

// largestLog is up to where a manifest may ask for it.
const largestLog = 64 << 20

func logLimit(m *batchv1.Job, usual *int) (*int, error) {
	text, ok := m.Annotations[LogLimitAnnotation]
	if !ok {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > largestLog {
		return nil, field.Invalid(field.NewPath("metadata", "annotations").Key(LogLimitAnnotation), text,
			fmt.Sprintf("must be a number of bytes between 0 and %d", largestLog))
	}
	return &n, nil
}

func jobOf(m *batchv1.Job, executor batch.Executor) batch.Job {
	spec, template := &m.Spec, &m.Spec.Template.Spec
	return batch.Job{
		Name:                   m.Name,
		Labels:                 ownLabels(m),
		Executor:               executor,
		Input:                  pod.Input(&template.Containers[0]),
		ContainerName:          template.Containers[0].Name,
		Completions:            count(spec.Completions),
		Parallelism:            count(spec.Parallelism),
		CompletionMode:         string(valueOr(spec.CompletionMode, "")),
		RestartPolicy:          string(template.RestartPolicy),
		BackoffLimit:           count(spec.BackoffLimit),
		BackoffLimitPerIndex:   count(spec.BackoffLimitPerIndex),
		MaxFailedIndexes:       count(spec.MaxFailedIndexes),
		ActiveDeadline:         seconds(spec.ActiveDeadlineSeconds),
		AttemptTimeout:         seconds(template.ActiveDeadlineSeconds),
		TerminationGracePeriod: gracePeriod(template.TerminationGracePeriodSeconds),
		TTLAfterFinished:       seconds(wide(spec.TTLSecondsAfterFinished)),
		Suspend:                valueOr(spec.Suspend, false),
		ReplacementPolicy:      string(valueOr(spec.PodReplacementPolicy, "")),
		FailurePolicy:          failurePolicy(spec),
		SuccessPolicy:          successPolicy(spec.SuccessPolicy),
		ManagedBy:              spec.ManagedBy,
	}
}

// ownLabels are the job's labels, without those that it has from its template:
// these are found again when the job is shown.
func ownLabels(m *batchv1.Job) map[string]string {
	if reflect.ValueOf(m.Labels).Pointer() == reflect.ValueOf(m.Spec.Template.Labels).Pointer() {
		return nil
	}
	return m.Labels
}

func count(n *int32) *int {
	if n == nil {
		return nil
	}
	return new(int(*n))
}

func wide(n *int32) *int64 {
	if n == nil {
		return nil
	}
	return new(int64(*n))
}

func valueOr[T any](p *T, unset T) T {
	if p == nil {
		return unset
	}
	return *p
}

// seconds is as a duration what it can be of n: 292 years at most.
func seconds(n *int64) *time.Duration {
	if n == nil {
		return nil
	}
	return new(time.Duration(min(*n, int64(math.MaxInt64/time.Second))) * time.Second)
}

// gracePeriod takes a negative one for a second, as a kubelet does.
func gracePeriod(n *int64) *time.Duration {
	if n != nil && *n < 0 {
		return new(time.Second)
	}
	return seconds(n)
}

// wholeSeconds rounds up, so that what is left of a duration is never too little.
// If was is what d came from, that is the answer.
func wholeSeconds(d *time.Duration, was *int64) *int64 {
	if d == nil {
		return nil
	}
	if before := seconds(was); before != nil && *before == *d {
		return was
	}
	return new(int64((*d + time.Second - 1) / time.Second))
}

// narrow is n, or the largest number that a manifest can have.
func narrow(n int) int32 { return int32(min(n, math.MaxInt32)) }

func narrowed(n *int) *int32 {
	if n == nil {
		return nil
	}
	return new(narrow(*n))
}

// stamp is a time in a manifest; the zero time is nil.
func stamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return new(metav1.NewTime(t))
}

func namespaceOr(namespace string) string { return cmp.Or(namespace, metav1.NamespaceDefault) }

// Change makes job what m says of it, as far as a job may change: all but the
// executor and what is immutable. The manifest that it keeps
// stays, unless the template of a suspended job has changed. M must be valid as an
// update of the job's manifest.
func Change(job *batch.Job, m *batchv1.Job) error {
	if err := changeTemplate(job, m); err != nil {
		return err
	}
	setChangeable(job, m)
	return nil
}

// ChangeMetadata sets the labels and annotations of a job, but for what it keeps in these.
func ChangeMetadata(job *batch.Job, m *batchv1.Job) {
	job.Labels, job.Annotations = m.Labels, carry(job.Annotations, m.Annotations)
}

// setChangeable sets all that a job may change besides its template.
func setChangeable(job *batch.Job, m *batchv1.Job) {
	spec := &m.Spec
	ChangeMetadata(job, m)
	job.Completions = count(spec.Completions)
	job.Parallelism = count(spec.Parallelism)
	job.BackoffLimit = count(spec.BackoffLimit)
	job.MaxFailedIndexes = count(spec.MaxFailedIndexes)
	job.ActiveDeadline = unlessSame(job.ActiveDeadline, spec.ActiveDeadlineSeconds)
	job.TTLAfterFinished = unlessSame(job.TTLAfterFinished, wide(spec.TTLSecondsAfterFinished))
	job.Suspend = valueOr(spec.Suspend, false)
	job.ReplacementPolicy = string(valueOr(spec.PodReplacementPolicy, ""))
}

// changeTemplate keeps the template of m if it is another one. Only the labels,
// the annotations and where pods are to run can be: nothing that is code.
func changeTemplate(job *batch.Job, m *batchv1.Job) error {
	before := Manifest(*job, batch.Status{UID: string(m.UID)}, m.Namespace)
	if apiequality.Semantic.DeepEqual(before.Spec.Template, m.Spec.Template) {
		return nil
	}
	own, isPod := job.Executor.(*pod.Pod)
	switch path := field.NewPath("spec", "template"); {
	case kept(*job) == nil:
		return field.Forbidden(path, "the job is one of Go code, which has no template")
	case job.Executor != nil && !isPod:
		return field.Forbidden(path, "the job is one of a CronJob, and has the template of that")
	}
	changed, text, err := keep(m)
	if err != nil {
		return err
	}
	for _, origin := range []Origin{FromClient, FromCode} {
		if _, ok := job.Annotations[string(origin)]; ok {
			job.Annotations[string(origin)] = text
		}
	}
	if isPod {
		own.Change(changed)
	}
	return nil
}

// unlessSame is n as a duration, or d if that shows as n: a job made by Go code
// is not to lose the fractions of its seconds, nor numbers above those that a
// manifest can have.
func unlessSame(d *time.Duration, n *int64) *time.Duration {
	if shown := wholeSeconds(d, nil); shown != nil && n != nil && *shown == *n {
		return d
	}
	return seconds(n)
}
