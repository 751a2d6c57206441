package table

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

// PodColumns are the columns of pods.
var PodColumns = []metav1.TableColumnDefinition{
	nameColumn(0),
	column("Ready", "string", "", "The aggregate readiness state of this pod for accepting traffic.", 0),
	column("Status", "string", "", "The aggregate status of the containers in this pod.", 0),
	column(
		"Restarts", "string", "",
		"The number of times the containers in this pod have been restarted and when the last container in this pod has "+
			"restarted.",
		0,
	),
	ageColumn(),
	column("IP", "string", "", corev1.PodStatus{}.SwaggerDoc()["podIP"], 1),
	column("Node", "string", "", corev1.PodSpec{}.SwaggerDoc()["nodeName"], 1),
	column("Nominated Node", "string", "", corev1.PodStatus{}.SwaggerDoc()["nominatedNodeName"], 1),
	column("Readiness Gates", "string", "", corev1.PodSpec{}.SwaggerDoc()["readinessGates"], 1),
}

// Pod gives the cells of a pod.
func Pod(pod *corev1.Pod) []any {
	p := summarize(pod)
	ip := pod.Status.PodIP
	if len(pod.Status.PodIPs) > 0 {
		ip = pod.Status.PodIPs[0].IP
	}
	return []any{pod.Name, fmt.Sprintf("%d/%d", p.ready, p.total), p.reason, p.restartText(), since(pod.CreationTimestamp),
		orNone(ip), orNone(pod.Spec.NodeName), orNone(pod.Status.NominatedNodeName), none}
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

// A summary is what a pod's containers come to.
type summary struct {
	reason       string
	ready, total int
	restarts     int
	lastRestart  time.Time
}

func (s summary) restartText() string {
	if s.restarts == 0 || s.lastRestart.IsZero() {
		return strconv.Itoa(s.restarts)
	}
	return fmt.Sprintf("%d (%s ago)", s.restarts, duration.HumanDuration(time.Since(s.lastRestart)))
}

// summarize finds the one word that a pod's state is shown as.
func summarize(pod *corev1.Pod) summary {
	s := summary{reason: string(pod.Status.Phase), total: len(pod.Spec.Containers)}
	if pod.Status.Reason != "" {
		s.reason = pod.Status.Reason
	}
	if !s.initContainers(pod) || podIs(pod, corev1.PodInitialized) {
		s.containers(pod)
	}
	switch {
	case pod.DeletionTimestamp != nil && pod.Status.Reason == "NodeLost":
		s.reason = "Unknown"
	case pod.DeletionTimestamp != nil && !isOver(pod.Status.Phase):
		s.reason = "Terminating"
	}
	return s
}

func isOver(phase corev1.PodPhase) bool {
	return phase == corev1.PodFailed || phase == corev1.PodSucceeded
}

// initContainers takes in the init containers, of which none is a sidecar, and reports
// whether they are still at work.
func (s *summary) initContainers(pod *corev1.Pod) bool {
	for i, c := range pod.Status.InitContainerStatuses {
		s.restarted(c)
		if c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
			s.reason = initReason(c, i, len(pod.Spec.InitContainers))
			return true
		}
	}
	return false
}

func initReason(c corev1.ContainerStatus, i, total int) string {
	switch t, w := c.State.Terminated, c.State.Waiting; {
	case t != nil && t.Reason != "":
		return "Init:" + t.Reason
	case t != nil && t.Signal != 0:
		return fmt.Sprintf("Init:Signal:%d", t.Signal)
	case t != nil:
		return fmt.Sprintf("Init:ExitCode:%d", t.ExitCode)
	case w != nil && w.Reason != "" && w.Reason != "PodInitializing":
		return "Init:" + w.Reason
	}
	return fmt.Sprintf("Init:%d/%d", i, total)
}

// containers takes in the other containers: the first one in order that has
// something to say decides.
func (s *summary) containers(pod *corev1.Pod) {
	s.restarts, s.lastRestart = 0, time.Time{}
	running, failure := false, ""
	for i := len(pod.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := pod.Status.ContainerStatuses[i]
		s.restarted(c)
		if reason := containerReason(c); reason != "" {
			s.reason = reason
			if c.State.Terminated != nil && c.State.Terminated.ExitCode != 0 {
				failure = reason
			}
		} else if c.Ready && c.State.Running != nil {
			running = true
			s.ready++
		}
	}
	if s.reason != "Completed" {
		return
	}
	switch {
	case running && podIs(pod, corev1.PodReady):
		s.reason = "Running"
	case running:
		s.reason = "NotReady"
	case failure != "":
		s.reason = failure
	}
}

func containerReason(c corev1.ContainerStatus) string {
	switch t, w := c.State.Terminated, c.State.Waiting; {
	case w != nil && w.Reason != "":
		return w.Reason
	case t != nil && t.Reason != "":
		return t.Reason
	case t != nil && t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	case t != nil:
		return fmt.Sprintf("ExitCode:%d", t.ExitCode)
	}
	return ""
}

func (s *summary) restarted(c corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if last := c.LastTerminationState.Terminated; last != nil && last.FinishedAt.After(s.lastRestart) {
		s.lastRestart = last.FinishedAt.Time
	}
}

func podIs(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}
