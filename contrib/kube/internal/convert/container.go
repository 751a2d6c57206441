package convert

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/runtocompletion/batch/contrib/kube/internal/pod"
)

// containerFields are the fields of a container that its own values say nothing
// about; the others are looked at by containerSupport.
var containerFields = map[string]handling{
	"args":                     seenTo,
	"command":                  seenTo,
	"env":                      seenTo,
	"envFrom":                  seenTo,
	"image":                    seenTo,
	"imagePullPolicy":          seenTo, // no image is pulled
	"lifecycle":                refused(noHooks),
	"livenessProbe":            refused(noHooks),
	"name":                     seenTo,
	"ports":                    seenTo,
	"readinessProbe":           warned("not probed here: a container is ready once it has started"),
	"resizePolicy":             warned(notEnforced),
	"resources":                seenTo,
	"restartPolicy":            refused(noSidecars),
	"restartPolicyRules":       refused(noSidecars),
	"securityContext":          seenTo,
	"startupProbe":             refused(noHooks),
	"stdin":                    warned(emptyStdin),
	"stdinOnce":                warned(emptyStdin),
	"terminationMessagePath":   seenTo,
	"terminationMessagePolicy": seenTo,
	"tty":                      warned("programs get no terminal"),
	"volumeDevices":            refused(noMounts),
	"volumeMounts":             seenTo,
	"workingDir":               seenTo,
}

func (s *support) checkContainers(path *field.Path) {
	for i := range s.pod.Containers {
		if i > 0 {
			s.refuse(path.Index(i), "only one container runs here, after the init containers")
			continue
		}
		s.checkContainer(&s.pod.Containers[i], path.Index(i))
	}
}

func (s *support) checkInitContainers(path *field.Path) {
	for i := range s.pod.InitContainers {
		s.checkContainer(&s.pod.InitContainers[i], path.Index(i))
	}
}

func (s *support) checkContainer(c *corev1.Container, path *field.Path) {
	s.check(*c, s.usual.Containers[0], containerFields, path)
	if strings.HasPrefix(c.Image, pod.FunctionPrefix) {
		s.checkFunction(c, path)
	} else {
		s.checkProgram(c, path)
	}
	for i, port := range c.Ports {
		if port.HostPort != 0 && port.HostPort != port.ContainerPort {
			s.refuse(
				path.Child("ports").Index(i).Child("hostPort"),
				"containers use the ports of this machine: it must be the containerPort",
			)
		}
		if port.HostIP != "" {
			s.warn(path.Child("ports").Index(i).Child("hostIP"), "containers choose their addresses themselves")
		}
	}
	for i := range c.Env {
		if source := c.Env[i].ValueFrom; source != nil {
			s.checkSource(c, source, path.Child("env").Index(i).Child("valueFrom"))
		}
	}
	for i := range c.EnvFrom {
		s.checkEnvFrom(&c.EnvFrom[i], path.Child("envFrom").Index(i))
	}
	for i := range c.VolumeMounts {
		s.checkMount(c, &c.VolumeMounts[i], path.Child("volumeMounts").Index(i))
	}
	s.checkResources(&c.Resources, path.Child("resources"))
	if c.SecurityContext != nil {
		s.checkSecurity(c.SecurityContext, path.Child("securityContext"))
	}
}

// checkMount wants a path that the container is told, so that it can be told
// another one.
func (s *support) checkMount(c *corev1.Container, m *corev1.VolumeMount, path *field.Path) {
	switch {
	case !filepath.IsAbs(m.MountPath) || filepath.Clean(m.MountPath) == "/":
		s.refuse(path.Child("mountPath"), "must be an absolute path, and not all of the file system")
	case !pod.Mentions(c, m.MountPath):
		s.refuse(path.Child("mountPath"), "nothing can be mounted: the path must stand in command, args, env or workingDir")
	case m.SubPathExpr != "":
		s.refuse(path.Child("subPathExpr"), "not supported here: use subPath")
	default:
		s.warn(path.Child("mountPath"), "stands for a directory of the attempt's own in command, args, env and workingDir; "+
			"a program that knows the path otherwise sees that of this machine")
	}
	if m.ReadOnly {
		s.warn(path.Child("readOnly"), notEnforced)
	}
}

func (s *support) checkFunction(c *corev1.Container, path *field.Path) {
	name := strings.TrimPrefix(c.Image, pod.FunctionPrefix)
	if s.runner.Functions[name] == nil {
		s.errs = append(s.errs, field.NotSupported(path.Child("image"), c.Image, s.images()))
	}
	if c.WorkingDir != "" {
		s.refuse(path.Child("workingDir"), "a function has no directory of its own")
	}
	if c.TerminationMessagePath != corev1.TerminationMessagePathDefault {
		s.warn(path.Child("terminationMessagePath"), "not read: functions leave their message by Attempt.SetOutput")
	}
	if c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		s.warn(path.Child("terminationMessagePolicy"), "the message of a function that leaves none is its error")
	}
}

// images are those of the functions there are.
func (s *support) images() []string {
	var images []string
	for _, name := range slices.Sorted(maps.Keys(s.runner.Functions)) {
		if s.runner.Functions[name] != nil {
			images = append(images, pod.FunctionPrefix+name)
		}
	}
	return images
}

func (s *support) checkProgram(c *corev1.Container, path *field.Path) {
	switch {
	case len(c.Command) == 0:
		s.errs = append(s.errs, field.Invalid(path.Child("image"), c.Image,
			"images are not pulled here: the container needs a command, or the image of a function, func/NAME"))
		return
	case !s.runner.Commands:
		s.refuse(path.Child("command"), "containers may not run programs here")
		return
	case c.Command[0] == "":
		s.errs = append(s.errs, field.Required(path.Child("command").Index(0), "must name a program"))
	}
	if c.Image != pod.ProcessImage {
		s.warn(path.Child("image"), "image "+c.Image+" is not pulled; command runs as a local process")
	}
	if c.TerminationMessagePath != corev1.TerminationMessagePathDefault {
		s.warn(path.Child("terminationMessagePath"),
			"stands for a file of the attempt's own in command, args and env; a program that knows the path otherwise writes "+
				"elsewhere")
	}
}

// checkSource wants a value that is known here. Keys of config maps and secrets,
// which do not exist, can only be done without.
func (s *support) checkSource(c *corev1.Container, from *corev1.EnvVarSource, path *field.Path) {
	switch {
	case from.FieldRef != nil:
		if _, ok := pod.FieldValue(new(metav1.ObjectMeta), from.FieldRef.FieldPath); !ok {
			s.refuse(path.Child("fieldRef", "fieldPath"), "attempts have no "+from.FieldRef.FieldPath+" here")
		}
	case from.ResourceFieldRef != nil:
		if _, ok := pod.ResourceValue(c, s.containers, from.ResourceFieldRef); !ok {
			s.refuse(
				path.Child("resourceFieldRef", "resource"), "the container says nothing about its "+from.ResourceFieldRef.Resource,
			)
		}
	case from.ConfigMapKeyRef != nil:
		s.doWithout(from.ConfigMapKeyRef.Optional, path.Child("configMapKeyRef"))
	case from.SecretKeyRef != nil:
		s.doWithout(from.SecretKeyRef.Optional, path.Child("secretKeyRef"))
	default:
		s.refuse(path, "not supported here")
	}
}

func (s *support) checkEnvFrom(from *corev1.EnvFromSource, path *field.Path) {
	if from.ConfigMapRef != nil {
		s.doWithout(from.ConfigMapRef.Optional, path.Child("configMapRef"))
	}
	if from.SecretRef != nil {
		s.doWithout(from.SecretRef.Optional, path.Child("secretRef"))
	}
}

func (s *support) doWithout(optional *bool, path *field.Path) {
	const nothing = "there are no config maps and no secrets here"
	if valueOr(optional, false) {
		s.warn(path, nothing)
	} else {
		s.refuse(path, nothing)
	}
}

func (s *support) checkResources(r *corev1.ResourceRequirements, path *field.Path) {
	if len(r.Limits) > 0 {
		s.warn(path.Child("limits"), notEnforced)
	}
	if len(r.Requests) > 0 {
		s.warn(path.Child("requests"), notEnforced)
	}
	if len(r.Claims) > 0 {
		s.refuse(path.Child("claims"), "there are no devices to be claimed here")
	}
}

// checkSecurity refuses what would run with other rights than a container asks
// for, and warns of what is weaker than it wants.
func (s *support) checkSecurity(c *corev1.SecurityContext, path *field.Path) {
	if valueOr(c.Privileged, false) {
		s.refuse(path.Child("privileged"), ownUser)
	}
	if c.Capabilities != nil && len(c.Capabilities.Add) > 0 {
		s.refuse(path.Child("capabilities", "add"), ownUser)
	}
	if c.RunAsUser != nil {
		s.checkUser(c.RunAsUser, path.Child("runAsUser"))
	}
	if c.RunAsGroup != nil {
		s.checkGroup(c.RunAsGroup, path.Child("runAsGroup"))
	}
	if c.RunAsNonRoot != nil {
		s.checkNonRoot(c.RunAsNonRoot, path.Child("runAsNonRoot"))
	}
	harmless := corev1.SecurityContext{
		Privileged: c.Privileged, RunAsUser: c.RunAsUser, RunAsGroup: c.RunAsGroup, RunAsNonRoot: c.RunAsNonRoot}
	s.check(*c, harmless, securityFields, path)
}

// securityFields are what a container may ask for in order to have less rights.
var securityFields = map[string]handling{
	"allowPrivilegeEscalation": warned(notEnforced),
	"appArmorProfile":          warned(notEnforced),
	"capabilities":             warned(notEnforced),
	"procMount":                warned(notEnforced),
	"readOnlyRootFilesystem":   warned(notEnforced),
	"seLinuxOptions":           warned(notEnforced),
	"seccompProfile":           warned(notEnforced),
}
