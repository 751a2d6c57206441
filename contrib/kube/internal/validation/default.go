// Package validation says what the API server of Kubernetes says to a Job of
// batch/v1: it fills in defaults, and names every field that is wrong, with the
// server's own paths, kinds and texts. Its functions are pure, but that Default
// and Prepare change the object they are given.
package validation

import (
	"math"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Default fills in what a manifest leaves out, as the API server does before it
// looks at anything else. A job without labels gets the map of its template's, so
// that labels added to that later, by [Prepare], are the job's as well.
func Default(m *batchv1.Job) {
	spec := &m.Spec
	if spec.Completions == nil && spec.Parallelism == nil { // without completions alone, a work queue
		spec.Completions = new(int32(1))
	}
	orDefault(&spec.Parallelism, 1)
	if spec.BackoffLimitPerIndex != nil { // no limit but that of each index
		orDefault(&spec.BackoffLimit, math.MaxInt32)
	}
	orDefault(&spec.BackoffLimit, 6)
	if spec.Template.Labels != nil && len(m.Labels) == 0 {
		m.Labels = spec.Template.Labels
	}
	orDefault(&spec.CompletionMode, batchv1.NonIndexedCompletion)
	orDefault(&spec.Suspend, false)
	orDefault(&spec.ManualSelector, false)
	defaultPolicies(spec)
	defaultTemplate(&spec.Template.Spec)
}

func defaultPolicies(spec *batchv1.JobSpec) {
	if policy := spec.PodFailurePolicy; policy != nil {
		if len(policy.Rules) == 0 {
			policy.Rules = nil // the server's storage knows no empty lists, and these show
		}
		orDefault(&spec.PodReplacementPolicy, batchv1.Failed)
		defaultRules(policy.Rules)
	}
	orDefault(&spec.PodReplacementPolicy, batchv1.TerminatingOrFailed)
}

func defaultRules(rules []batchv1.PodFailurePolicyRule) {
	for _, rule := range rules {
		for i := range rule.OnPodConditions {
			orValue(&rule.OnPodConditions[i].Status, corev1.ConditionTrue)
		}
	}
}

// orDefault lets *p point to value if it points nowhere.
func orDefault[T any](p **T, value T) {
	if *p == nil {
		*p = new(value)
	}
}

// orValue makes *p value if it is the zero value.
func orValue[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// Prepare gives a defaulted job its labels and its selector, for which its UID
// must be known. A job with manualSelector is left alone.
func Prepare(m *batchv1.Job) {
	if m.Spec.ManualSelector != nil && *m.Spec.ManualSelector {
		return
	}
	template := &m.Spec.Template
	if template.Labels == nil {
		template.Labels = make(map[string]string, 4)
	}
	for key, value := range generatedLabels(m) {
		if _, given := template.Labels[key]; !given {
			template.Labels[key] = value
		}
	}
	selectByUID(m)
}

func selectByUID(m *batchv1.Job) {
	if m.Spec.Selector == nil {
		m.Spec.Selector = new(metav1.LabelSelector)
	}
	labels := &m.Spec.Selector.MatchLabels
	if *labels == nil {
		*labels = make(map[string]string, 1)
	}
	if _, given := (*labels)[batchv1.ControllerUidLabel]; !given {
		(*labels)[batchv1.ControllerUidLabel] = string(m.UID)
	}
}

// The labels of old, which have no prefix.
const (
	legacyJobNameLabel       = "job-name"
	legacyControllerUIDLabel = "controller-uid"
)

func generatedLabels(m *batchv1.Job) map[string]string {
	return map[string]string{
		batchv1.JobNameLabel:       m.Name,
		legacyJobNameLabel:         m.Name,
		batchv1.ControllerUidLabel: string(m.UID),
		legacyControllerUIDLabel:   string(m.UID),
	}
}
