package validation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkResources wants quantities that make sense. The order of the errors is
// that of the resources' names.
func checkResources(r *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	errs := checkQuantities(r.Limits, path.Child("limits"))
	errs = append(errs, checkQuantities(r.Requests, path.Child("requests"))...)
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		errs = append(errs, checkRequest(name, r, path)...)
	}
	if has(r, isHugePages) && !has(r, isCPUOrMemory) {
		errs = append(errs, field.Forbidden(path, "HugePages require cpu or memory"))
	}
	return errs
}

func has(r *corev1.ResourceRequirements, is func(corev1.ResourceName) bool) bool {
	for _, list := range []corev1.ResourceList{r.Limits, r.Requests} {
		for name := range list {
			if is(name) {
				return true
			}
		}
	}
	return false
}

func isHugePages(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

func isCPUOrMemory(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory
}

// isExtended reports whether a resource is none of Kubernetes' own.
func isExtended(name corev1.ResourceName) bool {
	return strings.Contains(string(name), "/") && !strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// checkRequest wants no more than the limit; of what cannot be shared out, as
// much.
func checkRequest(name corev1.ResourceName, r *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	request := r.Requests[name]
	limit, limited := r.Limits[name]
	exact := isExtended(name) || isHugePages(name)
	switch {
	case limited && exact && request.Cmp(limit) != 0:
		return field.ErrorList{field.Invalid(path.Child("requests"), request.String(),
			fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))}
	case limited && request.Cmp(limit) > 0:
		return field.ErrorList{field.Invalid(path.Child("requests"), request.String(),
			fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))}
	case !limited && exact:
		return field.ErrorList{field.Required(path.Child("limits"), "Limit must be set for non overcommitable resources")}
	}
	return nil
}

func checkQuantities(list corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(list)) {
		at := path.Key(string(name))
		errs = append(errs, checkResourceName(name, at)...)
		errs = append(errs, checkQuantity(name, list[name], at)...)
	}
	return errs
}

func checkQuantity(name corev1.ResourceName, quantity resource.Quantity, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if quantity.Sign() < 0 {
		errs = append(errs, field.Invalid(path, quantity.String(), "must be greater than or equal to 0"))
	}
	inQuota := strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix)
	if whole := isExtended(name) && !inQuota || slices.Contains(countedResources,
		string(name)); whole && quantity.MilliValue()%1000 != 0 {
		errs = append(errs, field.Invalid(path, quantity, "must be an integer"))
	}
	if isHugePages(name) {
		errs = append(errs, checkHugePages(name, quantity, path)...)
	}
	return errs
}

// checkHugePages wants whole pages; a size that is none is left alone.
func checkHugePages(name corev1.ResourceName, quantity resource.Quantity, path *field.Path) field.ErrorList {
	size, err := resource.ParseQuantity(strings.TrimPrefix(string(name), corev1.ResourceHugePagesPrefix))
	if err != nil || size.Sign() <= 0 {
		return nil
	}
	if n := quantity.Value(); n < 0 || n%size.Value() != 0 || quantity.MilliValue()%1000 != 0 {
		return field.ErrorList{field.Invalid(path, quantity.String(),
			fmt.Sprintf("%s is not positive integer multiple of %s", quantity.String(), name))}
	}
	return nil
}

// The resources that the API knows, but for those of containers: countedResources
// are objects, and the others are used in quotas.
var (
	countedResources = []string{
		"pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps",
		"persistentvolumeclaims", "services.nodeports", "services.loadbalancers"}
	quotaResources = []string{
		"requests.cpu", "requests.memory", "requests.ephemeral-storage", "requests.storage",
		"limits.cpu", "limits.memory", "limits.ephemeral-storage", "storage"}
)

// checkResourceName wants a resource that a container can have.
func checkResourceName(name corev1.ResourceName, path *field.Path) field.ErrorList {
	switch {
	case isCPUOrMemory(name), name == corev1.ResourceEphemeralStorage:
		return nil
	case strings.Contains(string(name), "/"):
		return checkExtended(name, path)
	}
	errs := invalidEach(path, name, utilvalidation.IsQualifiedName(string(name)))
	if isHugePages(name) {
		return errs
	}
	inQuota := slices.Contains(countedResources, string(name)) || slices.Contains(quotaResources, string(name)) ||
		strings.HasPrefix(string(name), "requests.hugepages-")
	if len(errs) == 0 && !inQuota {
		errs = append(errs, field.Invalid(path, name, "must be a standard resource type or fully qualified"))
	}
	return append(errs, field.Invalid(path, name, "must be a standard resource for containers"))
}

func checkExtended(name corev1.ResourceName, path *field.Path) field.ErrorList {
	errs := invalidEach(path, name, utilvalidation.IsQualifiedName(string(name)))
	quota := corev1.DefaultResourceRequestsPrefix + string(name)
	if isExtended(name) && (strings.HasPrefix(string(name),
		corev1.DefaultResourceRequestsPrefix) || len(utilvalidation.IsQualifiedName(quota)) > 0) {
		errs = append(errs, field.Invalid(path, name, "doesn't follow extended resource name standard"))
	}
	return errs
}
