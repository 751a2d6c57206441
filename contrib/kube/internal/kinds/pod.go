package kinds

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
	"github.com/runtocompletion/batch/contrib/kube/internal/wire"
)

// pods are the attempts of jobs.
func (h *Host) pods() *Kind {
	k := &Kind{GroupVersionKind: corev1.SchemeGroupVersion.WithKind("Pod"), Plural: "pods", Singular: "pod",
		Namespaced: true, ShortNames: []string{"po"}, Categories: []string{"all"}, Verbs: podVerbs,
		Objects: h.Cache.Of(watchcache.Pods), Empty: new(corev1.Pod), Build: h.buildPod,
		Columns: podColumns, Cells: cellsOf(podCells),
		Fields: podFields, NoField: "field label not supported: %s", JobName: jobOfPod, Delete: h.deletePod,
		Parts: []Part{{Name: "eviction", Verbs: []string{"create"}, Kind: evictionKind, Serve: h.evict},
			{Name: "log", Verbs: getVerb, Serve: h.logs}, status("pods")}}
	for _, name := range []string{"attach", "binding", "ephemeralcontainers", "exec", "portforward", "proxy", "resize"} {
		k.Parts = append(k.Parts, Part{Name: name, Instead: "its pods run inside of a process"})
	}
	return k
}

func (h *Host) buildPod(o *watchcache.Object) Object {
	pod := convert.Pod(h.owner(o), *o.Pod, h.Namespace)
	pod.ResourceVersion = FormatVersion(o.Version)
	if o.Orphan {
		pod.OwnerReferences = nil
	}
	if o.Stays {
		pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = nil, nil
	}
	return pod
}

func jobOfPod(l labels.Selector, _ fields.Selector) string {
	for _, key := range []string{"job-name", "batch.kubernetes.io/job-name"} {
		if name, ok := l.RequiresExactMatch(key); ok {
			return name
		}
	}
	return ""
}

func podFields(o Object) fields.Set {
	pod := o.(*corev1.Pod)
	set := metaFields(o)
	set["spec.nodeName"] = pod.Spec.NodeName
	set["spec.restartPolicy"] = string(pod.Spec.RestartPolicy)
	set["spec.schedulerName"] = pod.Spec.SchedulerName
	set["spec.serviceAccountName"] = pod.Spec.ServiceAccountName
	set["spec.hostNetwork"] = strconv.FormatBool(pod.Spec.HostNetwork)
	set["status.phase"] = string(pod.Status.Phase)
	set["status.podIP"] = pod.Status.PodIP
	set["status.nominatedNodeName"] = pod.Status.NominatedNodeName
	return set
}

// deletePod stops an attempt. One that has ended is only put out of sight.
func (h *Host) deletePod(a *wire.Answer, o *watchcache.Object, options *metav1.DeleteOptions) (*watchcache.Object,
	error) {
	warnOfGrace(a, h.buildPod(o).(*corev1.Pod), options)
	if len(options.DryRun) > 0 {
		return o, nil
	}
	return h.stopped(o, h.Controller.DeleteAttempt(a.Request.Context(), o.Owner.Status.Name, o.Pod.UID))
}

var evictionKind = policyv1.SchemeGroupVersion.WithKind("Eviction")

// evict disrupts an attempt, as the drain of a node does. There are no budgets.
func (h *Host) evict(a *wire.Answer, o *watchcache.Object, params url.Values) error {
	eviction := new(policyv1.Eviction)
	if err := a.DecodeBody(a.Decoder(params.Get("fieldValidation")), eviction, evictionKind); err != nil {
		return err
	}
	options := eviction.DeleteOptions
	if options == nil {
		options = new(metav1.DeleteOptions)
	}
	pod := h.buildPod(o).(*corev1.Pod)
	if p := options.Preconditions; p != nil && p.UID != nil && *p.UID != pod.UID {
		return wire.Conflict(corev1.Resource("pods"), o.Name, wire.OtherUID, *p.UID, pod.UID)
	}
	warnOfGrace(a, pod, options)
	if len(options.DryRun) == 0 && len(params["dryRun"]) == 0 {
		err := h.Controller.Disrupt(a.Request.Context(), o.Owner.Status.Name, o.Pod.UID, "EvictionByEvictionAPI")
		if _, err := h.stopped(o, err); err != nil {
			return err
		}
	}
	return a.WriteObject(http.StatusCreated, &metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status: metav1.StatusSuccess, Code: http.StatusCreated})
}

// stopped is an attempt after it was asked to stop, with that result.
func (h *Host) stopped(o *watchcache.Object, err error) (*watchcache.Object, error) {
	switch {
	case errors.Is(err, batch.ErrAttemptEnded):
		h.Cache.Dismiss(o)
	case errors.Is(err, batch.ErrNotFound):
		return nil, apierrors.NewNotFound(corev1.Resource("pods"), o.Name)
	case err != nil:
		return nil, err
	}
	if left := h.Cache.Object(watchcache.Pods, o.Name); left != nil && left.Pod.UID == o.Pod.UID {
		return left, nil
	}
	return o, nil
}

// warnOfGrace tells who wants a pod to be gone sooner than it says that it will
// take its time.
func warnOfGrace(a *wire.Answer, pod *corev1.Pod, options *metav1.DeleteOptions) {
	wanted, given := options.GracePeriodSeconds, pod.Spec.TerminationGracePeriodSeconds
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if wanted != nil && given != nil && *wanted != *given && !ended {
		a.Warn(
			fmt.Sprintf(
				"gracePeriodSeconds is ignored by this server: the pod has the %d seconds of its template to end", *given,
			),
		)
	}
}

var podColumns = []metav1.TableColumnDefinition{
	nameColumn(0),
	column("Ready", "string", "", "The aggregate readiness state of this pod for accepting traffic.", 0),
	column("Status", "string", "", "The aggregate status of the containers in this pod.", 0),
	column("Restarts", "string", "", "The number of times the containers in this pod have been restarted "+
		"and when the last container in this pod has restarted.", 0),
	ageColumn(),
	column("IP", "string", "", corev1.PodStatus{}.SwaggerDoc()["podIP"], 1),
	column("Node", "string", "", corev1.PodSpec{}.SwaggerDoc()["nodeName"], 1),
	column("Nominated Node", "string", "", corev1.PodStatus{}.SwaggerDoc()["nominatedNodeName"], 1),
	column("Readiness Gates", "string", "", corev1.PodSpec{}.SwaggerDoc()["readinessGates"], 1),
}

func podCells(pod *corev1.Pod) []any {
	p := summarize(pod)
	return []any{pod.Name, fmt.Sprintf("%d/%d", p.ready, len(pod.Spec.Containers)), p.reason, p.restartText(),
		since(pod.CreationTimestamp), cmp.Or(pod.Status.PodIP, none), cmp.Or(pod.Spec.NodeName, none), none, none}
}

// A summary is what a pod's containers come to: the init containers, of which none is a
// sidecar, until they have succeeded, and then the one container.
type summary struct {
	reason      string
	ready       int
	restarts    int
	lastRestart time.Time
}

func (s summary) restartText() string {
	if s.restarts == 0 || s.lastRestart.IsZero() {
		return strconv.Itoa(s.restarts)
	}
	return fmt.Sprintf("%d (%s ago)", s.restarts, duration.HumanDuration(time.Since(s.lastRestart)))
}

// summarize finds the one word that a pod's state is shown as.
func summarize(pod *corev1.Pod) summary {
	s := summary{reason: cmp.Or(pod.Status.Reason, string(pod.Status.Phase))}
	initialized := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodInitialized && c.Status == corev1.ConditionTrue
	})
	if !s.initContainers(pod) || initialized {
		s.restarts, s.lastRestart = 0, time.Time{}
		for _, c := range pod.Status.ContainerStatuses {
			s.restarted(c)
			s.reason = cmp.Or(stateReason(c.State), s.reason)
			if c.Ready && c.State.Running != nil {
				s.ready++
			}
		}
	}
	if pod.DeletionTimestamp != nil && pod.Status.Phase != corev1.PodFailed && pod.Status.Phase != corev1.PodSucceeded {
		s.reason = "Terminating"
	}
	return s
}

// initContainers reports whether these are still at work.
func (s *summary) initContainers(pod *corev1.Pod) bool {
	for i, c := range pod.Status.InitContainerStatuses {
		s.restarted(c)
		if c.State.Terminated != nil && c.State.Terminated.ExitCode == 0 {
			continue
		}
		s.reason = fmt.Sprintf("Init:%d/%d", i, len(pod.Spec.InitContainers))
		if reason := stateReason(c.State); reason != "" && reason != "PodInitializing" {
			s.reason = "Init:" + reason
		}
		return true
	}
	return false
}

// stateReason is empty of a container that runs.
func stateReason(s corev1.ContainerState) string {
	switch {
	case s.Waiting != nil:
		return s.Waiting.Reason
	case s.Terminated != nil:
		return s.Terminated.Reason
	}
	return ""
}

func (s *summary) restarted(c corev1.ContainerStatus) {
	s.restarts += int(c.RestartCount)
	if last := c.LastTerminationState.Terminated; last != nil && last.FinishedAt.After(s.lastRestart) {
		s.lastRestart = last.FinishedAt.Time
	}
}
