package convert

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
)

// Pod returns an attempt of job m, as [Manifest] gives it, as a pod.
func Pod(m *batchv1.Job, a batch.AttemptStatus, namespace string) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: podMetadata(m, a, namespaceOr(namespace)),
		Spec:       *m.Spec.Template.Spec.DeepCopy(),
	}
	if a.Index >= 0 {
		addIndex(&p.Spec, m.Name, a.Index)
	}
	p.Spec.Priority = cmp.Or(p.Spec.Priority, new(int32(0)))
	p.Spec.PreemptionPolicy = cmp.Or(p.Spec.PreemptionPolicy, new(corev1.PreemptLowerPriority))
	p.Spec.EnableServiceLinks = cmp.Or(p.Spec.EnableServiceLinks, new(true))
	if !a.StartedAt.IsZero() {
		p.Spec.NodeName = nodeName
	}
	p.Status = podStatus(&p.Spec, a)
	return p
}

func podMetadata(m *batchv1.Job, a batch.AttemptStatus, namespace string) metav1.ObjectMeta {
	meta := pod.Metadata(m, pod.Identity{Name: a.Name, UID: a.UID, Job: m.Name, JobUID: a.JobUID, Index: a.Index})
	meta.Namespace, meta.Generation = namespace, podGeneration
	meta.CreationTimestamp = metav1.NewTime(a.CreatedAt)
	meta.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(m, batchv1.SchemeGroupVersion.WithKind("Job"))}
	if m.Spec.BackoffLimitPerIndex != nil {
		metav1.SetMetaDataAnnotation(&meta, batchv1.JobIndexFailureCountAnnotation, strconv.Itoa(a.Failures))
		if a.IgnoredFailures > 0 {
			metav1.SetMetaDataAnnotation(&meta, batchv1.JobIndexIgnoredFailureCountAnnotation, strconv.Itoa(a.IgnoredFailures))
		}
	}
	meta.Finalizers = slices.Clone(m.Spec.Template.Finalizers)
	if !ended(a) {
		meta.Finalizers = append(meta.Finalizers, batchv1.JobTrackingFinalizer)
	}
	if !a.DeletedAt.IsZero() {
		grace := valueOr(gracePeriod(m.Spec.Template.Spec.TerminationGracePeriodSeconds), 0)
		meta.DeletionTimestamp = stamp(a.DeletedAt.Add(grace))
		meta.DeletionGracePeriodSeconds = new(int64(grace / time.Second))
	}
	return meta
}

func ended(a batch.AttemptStatus) bool {
	return a.Phase == batch.AttemptSucceeded || a.Phase == batch.AttemptFailed
}

// addIndex gives the pod its host name, and every container its index unless it sets
// the variable itself.
func addIndex(spec *corev1.PodSpec, job string, index int) {
	spec.Hostname = fmt.Sprintf("%s-%d", job, index)
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			addIndexVariable(&containers[i])
		}
	}
}

const indexVariable = "JOB_COMPLETION_INDEX"

func addIndexVariable(c *corev1.Container) {
	if slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == indexVariable }) {
		return
	}
	c.Env = append(c.Env, corev1.EnvVar{Name: indexVariable, ValueFrom: &corev1.EnvVarSource{
		FieldRef: &corev1.ObjectFieldSelector{
			APIVersion: "v1",
			FieldPath:  "metadata.labels['" + batchv1.JobCompletionIndexAnnotation + "']",
		}}})
}

func podStatus(spec *corev1.PodSpec, a batch.AttemptStatus) corev1.PodStatus {
	status := corev1.PodStatus{
		ObservedGeneration: podGeneration,
		Phase:              corev1.PodPhase(a.Phase),
		Reason:             a.Reason,
		QOSClass:           qosClass(spec),
	}
	if a.Reason == batch.ReasonDeadlineExceeded {
		status.Message = "Pod was active on the node longer than the specified deadline"
	}
	status.Conditions = podConditions(a)
	if a.StartedAt.IsZero() {
		return status // it waits for its turn, as for a node
	}
	status.StartTime = stamp(a.StartedAt)
	status.Resources = new(corev1.ResourceRequirements) // of the whole pod, which asks for none
	status.HostIP, status.HostIPs = hostIP, []corev1.HostIP{{IP: hostIP}}
	status.PodIP, status.PodIPs = hostIP, []corev1.PodIP{{IP: hostIP}}
	c := containers{attempt: a, runs: pod.RunsOf(a.Conditions), names: pod.Names(spec)}
	c.current = c.runs.Current(c.names)
	for i := range spec.InitContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, c.status(&spec.InitContainers[i], true))
	}
	status.ContainerStatuses = []corev1.ContainerStatus{c.status(&spec.Containers[0], false)}
	return status
}

// podGeneration is that of all pods: what they are to be never changes.
const podGeneration = 1

// nodeName and hostIP are how a pod calls the machine that it runs on.
const (
	nodeName = "localhost"
	hostIP   = "127.0.0.1"
)

// containers are those of an attempt, which run one after the other.
type containers struct {
	attempt batch.AttemptStatus
	runs    pod.Runs // empty if there is one, and one run of it
	names   []string
	current string // the one that the attempt is at
}

// status is that of a container.
func (c *containers) status(of *corev1.Container, isInit bool) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: of.Name, Image: of.Image, Started: new(false), Resources: of.Resources.DeepCopy()}
	for _, m := range of.VolumeMounts {
		mount := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mount.RecursiveReadOnly = new(corev1.RecursiveReadOnlyDisabled)
		}
		s.VolumeMounts = append(s.VolumeMounts, mount)
	}
	switch at := slices.Index(c.names, of.Name) - slices.Index(c.names, c.current); {
	case at > 0:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "PodInitializing"}
		return s
	case at < 0:
		s.State.Terminated = c.lastRun(of.Name)
	default:
		c.setCurrent(&s)
	}
	s.RestartCount = c.restarts(of.Name)
	if isInit {
		s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
	}
	if s.RestartCount > 0 && c.current == of.Name && c.attempt.Phase != batch.AttemptFailed {
		s.LastTerminationState.Terminated = c.lastRun(of.Name)
	}
	c.identify(&s)
	return s
}

// identify gives the runs of a container IDs: clients tell by them what is new.
func (c *containers) identify(s *corev1.ContainerStatus) {
	id := func(run int32) string {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", c.attempt.UID, s.Name, run))
		return fmt.Sprintf("batch://%x", sum)
	}
	s.ContainerID, s.ImageID = id(s.RestartCount), s.Image
	if t := s.State.Terminated; t != nil {
		t.ContainerID = s.ContainerID
	}
	if t := s.LastTerminationState.Terminated; t != nil {
		t.ContainerID = id(s.RestartCount - 1)
		if s.State.Waiting != nil {
			s.ContainerID = t.ContainerID
		}
	}
}

// setCurrent sets the state of the container that the attempt is at.
func (c *containers) setCurrent(s *corev1.ContainerStatus) {
	a, begun := c.attempt, metav1.NewTime(c.begun(s.Name))
	switch {
	case ended(a) && a.ExitCode != nil:
		s.State.Terminated = terminated(a, begun)
	case ended(a): // lost: how it ended nobody knows
		s.State.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: 137, Reason: "ContainerStatusUnknown", StartedAt: begun, FinishedAt: metav1.NewTime(a.FinishedAt),
			Message: "The container could not be located when the pod was terminated"}
	case !a.RestartAt.IsZero():
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off restarting failed container=%s pod=%s", s.Name, a.Name)}
	default:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: begun}
		s.Ready, s.Started = a.Ready, new(true)
	}
}

// begun is when the latest run of a container began.
func (c *containers) begun(name string) time.Time {
	if h := c.runs[name]; h != nil {
		return h.Begun
	}
	return c.attempt.StartedAt
}

// restarts is how often a container was restarted. The failure that has ended the
// attempt has not led to a restart.
func (c *containers) restarts(name string) int32 {
	n := c.attempt.Restarts
	for _, other := range c.names {
		if h := c.runs[other]; h != nil && other != c.current {
			n -= h.Failures
			if other == name {
				return narrow(h.Failures)
			}
		}
	}
	return narrow(n)
}

// lastRun tells of the latest run of a container that has ended, if that is known:
// Go code notes none.
func (c *containers) lastRun(name string) *corev1.ContainerStateTerminated {
	h := c.runs[name]
	if h == nil || h.Last == nil {
		return nil
	}
	t := &corev1.ContainerStateTerminated{ExitCode: int32(h.Last.Code), Reason: "Completed", Message: h.Last.Message,
		StartedAt: metav1.NewTime(h.Last.Started), FinishedAt: metav1.NewTime(h.Last.Finished)}
	if t.ExitCode != 0 {
		t.Reason = "Error"
	}
	return t
}

// terminated tells how an attempt has ended. The message of one that left none is
// its error's text.
func terminated(a batch.AttemptStatus, begun metav1.Time) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{
		ExitCode: int32(*a.ExitCode), Reason: "Completed", Message: cmp.Or(a.Output, a.Message),
		StartedAt: begun, FinishedAt: metav1.NewTime(a.FinishedAt)}
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
	sandbox := corev1.PodCondition{
		Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: ready.LastTransitionTime}
	if ended(a) {
		sandbox.Status, sandbox.Reason = corev1.ConditionFalse, "PodSandboxNotReady"
		sandbox.Message = "pod sandbox is not ready"
	}
	return own(a, []corev1.PodCondition{
		sandbox,
		{Type: corev1.PodInitialized, Status: corev1.ConditionTrue, LastTransitionTime: started},
		ready,
		containers,
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(a.CreatedAt)},
	})
}

// readyCondition says whether the pod is ready, and why not.
func readyCondition(a batch.AttemptStatus) corev1.PodCondition {
	ready := corev1.PodCondition{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(a.StartedAt),
	}
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
		if c.Type == pod.RunsCondition {
			continue // shown as the containers' states
		}
		condition := corev1.PodCondition{
			Type: corev1.PodConditionType(c.Type), Status: corev1.ConditionStatus(c.Status),
			Reason: c.Reason, Message: c.Message, LastTransitionTime: metav1.NewTime(c.LastTransitionTime)}
		i := slices.IndexFunc(conditions, func(other corev1.PodCondition) bool { return other.Type == condition.Type })
		if i < 0 {
			more = append(more, condition)
		} else {
			conditions[i] = condition
		}
	}
	conditions = append(more, conditions...)
	for i := range conditions {
		conditions[i].ObservedGeneration = podGeneration
		if c := &conditions[i]; c.Type == corev1.PodInitialized && a.Phase == batch.AttemptSucceeded {
			c.Reason = "PodCompleted"
		}
	}
	return conditions
}

// qosClass is the class that a pod has by what its containers ask for.
func qosClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	containers := slices.Concat(spec.InitContainers, spec.Containers)
	switch {
	case !slices.ContainsFunc(containers, asksForSome):
		return corev1.PodQOSBestEffort
	case !slices.ContainsFunc(containers, notGuaranteed):
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

var qosResources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

func asksForSome(c corev1.Container) bool {
	return slices.ContainsFunc(qosResources, func(name corev1.ResourceName) bool {
		request, limit := c.Resources.Requests[name], c.Resources.Limits[name]
		return !request.IsZero() || !limit.IsZero()
	})
}

// notGuaranteed reports whether the container may get less than its limit, or
// has none.
func notGuaranteed(c corev1.Container) bool {
	return slices.ContainsFunc(qosResources, func(name corev1.ResourceName) bool {
		limit := c.Resources.Limits[name]
		request, asked := c.Resources.Requests[name]
		return limit.IsZero() || asked && request.Cmp(limit) != 0
	})
}
