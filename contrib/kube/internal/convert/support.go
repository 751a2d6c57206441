package convert

import (
	"os"
	"reflect"
	"runtime"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// support is what a manifest asks for and cannot have, or not quite.
type support struct {
	runner     *Runner
	values     pod.Values // the runner's
	pod        *corev1.PodSpec
	containers map[string]*corev1.Container // of the pod
	usual      *corev1.PodSpec              // one that says nothing at all
	errs       field.ErrorList
	warnings   []string
}

func (s *support) refuse(path *field.Path, why string) {
	s.errs = append(s.errs, field.Forbidden(path, why))
}

// maxWarnings is how many warnings there are at most: nobody reads more.
const maxWarnings = 100

func (s *support) warn(path *field.Path, what string) {
	if len(s.warnings) < maxWarnings {
		s.warnings = append(s.warnings, path.String()+": "+what)
	}
}

// A handling says what becomes of a field that a manifest sets to something
// unusual.
type handling func(s *support, path *field.Path)

func refused(why string) handling {
	return func(s *support, path *field.Path) { s.refuse(path, why) }
}

func warned(what string) handling {
	return func(s *support, path *field.Path) { s.warn(path, what) }
}

// seenTo is for fields that are honoured, make no difference, or are looked at
// by a method of their own.
func seenTo(*support, *field.Path) {}

const (
	oneMachine   = "makes no difference: everything runs on this machine"
	ownNames     = "names are those of this machine"
	noToken      = "there are no service accounts here: containers get no token"
	noHooks      = "containers are not looked after here: it would have no effect"
	noSidecars   = "containers are not restarted one by one here, and there are no sidecars"
	notEnforced  = "not enforced here"
	emptyStdin   = "programs have an empty standard input"
	sharedSpaces = "programs run beside everything else on this machine, not in namespaces of their own"
)

// podFields are the fields of a pod, by their names in a manifest. What is not
// here is refused, so that nothing new is ever ignored.
var podFields = map[string]handling{
	"activeDeadlineSeconds":         seenTo,
	"affinity":                      warned(oneMachine),
	"automountServiceAccountToken":  (*support).checkAutomount,
	"containers":                    (*support).checkContainers,
	"dnsConfig":                     warned(ownNames),
	"dnsPolicy":                     warned(ownNames),
	"enableServiceLinks":            seenTo, // there are no services
	"evictionResponders":            warned(oneMachine),
	"hostAliases":                   warned(ownNames),
	"hostIPC":                       warned(sharedSpaces),
	"hostNetwork":                   warned(sharedSpaces),
	"hostPID":                       warned(sharedSpaces),
	"hostUsers":                     warned(sharedSpaces),
	"hostname":                      warned("only the variable HOSTNAME says so"),
	"hostnameOverride":              warned(ownNames),
	"imagePullSecrets":              warned("no image is pulled"),
	"initContainers":                (*support).checkInitContainers,
	"nodeName":                      warned(oneMachine),
	"nodeSelector":                  warned(oneMachine),
	"os":                            (*support).checkOS,
	"overhead":                      warned(notEnforced),
	"preemptionPolicy":              warned(oneMachine),
	"priority":                      warned("jobs take turns here"),
	"priorityClassName":             warned("jobs take turns here"),
	"readinessGates":                warned("not looked at here"),
	"resourceClaims":                refused("there are no devices to be claimed here"),
	"resources":                     warned(notEnforced),
	"restartPolicy":                 seenTo,
	"runtimeClassName":              warned(oneMachine),
	"schedulerName":                 warned(oneMachine),
	"schedulingGates":               refused("nobody here would open the gates"),
	"schedulingGroup":               warned(oneMachine),
	"securityContext":               (*support).checkPodSecurity,
	"serviceAccount":                seenTo, // the same as serviceAccountName
	"serviceAccountName":            warned(noToken),
	"setHostnameAsFQDN":             warned(ownNames),
	"shareProcessNamespace":         warned(sharedSpaces),
	"subdomain":                     warned(ownNames),
	"terminationGracePeriodSeconds": seenTo,
	"tolerations":                   warned(oneMachine),
	"topologySpreadConstraints":     warned(oneMachine),
	"volumes":                       (*support).checkVolumes,
}

// support finds what of m cannot be had.
func (r *Runner) support(m *batchv1.Job) *support {
	spec := &m.Spec.Template.Spec
	s := &support{runner: r, values: r.values(), pod: spec, containers: pod.Containers(spec), usual: usualPod()}
	if len(m.Finalizers) > 0 {
		s.refuse(field.NewPath("metadata", "finalizers"), "nobody here would remove them, and the job would never go")
	}
	if m.Spec.Scheduling != nil {
		s.warn(field.NewPath("spec", "scheduling"), "dropped: the feature is off")
	}
	s.check(*spec, *s.usual, podFields, field.NewPath("spec", "template", "spec"))
	return s
}

// usualPod is a pod with one container and nothing but defaults.
func usualPod() *corev1.PodSpec {
	m := new(batchv1.Job)
	m.Spec.Template.Spec.Containers = make([]corev1.Container, 1)
	validation.Default(m)
	return &m.Spec.Template.Spec
}

// check handles each field of a struct that differs from the usual one.
func (s *support) check(object, usual any, fields map[string]handling, path *field.Path) {
	value, other := reflect.ValueOf(object), reflect.ValueOf(usual)
	for i := range value.NumField() {
		name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
		if apiequality.Semantic.DeepEqual(value.Field(i).Interface(), other.Field(i).Interface()) {
			continue
		}
		handle := fields[name]
		if handle == nil {
			handle = refused("not supported here")
		}
		handle(s, path.Child(name))
	}
}

func (s *support) checkAutomount(path *field.Path) {
	if *s.pod.AutomountServiceAccountToken {
		s.warn(path, noToken)
	}
}

func (s *support) checkOS(path *field.Path) {
	if os := string(s.pod.OS.Name); os != runtime.GOOS {
		s.errs = append(s.errs, field.NotSupported(path.Child("name"), os, []string{runtime.GOOS}))
	}
}

const noMounts = "only emptyDir can be had: containers see the files of this machine"

func (s *support) checkVolumes(path *field.Path) {
	for i := range s.pod.Volumes {
		for _, kind := range validation.VolumeKinds(&s.pod.Volumes[i].VolumeSource) {
			if at := path.Index(i).Child(kind); kind != "emptyDir" {
				s.refuse(at, noMounts)
			} else {
				s.check(*s.pod.Volumes[i].EmptyDir, corev1.EmptyDirVolumeSource{}, emptyDirFields, at)
			}
		}
	}
}

var emptyDirFields = map[string]handling{
	"medium":    warned("it is a directory on the disk"),
	"sizeLimit": warned(notEnforced),
}

// podSecurityFields are what a whole pod may ask for; see securityFields.
var podSecurityFields = map[string]handling{
	"appArmorProfile":     warned(notEnforced),
	"fsGroup":             warned("there are no volumes here"),
	"fsGroupChangePolicy": warned("there are no volumes here"),
	"runAsGroup":          func(s *support, at *field.Path) { s.checkGroup(s.pod.SecurityContext.RunAsGroup, at) },
	"runAsNonRoot": func(s *support, at *field.Path) {
		s.checkNonRoot(s.pod.SecurityContext.RunAsNonRoot, at)
	},
	"runAsUser":                func(s *support, at *field.Path) { s.checkUser(s.pod.SecurityContext.RunAsUser, at) },
	"seLinuxChangePolicy":      warned("there are no volumes here"),
	"seLinuxOptions":           warned(notEnforced),
	"seccompProfile":           warned(notEnforced),
	"supplementalGroups":       warned(notEnforced),
	"supplementalGroupsPolicy": warned(notEnforced),
	"sysctls":                  refused("the kernel is that of this machine"),
}

func (s *support) checkPodSecurity(path *field.Path) {
	s.check(*s.pod.SecurityContext, corev1.PodSecurityContext{}, podSecurityFields, path)
}

const ownUser = "containers run as the user of this process"

func (s *support) checkUser(uid *int64, path *field.Path) {
	if *uid != int64(os.Getuid()) {
		s.errs = append(s.errs, field.Invalid(path, *uid, ownUser))
	}
}

func (s *support) checkGroup(gid *int64, path *field.Path) {
	if *gid != int64(os.Getgid()) {
		s.errs = append(s.errs, field.Invalid(path, *gid, ownUser))
	}
}

func (s *support) checkNonRoot(nonRoot *bool, path *field.Path) {
	if *nonRoot && os.Getuid() == 0 {
		s.errs = append(s.errs, field.Invalid(path, true, ownUser+", which is root"))
	}
}
