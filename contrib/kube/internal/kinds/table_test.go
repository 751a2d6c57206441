package kinds

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func ago(d time.Duration) *metav1.Time { return new(metav1.NewTime(time.Now().Add(-d))) }

func conditions(kinds ...batchv1.JobConditionType) []batchv1.JobCondition {
	var list []batchv1.JobCondition
	for _, kind := range kinds {
		list = append(list, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue})
	}
	return list
}

func TestJobStatus(t *testing.T) {
	deleted := batchv1.Job{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: ago(0)}}
	tests := map[string]struct {
		job  batchv1.Job
		kind []batchv1.JobConditionType
		want string
	}{
		"without conditions": {want: "Running"},
		"complete": {
			kind: []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}, want: "Complete",
		},
		"failed": {
			kind: []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed}, want: "Failed",
		},
		"complete, though being deleted": {
			job: deleted, kind: []batchv1.JobConditionType{batchv1.JobComplete}, want: "Complete",
		},
		"being deleted": {
			job: deleted, kind: []batchv1.JobConditionType{batchv1.JobSuspended}, want: "Terminating",
		},
		"suspended": {
			kind: []batchv1.JobConditionType{batchv1.JobSuspended, batchv1.JobFailureTarget}, want: "Suspended",
		},
		"about to fail": {kind: []batchv1.JobConditionType{batchv1.JobFailureTarget}, want: "FailureTarget"},
		"about to succeed": {
			kind: []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet}, want: "SuccessCriteriaMet",
		},
		"with a condition nobody knows": {kind: []batchv1.JobConditionType{"Finished"}, want: "Running"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.job.Status.Conditions = conditions(test.kind...)
			require.Equal(t, test.want, jobCells(&test.job)[1])
		})
	}
}

func TestJobCells(t *testing.T) {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "a", CreationTimestamp: *ago(3 * time.Hour)},
		Spec: batchv1.JobSpec{Completions: new(int32(5)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "x", Image: "i"}, {Name: "y", Image: "j"},
			}}}},
		Status: batchv1.JobStatus{Succeeded: 2, StartTime: ago(90 * time.Second)},
	}
	require.Equal(t, []any{"a", "Running", "2/5", "90s", "3h", "x,y", "i,j", "<none>"}, jobCells(job))
	job.Status.CompletionTime = ago(30 * time.Second)
	job.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"b": "2", "a": "1"}}
	require.Equal(t, []any{"60s", "3h", "x,y", "i,j", "a=1,b=2"}, jobCells(job)[3:])
	for want, spec := range map[string]batchv1.JobSpec{
		"2/1": {}, "2/1 of 3": {Parallelism: new(int32(3))}, "2/9": {Completions: new(int32(9)), Parallelism: new(int32(3))},
	} {
		job.Spec = spec
		require.Equal(t, want, jobCells(job)[2])
	}
	require.Equal(t, []any{"", "Running", "0/1", "", "<unknown>", "", "", "<none>"}, jobCells(new(batchv1.Job)))
}

func waiting(reason string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
}

var running = corev1.ContainerState{Running: new(corev1.ContainerStateRunning)}

func terminated(reason string, code int32) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: reason, ExitCode: code,
	}}
}

var podStatusTests = map[string]struct {
	phase      corev1.PodPhase
	reason     string
	deleted    bool
	init       []corev1.ContainerState
	containers []corev1.ContainerState
	want       string
}{
	"pending": {phase: corev1.PodPending, want: "Pending"},
	"a container being made": {
		phase: corev1.PodPending, containers: []corev1.ContainerState{waiting("ContainerCreating")},
		want: "ContainerCreating",
	},
	"running": {
		phase: corev1.PodRunning, containers: []corev1.ContainerState{running}, want: "Running",
	},
	"succeeded": {
		phase: corev1.PodSucceeded, containers: []corev1.ContainerState{terminated("Completed", 0)}, want: "Completed",
	},
	"failed": {
		phase: corev1.PodFailed, containers: []corev1.ContainerState{terminated("Error", 1)}, want: "Error",
	},
	"evicted": {phase: corev1.PodFailed, reason: "Evicted", want: "Evicted"},
	"waiting for a restart": {
		phase: corev1.PodRunning, containers: []corev1.ContainerState{waiting("CrashLoopBackOff")}, want: "CrashLoopBackOff",
	},
	"being deleted": {
		phase: corev1.PodRunning, deleted: true, containers: []corev1.ContainerState{running}, want: "Terminating",
	},
	"deleted after its end": {
		phase: corev1.PodFailed, deleted: true, containers: []corev1.ContainerState{terminated("Error", 1)},
		want: "Error",
	},
	"the second init container": {
		phase: corev1.PodPending, init: []corev1.ContainerState{terminated("Completed", 0), running}, want: "Init:1/2",
	},
	"a failed init container": {
		phase: corev1.PodPending, init: []corev1.ContainerState{terminated("Error", 1)}, want: "Init:Error",
	},
	"an init container that waits": {
		phase: corev1.PodPending, init: []corev1.ContainerState{waiting("CrashLoopBackOff")}, want: "Init:CrashLoopBackOff",
	},
}

func TestPodStatus(t *testing.T) {
	for name, test := range podStatusTests {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{Status: corev1.PodStatus{Phase: test.phase, Reason: test.reason}}
			if test.deleted {
				pod.DeletionTimestamp = ago(0)
			}
			for _, state := range test.init {
				pod.Spec.InitContainers = append(pod.Spec.InitContainers, corev1.Container{})
				pod.Status.InitContainerStatuses = append(pod.Status.InitContainerStatuses, corev1.ContainerStatus{State: state})
			}
			for _, state := range test.containers {
				pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{})
				pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses,
					corev1.ContainerStatus{State: state, Ready: state.Running != nil})
			}
			require.Equal(t, test.want, podCells(pod)[2])
		})
	}
}

func TestPodCells(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a-x", CreationTimestamp: *ago(12 * time.Minute)},
		Spec:       corev1.PodSpec{Containers: make([]corev1.Container, 1), NodeName: "here"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "1.2.3.4",
			ContainerStatuses: []corev1.ContainerStatus{
				{Ready: true, State: corev1.ContainerState{Running: new(corev1.ContainerStateRunning)}, RestartCount: 3,
					LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
						FinishedAt: *ago(2 * time.Minute),
					}}}}},
	}
	require.Equal(t, []any{"a-x", "1/1", "Running", "3 (2m ago)", "12m", "1.2.3.4", "here", "<none>", "<none>"},
		podCells(pod))
	require.Equal(t, []any{"", "0/0", "", "0", "<unknown>", "<none>", "<none>", "<none>", "<none>"},
		podCells(new(corev1.Pod)))
}

func TestEventCells(t *testing.T) {
	e := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "a.1"}, Type: "Normal", Reason: "Completed",
		Message:        " Job completed\n",
		InvolvedObject: corev1.ObjectReference{Kind: "Job", Name: "a"}, Source: corev1.EventSource{
			Component: "job-controller",
		},
		FirstTimestamp: *ago(5 * time.Minute), LastTimestamp: *ago(time.Minute), Count: 3}
	require.Equal(
		t, []any{"60s", "Normal", "Completed", "job/a", "", "job-controller", "Job completed", "5m", int64(3), "a.1"},
		eventCells(e),
	)
}

// TestClockSetBack wants an age where kubectl would say that there is none.
func TestClockSetBack(t *testing.T) {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: *ago(-time.Hour)},
		Status: batchv1.JobStatus{StartTime: ago(-time.Hour)}}
	require.Equal(t, []any{"0s", "0s"}, jobCells(job)[3:5])
	job.Status.CompletionTime = ago(0)
	require.Equal(t, "0s", jobCells(job)[3])
}

// TestColumns wants as many cells as there are columns, of every kind.
func TestColumns(t *testing.T) {
	require.Len(t, jobCells(new(batchv1.Job)), len(jobColumns))
	require.Len(t, podCells(new(corev1.Pod)), len(podColumns))
	require.Len(t, eventCells(new(corev1.Event)), len(eventColumns))
	require.Len(t, namespaceCells(new(corev1.Namespace)), len(namespaceColumns))
}
