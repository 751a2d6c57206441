package convert

import (
	"fmt"
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
	s.checkMounts(c, path)
	s.checkResources(&c.Resources, path.Child("resources"))
	if c.SecurityContext != nil {
		s.checkSecurity(c.SecurityContext, path.Child("securityContext"))
	}
}

// checkMounts wants what this system can mount, and a program for whom.
func (s *support) checkMounts(c *corev1.Container, path *field.Path) {
	path = path.Child("volumeMounts")
	refused := len(s.errs)
	for i, m := range c.VolumeMounts {
		switch at := path.Index(i); {
		case strings.HasPrefix(c.Image, pod.FunctionPrefix):
			s.refuse(at, "a function sees the files of this process: Attempt.Dir is a directory of its own")
		case !filepath.IsAbs(m.MountPath) || filepath.Clean(m.MountPath) == "/":
			s.refuse(at.Child("mountPath"), "must be an absolute path, and not all of the file system")
		case m.SubPathExpr != "":
			s.refuse(at.Child("subPathExpr"), "not supported here: use subPath")
		}
	}
	if len(c.VolumeMounts) == 0 || len(s.errs) > refused || !s.runner.Commands {
		return
	}
	if err := pod.CheckMounts(c); err != nil {
		s.refuse(path, err.Error())
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

// checkSource wants a value that is known here.
func (s *support) checkSource(c *corev1.Container, from *corev1.EnvVarSource, path *field.Path) {
	_, known := s.values.Of(from)
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
		ref := from.ConfigMapKeyRef
		what := fmt.Sprintf("config map %q with key %q", ref.Name, ref.Key)
		s.wants(known, ref.Optional, path.Child("configMapKeyRef"), what)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		s.wants(known, ref.Optional, path.Child("secretKeyRef"), fmt.Sprintf("secret %q with key %q", ref.Name, ref.Key))
	default:
		s.refuse(path, "not supported here")
	}
}

func (s *support) checkEnvFrom(from *corev1.EnvFromSource, path *field.Path) {
	if ref := from.ConfigMapRef; ref != nil {
		what := fmt.Sprintf("config map %q", ref.Name)
		s.wants(s.values.HasConfigMap(ref.Name), ref.Optional, path.Child("configMapRef"), what)
	}
	if ref := from.SecretRef; ref != nil {
		s.wants(s.values.HasSecret(ref.Name), ref.Optional, path.Child("secretRef"), fmt.Sprintf("secret %q", ref.Name))
	}
}

// wants refuses, or warns, if values are not known that variables come from.
func (s *support) wants(known bool, optional *bool, path *field.Path, what string) {
	switch {
	case known:
	case valueOr(optional, false):
		s.warn(path, "there is no "+what+" here")
	default:
		s.refuse(path, "there is no "+what+" here: it is to be in the same file, or the runner's")
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
