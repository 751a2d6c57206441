package validation

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// containers looks at all containers of a pod, whose names are different ones. Ports of
// the machine can be had by one of the containers that run at once.
func (c *checker) containers(pod *corev1.PodSpec, volumes map[string]bool, path *field.Path) {
	list := path.Child("containers")
	if len(pod.Containers) == 0 {
		c.add(field.Required(list, ""))
	}
	names := make(map[string]bool, len(pod.Containers))
	each := func(containers []corev1.Container, list *field.Path, check func(*corev1.Container, *field.Path)) {
		for i := range containers {
			of, at := &containers[i], list.Index(i)
			c.container(of, volumes, at)
			if names[of.Name] {
				c.add(field.Duplicate(at.Child("name"), of.Name))
			}
			names[of.Name] = of.Name != ""
			check(of, at)
		}
	}
	each(pod.Containers, list, func(of *corev1.Container, at *field.Path) {
		c.restartRules(of, false, at)
		c.probes(of, at)
	})
	c.hostPorts(pod.Containers, list)
	list = path.Child("initContainers")
	each(pod.InitContainers, list, func(of *corev1.Container, at *field.Path) {
		c.restartRules(of, true, at)
		c.hostPorts([]corev1.Container{*of}, list)
		if of.RestartPolicy == nil || *of.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			c.helpless(of, at)
		} else {
			c.probes(of, at)
		}
	})
}

func (c *checker) container(of *corev1.Container, volumes map[string]bool, path *field.Path) {
	c.fields(of, path)
	names := make(map[string]bool)
	for i, port := range of.Ports {
		good := len(utilvalidation.IsValidPortName(port.Name)) == 0
		if good && names[port.Name] {
			c.add(field.Duplicate(path.Child("ports").Index(i).Child("name"), port.Name))
		}
		names[port.Name] = names[port.Name] || good
	}
	for i := range of.Env {
		if of.Env[i].ValueFrom != nil {
			c.envSource(&of.Env[i], path.Child("env").Index(i).Child("valueFrom"))
		}
	}
	for _, source := range of.EnvFrom {
		switch at := path.Child("envFrom"); {
		case source.ConfigMapRef == nil && source.SecretRef == nil:
			c.add(field.Invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
		case source.ConfigMapRef != nil && source.SecretRef != nil:
			c.add(field.Invalid(at, "", "may not have more than one field specified at a time"))
		}
	}
	c.mounts(of, volumes, path.Child("volumeMounts"))
	c.add(checkResources(&of.Resources, path.Child("resources"))...)
}

// helpless forbids what an init container that ends cannot have.
func (c *checker) helpless(of *corev1.Container, path *field.Path) {
	for _, part := range []struct {
		field string
		set   bool
	}{
		{"lifecycle", of.Lifecycle != nil},
		{"livenessProbe", of.LivenessProbe != nil},
		{"readinessProbe", of.ReadinessProbe != nil},
		{"startupProbe", of.StartupProbe != nil},
	} {
		if part.set {
			c.add(field.Forbidden(path.Child(part.field), "may not be set for init containers without restartPolicy=Always"))
		}
	}
}

// restartRules wants rules that a container may have. Of an init container, rules without
// a policy are not looked at.
func (c *checker) restartRules(of *corev1.Container, isInit bool, path *field.Path) {
	if of.RestartPolicy == nil && len(of.RestartPolicyRules) > 0 {
		c.add(field.Required(path.Child("restartPolicy"), "must specify restartPolicy when restart rules are used"))
		if isInit {
			return
		}
	}
	path = path.Child("restartPolicyRules")
	c.add(atMost(len(of.RestartPolicyRules), 20, path)...)
	for i, rule := range of.RestartPolicyRules {
		c.fields(&rule, path.Index(i))
		at := path.Index(i).Child("exitCodes")
		if rule.ExitCodes == nil {
			c.add(field.Required(at, "must be specified"))
		} else {
			c.add(atMost(len(rule.ExitCodes.Values), maxExitCodes, at.Child("values"))...)
		}
	}
}

func (c *checker) mounts(of *corev1.Container, volumes map[string]bool, path *field.Path) {
	seen := make(map[string]bool, len(of.VolumeMounts))
	for i, mount := range of.VolumeMounts {
		at := path.Index(i)
		if !volumes[mount.Name] {
			c.add(field.NotFound(at.Child("name"), mount.Name))
		}
		if seen[mount.MountPath] {
			c.add(field.Invalid(at.Child("mountPath"), mount.MountPath, "must be unique"))
		}
		seen[mount.MountPath] = true
		if mount.SubPath != "" && mount.SubPathExpr != "" {
			c.add(field.Invalid(at.Child("subPathExpr"), mount.SubPathExpr,
				"subPathExpr and subPath are mutually exclusive"))
		}
		c.descending(mount.SubPath, path.Child("subPath")) // without the index, as the API server has it
		c.descending(mount.SubPathExpr, path.Child("subPathExpr"))
	}
}

// descending wants a path that stays below where it starts.
func (c *checker) descending(to string, at *field.Path) {
	if path.IsAbs(to) {
		c.add(field.Invalid(at, to, "must be a relative path"))
	}
	if slices.Contains(strings.Split(to, "/"), "..") {
		c.add(field.Invalid(at, to, "must not contain '..'"))
	}
}

// hostPorts wants each port of the machine once.
func (c *checker) hostPorts(containers []corev1.Container, path *field.Path) {
	seen := make(map[string]bool)
	for i, of := range containers {
		for j, port := range of.Ports {
			key := fmt.Sprintf("%s/%s/%d", port.Protocol, port.HostIP, port.HostPort)
			if seen[key] {
				c.add(field.Duplicate(path.Index(i).Child("ports").Index(j).Child("hostPort"), key))
			}
			seen[key] = port.HostPort != 0
		}
	}
}

// probes wants probes that a container which keeps running may have.
func (c *checker) probes(of *corev1.Container, path *field.Path) {
	c.probe(of.LivenessProbe, false, path.Child("livenessProbe"))
	c.probe(of.ReadinessProbe, true, path.Child("readinessProbe"))
	c.probe(of.StartupProbe, false, path.Child("startupProbe"))
}

func (c *checker) probe(p *corev1.Probe, readiness bool, path *field.Path) {
	if p == nil {
		return
	}
	c.probeHandler(&p.ProbeHandler, path)
	c.fields(p, path)
	grace := p.TerminationGracePeriodSeconds
	if grace != nil && *grace <= 0 {
		c.add(field.Invalid(path.Child("terminationGracePeriodSeconds"), *grace, "must be greater than 0"))
	}
	switch {
	case readiness && grace != nil:
		c.add(field.Invalid(path.Child("terminationGracePeriodSeconds"), *grace, "must not be set for readinessProbes"))
	case !readiness && p.SuccessThreshold != 1:
		c.add(field.Invalid(path.Child("successThreshold"), p.SuccessThreshold, "must be 1"))
	}
}

// probeHandler wants exactly one handler, of which only the first is looked at.
func (c *checker) probeHandler(h *corev1.ProbeHandler, path *field.Path) {
	var given []string
	add := func(name string, is bool, check func(at *field.Path)) {
		if !is {
			return
		}
		if given = append(given, name); len(given) > 1 {
			c.add(field.Forbidden(path.Child(name), "may not specify more than 1 handler type"))
			return
		}
		check(path.Child(name))
	}
	add("exec", h.Exec != nil, func(at *field.Path) {
		if len(h.Exec.Command) == 0 {
			c.add(field.Required(at.Child("command"), ""))
		}
	})
	add("httpGet", h.HTTPGet != nil, func(at *field.Path) { c.httpGet(h.HTTPGet, at) })
	add("tcpSocket", h.TCPSocket != nil, func(at *field.Path) { c.probePort(h.TCPSocket.Port, at.Child("port")) })
	add("grpc", h.GRPC != nil, func(at *field.Path) { c.probePort(intstr.FromInt32(h.GRPC.Port), at.Child("port")) })
	if len(given) == 0 {
		c.add(field.Required(path, "must specify a handler type"))
	}
}

func (c *checker) httpGet(get *corev1.HTTPGetAction, path *field.Path) {
	c.probePort(get.Port, path.Child("port"))
	if get.Scheme != corev1.URISchemeHTTP && get.Scheme != corev1.URISchemeHTTPS {
		c.add(field.NotSupported(path.Child("scheme"), get.Scheme,
			[]corev1.URIScheme{corev1.URISchemeHTTP, corev1.URISchemeHTTPS}))
	}
	for _, header := range get.HTTPHeaders {
		c.add(invalidEach(path.Child("httpHeaders"), header.Name, utilvalidation.IsHTTPHeaderName(header.Name))...)
	}
}

func (c *checker) probePort(port intstr.IntOrString, path *field.Path) {
	if port.Type == intstr.String {
		c.add(invalidEach(path, port.StrVal, utilvalidation.IsValidPortName(port.StrVal))...)
		return
	}
	c.add(invalidEach(path, port.IntVal, utilvalidation.IsValidPortNum(int(port.IntVal)))...)
}
