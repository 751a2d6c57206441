package convert

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
)

var (
	created  = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	started  = created.Add(time.Second)
	finished = created.Add(time.Minute)
)

// attempt is one of job "job" that runs.
func attempt(change func(*batch.AttemptStatus)) batch.AttemptStatus {
	a := batch.AttemptStatus{
		Name: "job-abcde", UID: "aaaa", JobUID: someUID, Index: -1,
		Phase: batch.AttemptRunning, CreatedAt: created, StartedAt: started, Ready: true}
	if change != nil {
		change(&a)
	}
	return a
}

// manifestOf is the manifest of a job in a controller, with more lines of its
// spec and its pod.
func manifestOf(t *testing.T, spec, pod string) *batchv1.Job {
	m := parsed(t, "apiVersion: batch/v1\nkind: Job\nmetadata: {name: job}\nspec:\n"+indent(2, spec)+`
  template:
    metadata: {labels: {app: x}, annotations: {note: why}, finalizers: [a/b]}
    spec:
      restartPolicy: Never
`+indent(6, pod)+`
      containers:
      - {name: main, image: "perl:5", command: [x]}
`)
	job, _, err := anything.Job(m, FromCode)
	require.NoError(t, err)
	return Manifest(job, batch.Status{UID: someUID}, "")
}

func TestPodMetadata(t *testing.T) {
	labels := map[string]string{
		"app": "x", "job-name": "job", "batch.kubernetes.io/job-name": "job",
		"controller-uid": someUID, "batch.kubernetes.io/controller-uid": someUID}
	m := manifestOf(t, "", "")
	p := Pod(m, attempt(nil), "")
	require.Equal(t, "job-abcde", p.Name)
	require.Equal(t, "job-", p.GenerateName)
	require.Equal(t, "default", p.Namespace)
	require.EqualValues(t, "aaaa", p.UID)
	require.Equal(t, labels, p.Labels)
	require.Equal(t, map[string]string{"note": "why"}, p.Annotations)
	require.Equal(t, metav1.NewTime(created), p.CreationTimestamp)
	require.Nil(t, p.DeletionTimestamp)
	require.Equal(t, []string{"a/b", "batch.kubernetes.io/job-tracking"}, p.Finalizers)
	require.Equal(t, []metav1.OwnerReference{{
		APIVersion: "batch/v1", Kind: "Job", Name: "job", UID: someUID, Controller: new(true),
		BlockOwnerDeletion: new(true)}}, p.OwnerReferences)

	// The job's selector finds its pods.
	selector, err := metav1.LabelSelectorAsSelector(m.Spec.Selector)
	require.NoError(t, err)
	require.True(t, selector.Matches(labelSet(p.Labels)))
}

type labelSet map[string]string

func (s labelSet) Has(key string) bool              { _, ok := s[key]; return ok }
func (s labelSet) Get(key string) string            { return s[key] }
func (s labelSet) Lookup(key string) (string, bool) { v, ok := s[key]; return v, ok }

// TestPodOfIndexedJob is R118 to R121.
func TestPodOfIndexedJob(t *testing.T) {
	m := manifestOf(
		t, "completionMode: Indexed\ncompletions: 5\nbackoffLimitPerIndex: 3",
		"initContainers: [{name: first, image: process, command: [x], env: [{name: JOB_COMPLETION_INDEX, value: mine}]}]",
	)
	p := Pod(m, attempt(func(a *batch.AttemptStatus) {
		a.Index, a.Failures, a.IgnoredFailures = 3, 2, 1
		a.Conditions = runsOf(pod.Runs{"first": {Done: true}})
	}), "ns")
	require.Equal(t, "job-3-", p.GenerateName)
	require.Equal(t, "3", p.Labels["batch.kubernetes.io/job-completion-index"])
	require.Equal(t, map[string]string{
		"note": "why", "batch.kubernetes.io/job-completion-index": "3",
		"batch.kubernetes.io/job-index-failure-count": "2", "batch.kubernetes.io/job-index-ignored-failure-count": "1"},
		p.Annotations)
	require.Equal(t, "job-3", p.Spec.Hostname)
	require.Equal(t, []corev1.EnvVar{{Name: "JOB_COMPLETION_INDEX", ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{
			APIVersion: "v1", FieldPath: "metadata.labels['batch.kubernetes.io/job-completion-index']",
		}}}},
		p.Spec.Containers[0].Env)
	require.Equal(t, []corev1.EnvVar{{Name: "JOB_COMPLETION_INDEX", Value: "mine"}}, p.Spec.InitContainers[0].Env)
	require.Empty(t, m.Spec.Template.Spec.Containers[0].Env, "the job keeps its template")
}

var podStatusTests = map[string]struct {
	change func(*batch.AttemptStatus)
	phase  corev1.PodPhase
	state  corev1.ContainerState
	last   corev1.ContainerState
	ready  bool
	count  int32
	why    string // reason of the condition Ready
}{
	"running": {
		phase: "Running", ready: true,
		state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}},
	},
	"not ready": {
		change: func(a *batch.AttemptStatus) { a.Ready = false },
		phase:  "Running", why: "ContainersNotReady",
		state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}},
	},
	"succeeded": {
		change: func(a *batch.AttemptStatus) { end(a, batch.AttemptSucceeded, new(0)); a.Output = "done" },
		phase:  "Succeeded", why: "PodCompleted",
		state: terminatedState(0, "Completed", "done"),
	},
	"failed": {
		change: func(a *batch.AttemptStatus) { end(a, batch.AttemptFailed, new(42)); a.Message = "exit status 42" },
		phase:  "Failed", why: "PodFailed",
		state: terminatedState(42, "Error", "exit status 42"),
	},
	"lost": {
		change: func(a *batch.AttemptStatus) { end(a, batch.AttemptFailed, nil) },
		phase:  "Failed", why: "PodFailed",
		state: terminatedState(
			137, "ContainerStatusUnknown", "The container could not be located when the pod was terminated",
		),
	},
	"waiting for a restart": {
		change: func(a *batch.AttemptStatus) {
			a.RestartAt, a.Restarts, a.ExitCode, a.Ready = finished, 2, new(3), false
			a.Conditions = lastRunOf("3")
		},
		phase: "Running", why: "ContainersNotReady", count: 2,
		state: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "CrashLoopBackOff", Message: "back-off restarting failed container=main pod=job-abcde"}},
		last: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 3, Reason: "Error", Message: "x", StartedAt: metav1.NewTime(started),
			FinishedAt: metav1.NewTime(finished),
		}},
	},
	"restarted": {
		change: func(a *batch.AttemptStatus) { a.Restarts, a.Conditions = 1, lastRunOf("1") },
		phase:  "Running", ready: true, count: 1,
		state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}},
		last: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: 1, Reason: "Error", Message: "x", StartedAt: metav1.NewTime(started),
			FinishedAt: metav1.NewTime(finished),
		}},
	},
	"being stopped": {
		change: func(a *batch.AttemptStatus) { a.DeletedAt, a.Ready = finished, true },
		phase:  "Running", ready: true,
		state: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)}},
	},
}

func TestPodStatus(t *testing.T) {
	for name, c := range podStatusTests {
		t.Run(name, func(t *testing.T) {
			p := Pod(manifestOf(t, "", ""), attempt(c.change), "")
			require.Equal(t, c.phase, p.Status.Phase)
			require.Len(t, p.Status.ContainerStatuses, 1)
			s := p.Status.ContainerStatuses[0]
			require.Equal(t, "main", s.Name)
			require.Equal(t, "perl:5", s.Image)
			require.Regexp(t, "^batch://[0-9a-f]{64}$", s.ContainerID)
			ids := []string{}
			for _, t := range []*corev1.ContainerStateTerminated{s.State.Terminated, s.LastTerminationState.Terminated} {
				if t != nil {
					ids = append(ids, t.ContainerID)
					t.ContainerID = ""
				}
			}
			require.Equal(t, s.State.Running == nil, slices.Contains(ids, s.ContainerID), "the run that was last")
			require.Equal(t, c.state, s.State)
			require.Equal(t, c.last, s.LastTerminationState)
			require.Equal(t, c.ready, s.Ready)
			require.Equal(t, c.count, s.RestartCount)
			require.Equal(t, c.why, condition(p, corev1.PodReady).Reason)
			require.Equal(
				t, c.ready, condition(p, corev1.PodReady).Status == corev1.ConditionTrue, "a pod is ready if its containers are",
			)
			require.Equal(t, corev1.ConditionTrue, condition(p, corev1.PodScheduled).Status)
			require.Equal(t, corev1.PodQOSBestEffort, p.Status.QOSClass)
			require.Len(t, p.Status.Conditions, 5, "the kubelet's")
		})
	}
}

func lastRunOf(code string) []batch.Condition {
	n, err := strconv.Atoi(code)
	if err != nil {
		panic(err)
	}
	return runsOf(pod.Runs{"main": {
		Failures: 1, Begun: started, Last: &pod.Run{Started: started, Finished: finished, Code: n, Message: "x"},
	}})
}

func runsOf(runs pod.Runs) []batch.Condition {
	text, err := json.Marshal(runs)
	if err != nil {
		panic(err)
	}
	return []batch.Condition{{Type: pod.RunsCondition, Status: "True", Message: string(text)}}
}

func end(a *batch.AttemptStatus, phase string, code *int) {
	a.Phase, a.FinishedAt, a.ExitCode, a.Ready = phase, finished, code, false
}

func terminatedState(code int32, reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, Message: message,
		StartedAt: metav1.NewTime(started), FinishedAt: metav1.NewTime(finished)}}
}

func condition(p *corev1.Pod, of corev1.PodConditionType) corev1.PodCondition {
	for _, c := range p.Status.Conditions {
		if c.Type == of {
			return c
		}
	}
	return corev1.PodCondition{}
}

// TestPendingPod wants an attempt that waits for its turn to look like a pod that
// waits for a node.
func TestPendingPod(t *testing.T) {
	p := Pod(manifestOf(t, "", ""), attempt(func(a *batch.AttemptStatus) {
		a.Phase, a.StartedAt, a.Ready = batch.AttemptPending, time.Time{}, false
	}), "")
	require.Equal(t, corev1.PodPending, p.Status.Phase)
	require.Empty(t, p.Status.ContainerStatuses)
	require.Equal(t, corev1.ConditionFalse, condition(p, corev1.PodScheduled).Status)
	require.Nil(t, p.Status.StartTime)
}

// TestStoppingPod wants the time after which the pod is gone, as the API has it.
func TestStoppingPod(t *testing.T) {
	m := manifestOf(t, "", "terminationGracePeriodSeconds: 7")
	p := Pod(m, attempt(func(a *batch.AttemptStatus) { a.DeletedAt = finished }), "")
	require.Equal(t, finished.Add(7*time.Second), p.DeletionTimestamp.Time)
	require.EqualValues(t, 7, *p.DeletionGracePeriodSeconds)
}

// TestStoppingPodOfOddGrace wants a negative grace period shown as what it is
// taken for, and one of more than 292 years not to end in the past.
func TestStoppingPodOfOddGrace(t *testing.T) {
	for given, want := range map[int64]int64{-5: 1, math.MaxInt64: int64(math.MaxInt64 / time.Second)} {
		m := manifestOf(t, "", fmt.Sprintf("terminationGracePeriodSeconds: %d", given))
		p := Pod(m, attempt(func(a *batch.AttemptStatus) { a.DeletedAt = finished }), "")
		require.Equal(t, want, *p.DeletionGracePeriodSeconds)
		require.Equal(t, finished.Add(time.Duration(want)*time.Second), p.DeletionTimestamp.Time)
	}
}

// TestPodConditions wants those of the attempt beside the kubelet's, and its
// reason.
func TestPodConditions(t *testing.T) {
	p := Pod(manifestOf(t, "", ""), attempt(func(a *batch.AttemptStatus) {
		end(a, batch.AttemptFailed, new(143))
		a.Reason = batch.ReasonDeadlineExceeded
		a.Conditions = []batch.Condition{{
			Type: batch.ConditionDisruptionTarget, Status: "True", Reason: "EvictionByEvictionAPI", LastTransitionTime: finished,
		}}
	}), "")
	require.Equal(t, corev1.PodCondition{
		Type: "DisruptionTarget", Status: "True", Reason: "EvictionByEvictionAPI", ObservedGeneration: 1,
		LastTransitionTime: metav1.NewTime(finished)}, p.Status.Conditions[0])
	require.Len(t, p.Status.Conditions, 6)
	require.Equal(t, "DeadlineExceeded", p.Status.Reason)
	require.NotEmpty(t, p.Status.Message)
}

// TestInitStatuses follows a pod through its init containers.
func TestInitStatuses(t *testing.T) {
	m := manifestOf(
		t, "", "initContainers: [{name: one, image: process, command: [x]}, {name: two, image: process, command: [x]}]",
	)
	for name, c := range map[string]struct {
		change func(*batch.AttemptStatus)
		want   []string // states of one, two, main
	}{
		"begins":             {want: []string{"running", "PodInitializing", "PodInitializing"}},
		"is at the second":   {change: initialized("one"), want: []string{"Completed", "running", "PodInitializing"}},
		"is at the main one": {change: initialized("one", "two"), want: []string{"Completed", "Completed", "running"}},
		"has failed": {change: func(a *batch.AttemptStatus) {
			initialized("one")(a)
			end(a, batch.AttemptFailed, new(3))
			a.Err = &pod.ContainerError{Container: "two", Err: errors.New("x")}
		}, want: []string{"Completed", "Error", "PodInitializing"}},
		"has succeeded": {change: func(a *batch.AttemptStatus) {
			initialized("one", "two")(a)
			end(a, batch.AttemptSucceeded, new(0))
		}, want: []string{"Completed", "Completed", "Completed"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := Pod(m, attempt(c.change), "")
			var states []string
			for _, s := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
				states = append(states, stateOf(s.State))
			}
			require.Equal(t, c.want, states)
		})
	}
}

// initialized says which of the init containers one and two have succeeded.
func initialized(done ...string) func(*batch.AttemptStatus) {
	return func(a *batch.AttemptStatus) {
		runs := make(pod.Runs)
		for _, name := range done {
			runs[name] = &pod.History{Done: true, Begun: started, Last: &pod.Run{Started: started, Finished: finished}}
		}
		a.Conditions = runsOf(runs)
	}
}

func stateOf(s corev1.ContainerState) string {
	switch {
	case s.Running != nil:
		return "running"
	case s.Waiting != nil:
		return s.Waiting.Reason
	}
	return s.Terminated.Reason
}

// TestInitRestarts wants restarts held against the container that was restarted.
func TestInitRestarts(t *testing.T) {
	m := manifestOf(t, "", "initContainers: [{name: one, image: process, command: [x]}]")
	p := Pod(m, attempt(func(a *batch.AttemptStatus) {
		a.Restarts, a.Conditions = 2, runsOf(pod.Runs{"one": {Failures: 2, Begun: started}})
	}), "")
	require.EqualValues(t, 2, p.Status.InitContainerStatuses[0].RestartCount)
	require.EqualValues(t, 0, p.Status.ContainerStatuses[0].RestartCount)
}

func TestQOSClass(t *testing.T) {
	for name, c := range map[string]struct {
		resources string
		want      corev1.PodQOSClass
	}{
		"nothing":          {want: corev1.PodQOSBestEffort},
		"another resource": {resources: "resources: {requests: {ephemeral-storage: 1Gi}}", want: corev1.PodQOSBestEffort},
		"a request":        {resources: "resources: {requests: {cpu: 1}}", want: corev1.PodQOSBurstable},
		"one limit":        {resources: "resources: {limits: {cpu: 1}}", want: corev1.PodQOSBurstable},
		"both limits":      {resources: "resources: {limits: {cpu: 1, memory: 1Gi}}", want: corev1.PodQOSGuaranteed},
		"requests below": {
			resources: "resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 500m}}", want: corev1.PodQOSBurstable,
		},
		"requests as large": {
			resources: "resources: {limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 1000m, memory: 1Gi}}",
			want:      corev1.PodQOSGuaranteed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, qosClass(&podJob(t, c.resources, "").Spec.Template.Spec))
		})
	}
}

func TestEvent(t *testing.T) {
	m := manifestOf(t, "", "")
	e := batch.Event{Type: "Normal", Reason: "SuccessfulCreate", Message: "Created pod: job-abcde", At: created}
	event := Event(m, nil, e, "j.3")
	require.Equal(t, "Normal", event.Type)
	require.Equal(t, "SuccessfulCreate", event.Reason)
	require.Equal(t, "Created pod: job-abcde", event.Message)
	require.Equal(
		t, corev1.ObjectReference{APIVersion: "batch/v1", Kind: "Job", Name: "job", Namespace: "default", UID: someUID},
		event.InvolvedObject,
	)
	require.Equal(t, "job-controller", event.Source.Component)
	require.Equal(t, metav1.NewTime(created), event.LastTimestamp)
	require.EqualValues(t, 1, event.Count)
	require.Regexp(t, `^j\.3$`, event.Name)
	require.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, string(event.UID))

	later := Event(m, nil, batch.Event{At: finished}, "j.3")
	require.Equal(t, event.Name, later.Name, "the same event")
	other := Event(m, nil, e, "j.4")
	require.NotEqual(t, event.Name, other.Name)
	require.NotEqual(t, event.UID, other.UID)
}

// TestStatus wants a job's status in the manifest's form.
func TestStatus(t *testing.T) {
	job := batch.Job{
		Name: "job", Executor: batch.ExecutorFunc(nil), Completions: new(5), CompletionMode: batch.Indexed,
		BackoffLimitPerIndex: new(1),
	}
	done, err := batch.ParseIndexSet("0,2-4")
	require.NoError(t, err)
	m := Manifest(job, batch.Status{
		UID: someUID, Generation: 3, CreatedAt: created, StartTime: started, CompletionTime: finished, DeletedAt: finished,
		Active: 1, Ready: 1, Succeeded: 4, Failed: 2, Terminating: 1, CompletedIndexes: done,
		FailedIndexes: new(batch.IndexSet),
		Conditions: []batch.Condition{{
			Type: "Complete", Status: "True", Reason: "CompletionsReached", Message: "m", LastTransitionTime: finished,
		}},
	}, "ns")
	at := metav1.NewTime(finished)
	require.Equal(t, batchv1.JobStatus{
		Conditions: []batchv1.JobCondition{{
			Type: "Complete", Status: "True", Reason: "CompletionsReached", Message: "m", LastProbeTime: at,
			LastTransitionTime: at,
		}},
		StartTime: new(metav1.NewTime(started)), CompletionTime: &at,
		Active: 1, Succeeded: 4, Failed: 2, Terminating: new(int32(1)), Ready: new(int32(1)),
		CompletedIndexes: "0,2-4", FailedIndexes: new(""), UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{},
	}, m.Status)
	require.Equal(t, &at, m.DeletionTimestamp)
	require.Equal(t, []string{"foregroundDeletion"}, m.Finalizers)
	require.EqualValues(t, 3, m.Generation)
	require.Empty(t, Manifest(job, batch.Status{ManagedBy: "a.b/c"}, "").Status, "the job of another controller")
	reported := batch.Status{ManagedBy: "a.b/c", StartTime: time.Unix(1, 0), Active: 2}
	require.EqualValues(t, 2, Manifest(job, reported, "").Status.Active, "which has reported it")
}

// TestExitCodesOfInitContainers is R197 for a pod with init containers.
func TestExitCodesOfInitContainers(t *testing.T) {
	for name, c := range map[string]struct {
		rule string
		want string
	}{
		"of the init container": {rule: "{containerName: first, operator: In, values: [3]}", want: "Failed"},
		"of the other one":      {rule: "{containerName: main, operator: In, values: [3]}", want: "Complete"},
		"of any":                {rule: "{operator: In, values: [3]}", want: "Failed"},
		"another code":          {rule: "{operator: In, values: [4]}", want: "Complete"},
		"none of others":        {rule: "{containerName: first, operator: NotIn, values: [4]}", want: "Failed"},
		"none of those there":   {rule: "{operator: NotIn, values: [3]}", want: "Complete"},
	} {
		t.Run(name, func(t *testing.T) {
			failures := 1
			r := &Runner{Functions: map[string]Function{
				"ok": works,
				"fail": func(context.Context, batch.Attempt, Container) error {
					if failures--; failures >= 0 {
						return coded(3)
					}
					return nil
				}}}
			m := parsed(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  podFailurePolicy: {rules: [{action: FailJob, onExitCodes: `+c.rule+`}]}
  template:
    spec:
      restartPolicy: Never
      initContainers: [{name: first, image: func/fail}]
      containers: [{name: main, image: func/ok}]
`)
			job, _, err := r.Job(m, FromCode)
			require.NoError(t, err)
			job.Backoff = batch.ConstantBackoff(0)
			status, err := batch.Run(t.Context(), job)
			require.Equal(t, c.want, status.State(), "%v", err)
		})
	}
}

type coded int

func (c coded) Error() string { return "failed" }
func (c coded) ExitCode() int { return int(c) }
