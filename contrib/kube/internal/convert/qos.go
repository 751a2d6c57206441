package convert

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

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
