package validation

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// defaultTemplate fills in the pod of a template. The restart policy becomes
// Always, which a job then rejects.
func defaultTemplate(spec *corev1.PodSpec) {
	orValue(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
	orValue(&spec.DNSPolicy, corev1.DNSClusterFirst)
	orValue(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	orDefault(&spec.SecurityContext, corev1.PodSecurityContext{})
	orDefault(&spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	orValue(&spec.SchedulerName, corev1.DefaultSchedulerName)
	for i := range spec.Volumes {
		defaultVolume(&spec.Volumes[i].VolumeSource)
	}
	for i := range spec.InitContainers {
		defaultContainer(&spec.InitContainers[i])
	}
	for i := range spec.Containers {
		defaultContainer(&spec.Containers[i])
	}
	for i := range spec.EphemeralContainers {
		defaultContainer((*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon))
	}
	roundUp(spec.Overhead)
	if spec.Resources != nil {
		roundUp(spec.Resources.Limits)
		roundUp(spec.Resources.Requests)
	}
}

func defaultContainer(c *corev1.Container) {
	orValue(&c.ImagePullPolicy, pullPolicy(c.Image))
	orValue(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	orValue(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		orValue(&c.Ports[i].Protocol, corev1.ProtocolTCP)
	}
	for i := range c.Env {
		defaultEnvSource(c.Env[i].ValueFrom)
	}
	roundUp(c.Resources.Limits)
	roundUp(c.Resources.Requests)
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		defaultProbe(probe)
	}
	defaultLifecycle(c.Lifecycle)
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

func defaultEnvSource(source *corev1.EnvVarSource) {
	if source == nil {
		return
	}
	if source.FieldRef != nil {
		orValue(&source.FieldRef.APIVersion, "v1")
	}
	if source.FileKeyRef != nil {
		orDefault(&source.FileKeyRef.Optional, false)
	}
}

func defaultProbe(p *corev1.Probe) {
	if p == nil {
		return
	}
	orValue(&p.TimeoutSeconds, 1)
	orValue(&p.PeriodSeconds, 10)
	orValue(&p.SuccessThreshold, 1)
	orValue(&p.FailureThreshold, 3)
	defaultHTTPGet(p.HTTPGet)
	if p.GRPC != nil {
		orDefault(&p.GRPC.Service, "")
	}
}

func defaultLifecycle(l *corev1.Lifecycle) {
	if l == nil {
		return
	}
	for _, handler := range []*corev1.LifecycleHandler{l.PostStart, l.PreStop} {
		if handler != nil {
			defaultHTTPGet(handler.HTTPGet)
		}
	}
}

func defaultHTTPGet(get *corev1.HTTPGetAction) {
	if get == nil {
		return
	}
	orValue(&get.Path, "/")
	orValue(&get.Scheme, corev1.URISchemeHTTP)
}

// roundUp drops what is finer than a thousandth from each quantity.
func roundUp(list corev1.ResourceList) {
	for name, quantity := range list {
		quantity.RoundUp(resource.Milli)
		list[name] = quantity
	}
}

// defaultVolume fills in a volume's source; without any it is an emptyDir.
func defaultVolume(v *corev1.VolumeSource) {
	if *v == (corev1.VolumeSource{}) {
		v.EmptyDir = new(corev1.EmptyDirVolumeSource)
	}
	if v.HostPath != nil {
		orDefault(&v.HostPath.Type, corev1.HostPathUnset)
	}
	if v.Secret != nil {
		orDefault(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	}
	if v.ConfigMap != nil {
		orDefault(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	}
	if v.DownwardAPI != nil {
		orDefault(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		defaultFiles(v.DownwardAPI.Items)
	}
	if v.Projected != nil {
		orDefault(&v.Projected.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
		defaultProjections(v.Projected.Sources)
	}
	if v.Image != nil {
		orValue(&v.Image.PullPolicy, pullPolicy(v.Image.Reference))
	}
	if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
		claim := &v.Ephemeral.VolumeClaimTemplate.Spec
		orDefault(&claim.VolumeMode, corev1.PersistentVolumeFilesystem)
		roundUp(claim.Resources.Limits)
		roundUp(claim.Resources.Requests)
	}
	defaultRemoteVolume(v)
}

func defaultProjections(sources []corev1.VolumeProjection) {
	for _, source := range sources {
		if source.DownwardAPI != nil {
			defaultFiles(source.DownwardAPI.Items)
		}
		if source.ServiceAccountToken != nil {
			orDefault(&source.ServiceAccountToken.ExpirationSeconds, 3600)
		}
	}
}

func defaultFiles(files []corev1.DownwardAPIVolumeFile) {
	for _, file := range files {
		if file.FieldRef != nil {
			orValue(&file.FieldRef.APIVersion, "v1")
		}
	}
}

// defaultRemoteVolume is for volumes that other machines serve.
func defaultRemoteVolume(v *corev1.VolumeSource) {
	if v.ISCSI != nil {
		orValue(&v.ISCSI.ISCSIInterface, "default")
	}
	if v.RBD != nil {
		orValue(&v.RBD.RBDPool, "rbd")
		orValue(&v.RBD.RadosUser, "admin")
		orValue(&v.RBD.Keyring, "/etc/ceph/keyring")
	}
	if v.AzureDisk != nil {
		orDefault(&v.AzureDisk.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		orDefault(&v.AzureDisk.FSType, "ext4")
		orDefault(&v.AzureDisk.ReadOnly, false)
		orDefault(&v.AzureDisk.Kind, corev1.AzureSharedBlobDisk)
	}
	if v.ScaleIO != nil {
		orValue(&v.ScaleIO.StorageMode, "ThinProvisioned")
		orValue(&v.ScaleIO.FSType, "xfs")
	}
}
