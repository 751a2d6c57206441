package convert

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
)

func podStatus(spec *corev1.PodSpec, a batch.AttemptStatus) corev1.PodStatus {
	status := corev1.PodStatus{
		Phase:    corev1.PodPhase(a.Phase),
		Reason:   string(a.Reason),
		QOSClass: qosClass(spec),
	}
	if a.Reason == batch.ReasonDeadlineExceeded {
		status.Message = "Pod was active on the node longer than the specified deadline"
	}
	status.Conditions = podConditions(a)
	if a.StartedAt.IsZero() {
		return status // it waits for its turn, as for a node
	}
	status.StartTime = stamp(a.StartedAt)
	left := uninitialized(spec, a)
	for i := range spec.InitContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, initStatus(spec, a, i, len(spec.InitContainers)-left))
	}
	c := containerStatus(&spec.Containers[0], a)
	if left > 0 {
		c = waiting(&spec.Containers[0], "PodInitializing", "")
	}
	status.ContainerStatuses = []corev1.ContainerStatus{c}
	return status
}

// uninitialized is how many init containers have not succeeded yet.
func uninitialized(spec *corev1.PodSpec, a batch.AttemptStatus) int {
	for _, c := range a.Conditions {
		if c.Type != batch.ConditionType(corev1.PodInitialized) {
			continue
		}
		if c.Status == batch.ConditionTrue {
			return 0
		}
		_, list, _ := strings.Cut(strings.TrimSuffix(c.Message, "]"), "[")
		return len(strings.Fields(list))
	}
	return len(spec.InitContainers)
}

// initStatus is that of the i-th init container when done of them have
// succeeded: one after the other, as far as the attempt has come.
func initStatus(spec *corev1.PodSpec, a batch.AttemptStatus, i, done int) corev1.ContainerStatus {
	c := &spec.InitContainers[i]
	switch {
	case i < done:
		s := blank(c)
		s.Ready, s.Started = true, new(false)
		s.State.Terminated = &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: metav1.NewTime(a.StartedAt)}
		return s
	case i == done:
		s := containerStatus(c, a)
		s.Ready = false
		return s
	}
	return waiting(c, "PodInitializing", "")
}

func blank(c *corev1.Container) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: c.Name, Image: c.Image, Started: new(false)}
}

func waiting(c *corev1.Container, reason, message string) corev1.ContainerStatus {
	s := blank(c)
	s.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	return s
}

// containerStatus is that of the container that the attempt is at.
func containerStatus(c *corev1.Container, a batch.AttemptStatus) corev1.ContainerStatus {
	s := blank(c)
	switch {
	case ended(a) && a.ExitCode != nil:
		s.State.Terminated = terminated(a)
	case ended(a): // lost: how it ended nobody knows
		s.State.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: 137, Reason: "ContainerStatusUnknown", StartedAt: metav1.NewTime(a.StartedAt), FinishedAt: metav1.NewTime(a.FinishedAt),
			Message: "The container could not be located when the pod was terminated"}
	case !a.RestartAt.IsZero():
		s = waiting(c, "CrashLoopBackOff", fmt.Sprintf("back-off restarting failed container=%s pod=%s", c.Name, a.Name))
		s.LastTerminationState.Terminated = lastRun(a)
	default:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(a.StartedAt)}
		s.Ready, s.Started = a.Ready, new(true)
	}
	if a.Restarts > 0 && (s.State.Running != nil || a.Phase == batch.AttemptSucceeded) {
		s.LastTerminationState.Terminated = lastRun(a)
	}
	s.RestartCount = restarts(c, a)
	return s
}

// restarts is how often this container was restarted, as far as can be told:
// those of an attempt are of the container whose error it had last.
func restarts(c *corev1.Container, a batch.AttemptStatus) int32 {
	if failed, ok := errors.AsType[*pod.ContainerError](a.Err); ok && failed.Container != c.Name {
		return 0
	}
	return narrow(a.Restarts)
}

// lastRun tells of the run before a restart, of attempts that note it: only those
// of manifests do. When it began is known of the first one only, and said of all.
func lastRun(a batch.AttemptStatus) *corev1.ContainerStateTerminated {
	i := slices.IndexFunc(a.Conditions, func(c batch.Condition) bool { return c.Type == pod.LastRun })
	if i < 0 {
		return nil
	}
	c := a.Conditions[i]
	code, err := strconv.ParseInt(string(c.Reason), 10, 32)
	if err != nil {
		return nil // somebody else has set it
	}
	return &corev1.ContainerStateTerminated{
		ExitCode: int32(code), Reason: "Error", Message: c.Message,
		StartedAt: metav1.NewTime(a.StartedAt), FinishedAt: metav1.NewTime(c.LastTransitionTime)}
}

// terminated tells how an attempt has ended. The message of one that left none is
// its error's text.
func terminated(a batch.AttemptStatus) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{
		ExitCode: int32(*a.ExitCode), Reason: "Completed", Message: cmp.Or(a.Output, a.Message),
		StartedAt: metav1.NewTime(a.StartedAt), FinishedAt: metav1.NewTime(a.FinishedAt)}
	if t.ExitCode != 0 {
		t.Reason = "Error"
	}
	return t
}

// podConditions are the kubelet's, and those that the attempt has.
func podConditions(a batch.AttemptStatus) []corev1.PodCondition {
	if a.StartedAt.IsZero() {
		return own(a, []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
			Message: "waits for its turn", LastTransitionTime: metav1.NewTime(a.CreatedAt)}})
	}
	started, ready := metav1.NewTime(a.StartedAt), readyCondition(a)
	containers := ready
	containers.Type = corev1.ContainersReady
	running := corev1.ConditionTrue
	if ended(a) {
		running = corev1.ConditionFalse
	}
	return own(a, []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: running, LastTransitionTime: ready.LastTransitionTime},
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: started},
		ready,
		containers,
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(a.CreatedAt)},
	})
}

// readyCondition says whether the pod is ready, and why not.
func readyCondition(a batch.AttemptStatus) corev1.PodCondition {
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(a.StartedAt)}
	switch {
	case a.Phase == batch.AttemptSucceeded:
		ready.Reason = "PodCompleted"
	case a.Phase == batch.AttemptFailed:
		ready.Reason = "PodFailed"
	case !a.Ready:
		ready.Reason = "ContainersNotReady"
	}
	if ready.Reason != "" {
		ready.Status = corev1.ConditionFalse
	}
	if ended(a) {
		ready.LastTransitionTime = metav1.NewTime(a.FinishedAt)
	}
	return ready
}

// own puts the attempt's own conditions in place of those of the same type, or
// in front.
func own(a batch.AttemptStatus, conditions []corev1.PodCondition) []corev1.PodCondition {
	var more []corev1.PodCondition
	for _, c := range a.Conditions {
		if c.Type == pod.LastRun {
			continue // shown as the container's last state
		}
		condition := corev1.PodCondition{
			Type: corev1.PodConditionType(c.Type), Status: corev1.ConditionStatus(c.Status),
			Reason: string(c.Reason), Message: c.Message, LastTransitionTime: metav1.NewTime(c.LastTransitionTime)}
		i := slices.IndexFunc(conditions, func(other corev1.PodCondition) bool { return other.Type == condition.Type })
		if i < 0 {
			more = append(more, condition)
		} else {
			conditions[i] = condition
		}
	}
	return append(more, conditions...)
}
