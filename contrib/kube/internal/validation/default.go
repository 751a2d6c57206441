// Package validation says what the API server of Kubernetes says to a Job of
// batch/v1: it fills in defaults, and names every field that is wrong, with the
// server's own paths, kinds and texts. Its functions are pure, but that Default
// and Prepare change the object they are given.
package validation

import (
	"math"
	"reflect"
	"regexp"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Default fills in what a manifest leaves out, as the API server does before it
// looks at anything else. A job without labels gets the map of its template's, so
// that labels added to that later, by [Prepare], are the job's as well.
func Default(m *batchv1.Job) {
	spec := &m.Spec
	if spec.Completions == nil && spec.Parallelism == nil { // without completions alone, a work queue
		spec.Completions = new(int32(1))
	}
	orDefault(&spec.Parallelism, 1)
	if spec.BackoffLimitPerIndex != nil { // no limit but that of each index
		orDefault(&spec.BackoffLimit, math.MaxInt32)
	}
	orDefault(&spec.BackoffLimit, 6)
	if spec.Template.Labels != nil && len(m.Labels) == 0 {
		m.Labels = spec.Template.Labels
	}
	orDefault(&spec.CompletionMode, batchv1.NonIndexedCompletion)
	orDefault(&spec.Suspend, false)
	orDefault(&spec.ManualSelector, false)
	defaultPolicies(spec)
	defaultTemplate(&spec.Template.Spec)
}

func defaultPolicies(spec *batchv1.JobSpec) {
	if policy := spec.PodFailurePolicy; policy != nil {
		if len(policy.Rules) == 0 {
			policy.Rules = nil // the server's storage knows no empty lists, and these show
		}
		orDefault(&spec.PodReplacementPolicy, batchv1.Failed)
		defaultRules(policy.Rules)
	}
	orDefault(&spec.PodReplacementPolicy, batchv1.TerminatingOrFailed)
}

func defaultRules(rules []batchv1.PodFailurePolicyRule) {
	for _, rule := range rules {
		for i := range rule.OnPodConditions {
			orValue(&rule.OnPodConditions[i].Status, corev1.ConditionTrue)
		}
	}
}

// orDefault lets *p point to value if it points nowhere.
func orDefault[T any](p **T, value T) {
	if *p == nil {
		*p = new(value)
	}
}

// orValue makes *p value if it is the zero value.
func orValue[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// Prepare gives a defaulted job its labels and its selector, for which its UID
// must be known. A job with manualSelector is left alone.
func Prepare(m *batchv1.Job) {
	if m.Spec.ManualSelector != nil && *m.Spec.ManualSelector {
		return
	}
	template := &m.Spec.Template
	if template.Labels == nil {
		template.Labels = make(map[string]string, 4)
	}
	for key, value := range generatedLabels(m) {
		if _, given := template.Labels[key]; !given {
			template.Labels[key] = value
		}
	}
	selectByUID(m)
}

func selectByUID(m *batchv1.Job) {
	if m.Spec.Selector == nil {
		m.Spec.Selector = new(metav1.LabelSelector)
	}
	labels := &m.Spec.Selector.MatchLabels
	if *labels == nil {
		*labels = make(map[string]string, 1)
	}
	if _, given := (*labels)[batchv1.ControllerUidLabel]; !given {
		(*labels)[batchv1.ControllerUidLabel] = string(m.UID)
	}
}

// The labels of old, which have no prefix.
const (
	legacyJobNameLabel       = "job-name"
	legacyControllerUIDLabel = "controller-uid"
)

func generatedLabels(m *batchv1.Job) map[string]string {
	return map[string]string{
		batchv1.JobNameLabel:       m.Name,
		legacyJobNameLabel:         m.Name,
		batchv1.ControllerUidLabel: string(m.UID),
		legacyControllerUIDLabel:   string(m.UID),
	}
}

// podDefaults are the values of fields that a pod leaves out, by the types of the objects
// that have them and their names in a manifest.
var podDefaults = map[reflect.Type]map[string]any{
	of[corev1.PodSpec](): {"dnsPolicy": corev1.DNSClusterFirst, "restartPolicy": corev1.RestartPolicyAlways,
		"securityContext": corev1.PodSecurityContext{}, "schedulerName": corev1.DefaultSchedulerName,
		"terminationGracePeriodSeconds": int64(corev1.DefaultTerminationGracePeriodSeconds)},
	of[corev1.Container]():                     containerDefaults,
	of[corev1.EphemeralContainerCommon]():      containerDefaults,
	of[corev1.ContainerPort]():                 {"protocol": corev1.ProtocolTCP},
	of[corev1.ObjectFieldSelector]():           {"apiVersion": "v1"},
	of[corev1.FileKeySelector]():               {"optional": false},
	of[corev1.GRPCAction]():                    {"service": ""},
	of[corev1.HTTPGetAction]():                 {"path": "/", "scheme": corev1.URISchemeHTTP},
	of[corev1.HostPathVolumeSource]():          {"type": corev1.HostPathUnset},
	of[corev1.SecretVolumeSource]():            {"defaultMode": corev1.SecretVolumeSourceDefaultMode},
	of[corev1.ConfigMapVolumeSource]():         {"defaultMode": corev1.ConfigMapVolumeSourceDefaultMode},
	of[corev1.DownwardAPIVolumeSource]():       {"defaultMode": corev1.DownwardAPIVolumeSourceDefaultMode},
	of[corev1.ProjectedVolumeSource]():         {"defaultMode": corev1.ProjectedVolumeSourceDefaultMode},
	of[corev1.ServiceAccountTokenProjection](): {"expirationSeconds": int64(3600)},
	of[corev1.PersistentVolumeClaimSpec]():     {"volumeMode": corev1.PersistentVolumeFilesystem},
	of[corev1.ISCSIVolumeSource]():             {"iscsiInterface": "default"},
	of[corev1.RBDVolumeSource]():               {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
	of[corev1.ScaleIOVolumeSource]():           {"storageMode": "ThinProvisioned", "fsType": "xfs"},
	of[corev1.AzureDiskVolumeSource](): {"cachingMode": corev1.AzureDataDiskCachingReadWrite, "fsType": "ext4",
		"readOnly": false, "kind": corev1.AzureSharedBlobDisk},
	of[corev1.Probe](): {"timeoutSeconds": int32(1), "periodSeconds": int32(10), "successThreshold": int32(1),
		"failureThreshold": int32(3)},
}

var containerDefaults = map[string]any{"terminationMessagePath": corev1.TerminationMessagePathDefault,
	"terminationMessagePolicy": corev1.TerminationMessageReadFile}

// defaultTemplate fills in the pod of a template. The restart policy becomes
// Always, which a job then rejects.
func defaultTemplate(spec *corev1.PodSpec) {
	orValue(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	fillIn(reflect.ValueOf(spec).Elem())
}

// fillIn sets all fields of a value, and of those in it, that have a default and no value.
func fillIn(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fillIn(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			fillIn(v.Index(i))
		}
	case reflect.Map:
		if list, ok := v.Interface().(corev1.ResourceList); ok {
			roundUp(list)
		}
	case reflect.Struct:
		fillInFields(v, podDefaults[v.Type()])
	}
}

func fillInFields(v reflect.Value, defaults map[string]any) {
	switch o := v.Addr().Interface().(type) {
	case *resource.Quantity:
		return
	case *corev1.Container:
		orValue(&o.ImagePullPolicy, pullPolicy(o.Image))
	case *corev1.EphemeralContainerCommon:
		orValue(&o.ImagePullPolicy, pullPolicy(o.Image))
	case *corev1.ImageVolumeSource:
		orValue(&o.PullPolicy, pullPolicy(o.Reference))
	case *corev1.VolumeSource:
		if *o == (corev1.VolumeSource{}) {
			o.EmptyDir = new(corev1.EmptyDirVolumeSource)
		}
	}
	for f, value := range v.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if usual, ok := defaults[name]; ok && value.IsZero() {
			setField(value, reflect.ValueOf(usual))
		}
		if f.IsExported() {
			fillIn(value)
		}
	}
}

func setField(field, value reflect.Value) {
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	field.Set(value.Convert(field.Type()))
}

// imageName is what comes last in the path of an image.
var imageName = regexp.MustCompile(`^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$`)

// pullPolicy is Always for an image whose tag is latest, or that has neither a
// tag nor a digest. What is no image has no such tag.
func pullPolicy(image string) corev1.PullPolicy {
	path, _, hasDigest := strings.Cut(image, "@")
	name, tag, hasTag := strings.Cut(path[strings.LastIndex(path, "/")+1:], ":")
	if imageName.MatchString(name) && (tag == "latest" || !hasTag && !hasDigest) {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// roundUp drops what is finer than a thousandth from each quantity.
func roundUp(list corev1.ResourceList) {
	for name, quantity := range list {
		quantity.RoundUp(resource.Milli)
		list[name] = quantity
	}
}
