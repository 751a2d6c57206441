package pod

import (
	"maps"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// An Identity tells an attempt from others.
type Identity struct {
	Name, UID, Job, JobUID string
	Index                  int // -1 if the job is not Indexed
}

// Metadata is that of an attempt's pod as far as it is known when the attempt is
// created: names, labels and annotations.
func Metadata(m *batchv1.Job, id Identity) metav1.ObjectMeta {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: id.Job, UID: types.UID(id.JobUID)},
		Spec:       batchv1.JobSpec{ManualSelector: m.Spec.ManualSelector},
	}
	job.Spec.Template.Labels = maps.Clone(m.Spec.Template.Labels)
	validation.Prepare(job)
	meta := metav1.ObjectMeta{
		Name:         id.Name,
		GenerateName: id.Job + "-",
		Namespace:    m.Namespace,
		UID:          types.UID(id.UID),
		Labels:       job.Spec.Template.Labels,
		Annotations:  maps.Clone(m.Spec.Template.Annotations),
	}
	if id.Index >= 0 {
		addIndex(&meta, strconv.Itoa(id.Index))
	}
	return meta
}

func addIndex(meta *metav1.ObjectMeta, index string) {
	meta.GenerateName += index + "-"
	metav1.SetMetaDataAnnotation(meta, batchv1.JobCompletionIndexAnnotation, index)
	metav1.SetMetaDataLabel(meta, batchv1.JobCompletionIndexAnnotation, index)
}

// FieldValue is the value of a field of a pod, and whether it is one that exists
// here. A label or annotation that the pod does not have is empty.
func FieldValue(meta *metav1.ObjectMeta, path string) (string, bool) {
	switch path {
	case "metadata.name":
		return meta.Name, true
	case "metadata.namespace":
		return meta.Namespace, true
	case "metadata.uid":
		return string(meta.UID), true
	}
	list, key, ok := validation.Subscript(path)
	switch {
	case ok && list == "metadata.labels":
		return meta.Labels[key], true
	case ok && list == "metadata.annotations" && key != batchv1.JobIndexFailureCountAnnotation &&
		key != batchv1.JobIndexIgnoredFailureCountAnnotation:
		return meta.Annotations[key], true
	}
	return "", false
}

// ResourceValue is the value of a resource that container c, or the one of all
// that ref names, asks for or is limited to, in units of the divisor, rounded up;
// false if it does neither.
func ResourceValue(c *corev1.Container, all map[string]*corev1.Container, ref *corev1.ResourceFieldSelector) (string,
	bool) {
	if ref.ContainerName != "" {
		c = all[ref.ContainerName]
	}
	if c == nil {
		return "", false
	}
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := c.Resources.Limits
	if kind == "requests" {
		list = c.Resources.Requests
	}
	quantity, ok := list[corev1.ResourceName(name)]
	if !ok {
		return "", false
	}
	return strconv.FormatInt(divide(quantity, ref.Divisor, name == "cpu"), 10), true
}

// Containers are all containers of a pod by their names.
func Containers(spec *corev1.PodSpec) map[string]*corev1.Container {
	all := make(map[string]*corev1.Container, len(spec.InitContainers)+len(spec.Containers))
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			all[list[i].Name] = &list[i]
		}
	}
	return all
}

// Names are those of a pod's containers, in the order in which they run.
func Names(spec *corev1.PodSpec) []string {
	var names []string
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			names = append(names, list[i].Name)
		}
	}
	return names
}

// divide rounds up. Cores are counted in thousandths, all else in ones.
func divide(quantity, divisor resource.Quantity, milli bool) int64 {
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	n, by := quantity.Value(), divisor.Value()
	if milli {
		n, by = quantity.MilliValue(), divisor.MilliValue()
	}
	if n%by > 0 {
		return n/by + 1
	}
	return n / by
}
