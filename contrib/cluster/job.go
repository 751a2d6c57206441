package cluster

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
)

// What objects of the cluster carry that are of this package.
const (
	domain        = "cluster.runtocompletion.dev/"
	managedLabel  = domain + "managed" // "true": on Jobs and pods
	hashKey       = domain + "spec-hash"
	resultMark    = domain + "result" // a finalizer: the pod's result was not read yet
	labelJobName  = batchv1.JobNameLabel
	annotationIdx = batchv1.JobCompletionIndexAnnotation
)

// jobOf is the Job that a job becomes.
func (d *driver) jobOf(job *batch.Job) (*batchv1.Job, error) {
	spec := podSpec{Function: nameOfExecutor(job.Executor), Predicates: make(map[int]string),
		Checkpoints: d.o.Checkpoints, Job: *job}
	for i, rule := range job.FailurePolicy {
		if rule.OnError != nil {
			spec.Predicates[i] = nameOfPredicate(rule.OnError)
		}
	}
	hash, err := d.hashOf(spec)
	if err != nil {
		return nil, err
	}
	if d.o.SameBuild {
		if spec.Build, err = Build(); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	mode := batchv1.CompletionMode(job.CompletionMode)
	made := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: job.Name, Namespace: d.o.Namespace, Labels: maps.Clone(job.Labels),
			Annotations: maps.Clone(job.Annotations)},
		Spec: batchv1.JobSpec{
			CompletionMode: &mode, Completions: int32Of(job.Completions),
			BackoffLimitPerIndex: int32Of(job.BackoffLimitPerIndex),
			PodFailurePolicy:     failurePolicy(job), PodReplacementPolicy: new(batchv1.Failed),
			SuccessPolicy: successPolicy(job), Template: d.templateOf(job, string(text)),
		},
	}
	setMutable(&made.Spec, job)
	set(&made.Labels, managedLabel, "true")
	set(&made.Annotations, hashKey, hash)
	return made, nil
}

func set(m *map[string]string, key, value string) {
	if *m == nil {
		*m = make(map[string]string)
	}
	(*m)[key] = value
}

// setMutable sets what may change while a Job runs.
func setMutable(s *batchv1.JobSpec, job *batch.Job) {
	s.Parallelism, s.BackoffLimit = int32Of(job.Parallelism), int32Of(job.BackoffLimit)
	s.MaxFailedIndexes, s.Suspend = int32Of(job.MaxFailedIndexes), new(job.Suspend)
	s.ActiveDeadlineSeconds = secondsOf(job.ActiveDeadline)
	if job.CompletionMode == batch.Indexed {
		s.Completions = int32Of(job.Completions)
	}
}

// hashOf is of all that may not change: a Job with another one is another Job. Builds
// and images are not part of it: a new build of the service finds the Jobs of the old one.
func (d *driver) hashOf(spec podSpec) (string, error) {
	j := &spec.Job
	j.Parallelism, j.BackoffLimit, j.MaxFailedIndexes, j.ActiveDeadline, j.Suspend = nil, nil, nil, nil, false
	if j.CompletionMode == batch.Indexed {
		j.Completions = nil
	}
	j.Labels, j.Annotations, j.TTLAfterFinished, j.Priority = nil, nil, nil, 0
	j.History, j.LogLimit, j.CheckpointLimit, j.ResultLimit, j.ReplacementPolicy = nil, nil, nil, nil, ""
	data, err := json.Marshal(struct {
		Spec     podSpec
		Template corev1.PodTemplateSpec
	}{spec, d.o.Template})
	return fmt.Sprintf("%x", sha256.Sum256(data))[:16], err
}

// templateOf is the user's template with what the attempt needs.
func (d *driver) templateOf(job *batch.Job, spec string) corev1.PodTemplateSpec {
	t := *d.o.Template.DeepCopy()
	set(&t.Labels, managedLabel, "true")
	t.Finalizers = append(t.Finalizers, resultMark)
	t.Spec.RestartPolicy = corev1.RestartPolicyNever
	t.Spec.TerminationGracePeriodSeconds = secondsOf(job.TerminationGracePeriod)
	t.Spec.ActiveDeadlineSeconds = secondsOf(job.AttemptTimeout)
	at := slices.IndexFunc(t.Spec.Containers, func(c corev1.Container) bool { return c.Name == job.ContainerName })
	if at < 0 {
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: job.ContainerName})
		at = len(t.Spec.Containers) - 1
	}
	c := &t.Spec.Containers[at]
	if c.Image == "" {
		c.Image = d.image
	}
	c.TerminationMessagePath, c.TerminationMessagePolicy = terminationLog, corev1.TerminationMessageReadFile
	c.Env = append(c.Env, corev1.EnvVar{Name: envSpec, Value: escaped(spec)}, fromField(envPod, "metadata.name"),
		fromField(envPodUID, "metadata.uid"), fromField(envNS, "metadata.namespace"),
		fromField(envJobUID, "metadata.labels['"+batchv1.ControllerUidLabel+"']"),
		fromField(envFailures, "metadata.annotations['"+batchv1.JobIndexFailureCountAnnotation+"']"),
		fromField(envIgnored, "metadata.annotations['"+batchv1.JobIndexIgnoredFailureCountAnnotation+"']"))
	return t
}

func fromField(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name,
		ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

func successPolicy(job *batch.Job) *batchv1.SuccessPolicy {
	if job.SuccessPolicy == nil {
		return nil
	}
	policy := new(batchv1.SuccessPolicy)
	for _, rule := range job.SuccessPolicy {
		r := batchv1.SuccessPolicyRule{SucceededCount: int32Of(rule.SucceededCount)}
		if rule.SucceededIndexes != nil {
			r.SucceededIndexes = new(rule.SucceededIndexes.String())
		}
		policy.Rules = append(policy.Rules, r)
	}
	return policy
}

func int32Of(n *int) *int32 {
	if n == nil {
		return nil
	}
	return new(int32(*n))
}

func secondsOf(d *time.Duration) *int64 {
	if d == nil {
		return nil
	}
	return new(int64(*d / time.Second))
}

// escaped keeps the kubelet from expanding references to variables.
func escaped(text string) string { return strings.ReplaceAll(text, "$", "$$") }
