package validation

import (
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stored is a job as the API server has it, with a change.
func stored(change func(*batchv1.Job)) *batchv1.Job {
	m := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "job", Namespace: "default", UID: "uid", ResourceVersion: "1"}}
	m.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	m.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "i"}}
	m.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "i"}}
	if change != nil {
		change(m)
	}
	Default(m)
	Prepare(m)
	return m
}

func indexedJob(m *batchv1.Job) {
	m.Spec.CompletionMode = new(batchv1.IndexedCompletion)
	m.Spec.Completions, m.Spec.Parallelism = new(int32(3)), new(int32(3))
}

func suspended(m *batchv1.Job) { m.Spec.Suspend = new(true) }

func resumable(m *batchv1.Job) {
	suspended(m)
	m.Status.StartTime = new(metav1.Now())
	m.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobSuspended, Status: corev1.ConditionTrue}}
}

func changeScheduling(m *batchv1.Job) {
	spec := &m.Spec.Template.Spec
	spec.NodeSelector = map[string]string{"a": "b"}
	spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	spec.Affinity = &corev1.Affinity{NodeAffinity: new(corev1.NodeAffinity)}
	spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "a/b"}}
	m.Spec.Template.Labels["new"] = "label"
	m.Spec.Template.Annotations = map[string]string{"new": "note"}
}

func changeResources(m *batchv1.Job) {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	m.Spec.Template.Spec.Containers[0].Resources.Limits = list
	m.Spec.Template.Spec.InitContainers[0].Resources.Requests = list
}

var validateUpdateTests = map[string]struct {
	old, change func(*batchv1.Job)
	fields      []string // of errors
}{
	"nothing": {change: func(*batchv1.Job) {}},
	"what may change": {change: func(m *batchv1.Job) {
		s := &m.Spec
		s.Parallelism, s.BackoffLimit, s.Suspend = new(int32(9)), new(int32(9)), new(true)
		s.ActiveDeadlineSeconds, s.TTLSecondsAfterFinished = new(int64(9)), new(int32(9))
		s.PodReplacementPolicy = new(batchv1.Failed)
		m.Labels, m.Annotations = map[string]string{"a": "b"}, map[string]string{"a": "b"}
	}},
	"completions": {
		change: func(m *batchv1.Job) { m.Spec.Completions = new(int32(2)) }, fields: []string{"spec.completions"},
	},
	"completions of an Indexed job, alone": {old: indexedJob,
		change: func(m *batchv1.Job) { m.Spec.Completions = new(int32(2)) }, fields: []string{"spec.completions"}},
	"completions of an Indexed job, with parallelism": {old: indexedJob,
		change: func(m *batchv1.Job) { m.Spec.Completions, m.Spec.Parallelism = new(int32(2)), new(int32(2)) }},
	"parallelism of an Indexed job": {
		old: indexedJob, change: func(m *batchv1.Job) { m.Spec.Parallelism = new(int32(2)) },
	},
	"no completions": {
		old: indexedJob, change: func(m *batchv1.Job) { m.Spec.Completions = nil }, fields: []string{"spec.completions"},
	},
	"what may not change": {change: func(m *batchv1.Job) {
		indexedJob(m)
		m.Spec.Completions = new(int32(1))
		m.Spec.BackoffLimitPerIndex = new(int32(1))
		m.Spec.ManagedBy = new("a.b/c")
		m.Spec.SuccessPolicy = &batchv1.SuccessPolicy{Rules: []batchv1.SuccessPolicyRule{{SucceededCount: new(int32(1))}}}
		m.Spec.PodFailurePolicy = new(batchv1.PodFailurePolicy)
		m.Spec.PodReplacementPolicy = new(batchv1.Failed)
		m.Spec.Selector.MatchLabels["job-name"] = "job"
	}, fields: []string{
		"spec.selector", "spec.completionMode", "spec.podFailurePolicy", "spec.backoffLimitPerIndex", "spec.managedBy",
		"spec.successPolicy",
	}},
	"an image": {
		change: func(m *batchv1.Job) { m.Spec.Template.Spec.Containers[0].Image = "j" }, fields: []string{"spec.template"},
	},
	"places of a job that runs":          {change: changeScheduling, fields: []string{"spec.template"}},
	"places of a suspended job":          {old: suspended, change: changeScheduling},
	"places of a job that was suspended": {old: resumable, change: changeScheduling},
	"places together with the resumption": {
		old: resumable, change: func(m *batchv1.Job) { changeScheduling(m); m.Spec.Suspend = new(false) },
	},
	"places while pods stop": {
		old: func(m *batchv1.Job) { resumable(m); m.Status.Active = 1 }, change: changeScheduling,
		fields: []string{"spec.template"},
	},
	"places before the suspension shows": {
		old: func(m *batchv1.Job) { resumable(m); m.Status.Conditions = nil }, change: changeScheduling,
		fields: []string{"spec.template"},
	},
	"resources of a job that runs": {change: changeResources, fields: []string{"spec.template"}},
	"resources of a suspended job": {old: suspended, change: changeResources},
	"an image of a suspended job": {
		old: suspended, change: func(m *batchv1.Job) { m.Spec.Template.Spec.Containers[0].Image = "j" },
		fields: []string{"spec.template.spec"},
	},
	"another affinity of a suspended job": {old: suspended, change: func(m *batchv1.Job) {
		m.Spec.Template.Spec.Affinity = &corev1.Affinity{PodAffinity: new(corev1.PodAffinity)}
	}, fields: []string{"spec.template.spec"}},
	"an affinity that goes": {old: func(m *batchv1.Job) {
		suspended(m)
		m.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: new(corev1.NodeAffinity)}
	}, change: func(m *batchv1.Job) { m.Spec.Template.Spec.Affinity = nil }},
	"a name": {change: func(m *batchv1.Job) { m.Name = "other" }, fields: []string{"metadata.name"}},
	"a UID":  {change: func(m *batchv1.Job) { m.UID = "other" }, fields: []string{"metadata.uid"}},
	"a name too long for more completions": {old: func(m *batchv1.Job) {
		indexedJob(m)
		m.Name = "a12345678901234567890123456789012345678901234567890123456789a"
	}, change: func(m *batchv1.Job) {
		m.Spec.Completions, m.Spec.Parallelism = new(int32(11)), new(int32(11))
	}, fields: []string{"metadata.name"}},
	"a number that no job may have": {
		change: func(m *batchv1.Job) { m.Spec.Parallelism = new(int32(-1)) }, fields: []string{"spec.parallelism"},
	},
}

func TestValidateUpdate(t *testing.T) {

	for name, c := range validateUpdateTests {
		t.Run(name, func(t *testing.T) {
			old := stored(c.old)
			updated := old.DeepCopy()
			c.change(updated)
			before, after := old.DeepCopy(), updated.DeepCopy()
			var fields []string
			errs := ValidateUpdate(updated, old)
			for _, e := range errs {
				fields = append(fields, e.Field)
			}
			require.Equal(t, c.fields, fields, "%v", errs)
			require.Equal(t, before, old, "the arguments are left as they are")
			require.Equal(t, after, updated)
		})
	}
}

// TestValidateLeavesTheJobAlone wants the job without the labels of Prepare.
func TestValidateLeavesTheJobAlone(t *testing.T) {
	m := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "job"}}
	m.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "i"}}
	m.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	Default(m)
	before := m.DeepCopy()
	require.Empty(t, Validate(m))
	require.Equal(t, before, m)
}

// TestDefaultSharesLabels is R37: the job has the labels that its template gets.
func TestDefaultSharesLabels(t *testing.T) {
	for name, c := range map[string]struct {
		own, template, want map[string]string
	}{
		"labels of its own": {
			own: map[string]string{"a": "b"}, template: map[string]string{"c": "d"}, want: map[string]string{"a": "b"},
		},
		"labels of the template": {
			template: map[string]string{"c": "d"}, want: map[string]string{"c": "d", "job-name": "job"},
		},
		"no labels until it is read": {own: nil, template: nil, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "job", Labels: c.own}}
			m.Spec.Template.Labels = c.template
			Default(m)
			Prepare(m)
			if c.want["job-name"] != "" {
				require.Equal(t, "job", m.Labels["job-name"])
				require.Equal(t, "d", m.Labels["c"])
				return
			}
			require.Equal(t, c.want, m.Labels)
		})
	}
}

func TestWarnings(t *testing.T) {
	require.Empty(t, Warnings(stored(nil)))
	dotted := stored(func(m *batchv1.Job) { m.Name = "a.b" })
	require.Len(t, Warnings(dotted), 1)
	require.Contains(t, Warnings(dotted)[0], "a DNS label is recommended: [must not contain dots]")
	large := stored(func(m *batchv1.Job) {
		indexedJob(m)
		m.Spec.Completions, m.Spec.Parallelism = new(int32(100_001)), new(int32(10_001))
	})
	require.Len(t, Warnings(large), 1)
	require.Contains(t, Warnings(large)[0], "spec: In Indexed Jobs with a number of completions higher than 10^5")
}

// FuzzCountIndexes wants no panic, and no more indexes than there can be.
func FuzzCountIndexes(f *testing.F) {
	f.Add("0,2-4", int32(5))
	f.Add("2147483646", int32(2147483647))
	f.Fuzz(func(t *testing.T, text string, completions int32) {
		n, err := countIndexes(text, completions)
		if err != nil {
			require.Zero(t, n)
			return
		}
		require.GreaterOrEqual(t, n, int32(0))
		require.LessOrEqual(t, n, max(completions, 0))
	})
}
