package api

import (
	"hash/fnv"
	"maps"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/convert"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
)

// buildJob makes the manifest of a job.
func (s *Server) buildJob(o *watchcache.Object) object {
	return s.manifest(o.Job.Spec, o.Job.Status, o.Version)
}

func (s *Server) manifest(spec batch.Job, status batch.Status, version uint64) *batchv1.Job {
	spec.Annotations = maps.Clone(spec.Annotations)
	kept := takeMetadata(spec.Annotations)
	job := convert.Manifest(spec, status, s.config.Namespace)
	job.ResourceVersion = formatVersion(version)
	kept.restore(job)
	s.explainStalled(job, spec)
	addFinished(job)
	return job
}

// ConditionFinished is a condition that clusters do not have: it is True once
// the job is Complete or Failed, so that one wait answers for both.
const ConditionFinished batchv1.JobConditionType = "Finished"

func addFinished(job *batchv1.Job) {
	for _, c := range job.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			c.Type = ConditionFinished
			job.Status.Conditions = append(job.Status.Conditions, c)
			return
		}
	}
}

// owner is the manifest that the pods and events of a job are made from.
func (s *Server) owner(o *watchcache.Object) *batchv1.Job {
	return o.Owner.Manifest.Value(func() any { return s.manifest(o.Owner.Spec, o.Owner.Status, o.Version) }).(*batchv1.Job)
}

func (s *Server) buildPod(o *watchcache.Object) object {
	pod := convert.Pod(s.owner(o), *o.Pod, s.config.Namespace)
	pod.ResourceVersion = formatVersion(o.Version)
	if o.Orphan {
		pod.OwnerReferences = nil
	}
	return pod
}

func (s *Server) buildEvent(o *watchcache.Object) object {
	hash := fnv.New64a()
	hash.Write([]byte(o.Name))
	event := convert.Event(s.owner(o), *o.Event, int(hash.Sum64()))
	event.Name = o.Name
	event.ResourceVersion = formatVersion(o.Version)
	return event
}

func (s *Server) buildNamespace(o *watchcache.Object) object {
	return &corev1.Namespace{
		TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Name: o.Name, UID: types.UID(o.Name), ResourceVersion: formatVersion(o.Version),
			CreationTimestamp: metav1.NewTime(time.UnixMicro(int64(s.started))),
			Labels:            map[string]string{corev1.LabelMetadataName: o.Name}},
		Spec:   corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
		Status: corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
}

func formatVersion(version uint64) string { return strconv.FormatUint(version, 10) }

// The fields of each kind that can be selected by.

func metaFields(o object) fields.Set {
	return fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}
}

func jobFields(o object) fields.Set {
	set := metaFields(o)
	set["status.successful"] = strconv.Itoa(int(o.(*batchv1.Job).Status.Succeeded))
	return set
}

func namespaceFields(o object) fields.Set {
	return fields.Set{"metadata.name": o.GetName(), "name": o.GetName(),
		"status.phase": string(o.(*corev1.Namespace).Status.Phase)}
}

func podFields(o object) fields.Set {
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

func eventFields(o object) fields.Set {
	e := o.(*corev1.Event)
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	set := metaFields(o)
	maps.Copy(set, fields.Set{
		"involvedObject.kind": e.InvolvedObject.Kind, "involvedObject.namespace": e.InvolvedObject.Namespace,
		"involvedObject.name": e.InvolvedObject.Name, "involvedObject.uid": string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason, "reportingComponent": e.ReportingController, "source": source, "type": e.Type,
	})
	return set
}

// attributes are what selectors look at.
type attributes struct {
	labels labels.Set
	fields fields.Set
}

func (r *resource) attributesOf(o object) attributes {
	return attributes{o.GetLabels(), r.selectable(o)}
}
