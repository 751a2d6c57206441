package validation

import (
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Warnings are what the API server says about a valid job that it takes
// nevertheless, but for what it says about fields of a pod that have no
// effect outside of a cluster.
func Warnings(m *batchv1.Job) []string {
	var w warner
	w.name(m.Name)
	spec := &m.Spec
	if indexed(spec) && above(spec.Completions, manyCompletions) && above(spec.Parallelism, manyCompletionsParallel) {
		w.warn(field.NewPath("spec"), "In Indexed Jobs with a number of completions higher than 10^5 "+
			"and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes "+
			"when a big number of indexes fail")
	}
	w.pod(&spec.Template.Spec, field.NewPath("spec", "template", "spec"))
	return w.texts
}

// maxWarnings is how many warnings there are at most. The API server, too, cuts
// them off, at 4 KiB or somewhat more.
const maxWarnings = 100

// A warner collects warnings.
type warner struct{ texts []string }

func (w *warner) warn(path *field.Path, format string, args ...any) {
	if len(w.texts) == maxWarnings {
		return
	}
	w.texts = append(w.texts, path.String()+": "+fmt.Sprintf(format, args...))
}

func (w *warner) name(name string) {
	if wrong := utilvalidation.IsDNS1123Label(name); len(wrong) > 0 {
		w.warn(field.NewPath("metadata", "name"), "this is used in Pod names and hostnames, "+
			"which can result in surprising behavior; a DNS label is recommended: %v", wrong)
	}
}

func (w *warner) pod(pod *corev1.PodSpec, path *field.Path) {
	ports := portsSeen{byNumber: make(map[string][]seenPort), byName: make(map[string]*field.Path)}
	each := func(containers []corev1.Container, list *field.Path) {
		for i := range containers {
			c, at := &containers[i], list.Index(i)
			w.fractions(c.Resources.Limits, at.Child("resources", "limits"))
			w.fractions(c.Resources.Requests, at.Child("resources", "requests"))
			w.hidden(c.Env, at.Child("env"))
			w.ports(c.Ports, &ports, at.Child("ports"))
		}
	}
	each(pod.InitContainers, path.Child("initContainers"))
	each(pod.Containers, path.Child("containers"))
	if n := pod.TerminationGracePeriodSeconds; n != nil && *n < 0 {
		w.warn(
			path.Child("terminationGracePeriodSeconds"), "must be >= 0; negative values are invalid and will be treated as 1",
		)
	}
}

// fractions warns of parts of a byte.
func (w *warner) fractions(list corev1.ResourceList, path *field.Path) {
	for _, name := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		if quantity, ok := list[name]; ok && quantity.MilliValue()%1000 != 0 {
			w.warn(path.Key(string(name)), "fractional byte value %q is invalid, must be an integer", quantity.String())
		}
	}
}

// hidden warns of variables that have a value already which the new one does not
// build on.
func (w *warner) hidden(env []corev1.EnvVar, path *field.Path) {
	seen := make(map[string]bool, len(env))
	for i, v := range env {
		old := "$(" + v.Name + ")"
		if seen[v.Name] && (v.ValueFrom != nil || v.Value == old || !strings.Contains(v.Value, old)) {
			w.warn(path.Index(i), "hides previous definition of %q, which may be dropped when using apply", v.Name)
		}
		seen[v.Name] = true
	}
}

type portsSeen struct {
	byNumber map[string][]seenPort
	byName   map[string]*field.Path
}

type seenPort struct {
	*corev1.ContainerPort
	path *field.Path
}

// maxCompared is with how many ports of the same number a port is compared.
const maxCompared = 10

// ports warns of ports that the pod has already.
func (w *warner) ports(ports []corev1.ContainerPort, seen *portsSeen, path *field.Path) {
	for i := range ports {
		port, at := &ports[i], path.Index(i)
		number := fmt.Sprintf("%d/%s", port.ContainerPort, port.Protocol)
		others := seen.byNumber[number]
		for _, other := range others {
			w.samePort(port, other, at)
		}
		if len(others) < maxCompared {
			seen.byNumber[number] = append(others, seenPort{port, at})
		}
		if other := seen.byName[port.Name]; other != nil && port.Name != "" {
			w.warn(
				at, "duplicate port name %q with %s, services and probes that select ports by name will use %s", port.Name, other,
				other,
			)
		} else {
			seen.byName[port.Name] = at
		}
	}
}

func (w *warner) samePort(port *corev1.ContainerPort, other seenPort, path *field.Path) {
	switch {
	case port.HostIP == other.HostIP && port.HostPort == other.HostPort:
		w.warn(path, "duplicate port definition with %s", other.path)
	case port.HostPort == 0 || other.HostPort == 0:
		w.warn(path, "overlapping port definition with %s", other.path)
	case port.HostPort == other.HostPort && (port.HostIP == "") != (other.HostIP == ""):
		w.warn(path, "dangerously ambiguous port definition with %s", other.path)
	}
}
