package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// checkProbes wants probes that a container which keeps running may have.
func checkProbes(c *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, probe := range []struct {
		name  string
		probe *corev1.Probe
	}{
		{"livenessProbe", c.LivenessProbe},
		{"readinessProbe", c.ReadinessProbe},
		{"startupProbe", c.StartupProbe},
	} {
		if probe.probe != nil {
			errs = append(errs, checkProbe(probe.probe, probe.name == "readinessProbe", path.Child(probe.name))...)
		}
	}
	return errs
}

func checkProbe(p *corev1.Probe, readiness bool, path *field.Path) field.ErrorList {
	errs := checkProbeHandler(&p.ProbeHandler, path)
	for _, number := range []struct {
		name  string
		value int32
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds},
		{"timeoutSeconds", p.TimeoutSeconds},
		{"periodSeconds", p.PeriodSeconds},
		{"successThreshold", p.SuccessThreshold},
		{"failureThreshold", p.FailureThreshold},
	} {
		errs = append(errs, validation.ValidateNonnegativeField(int64(number.value), path.Child(number.name))...)
	}
	grace := p.TerminationGracePeriodSeconds
	if grace != nil && *grace <= 0 {
		errs = append(errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *grace, "must be greater than 0"))
	}
	switch {
	case readiness && grace != nil:
		errs = append(
			errs, field.Invalid(path.Child("terminationGracePeriodSeconds"), *grace, "must not be set for readinessProbes"),
		)
	case !readiness && p.SuccessThreshold != 1:
		errs = append(errs, field.Invalid(path.Child("successThreshold"), p.SuccessThreshold, "must be 1"))
	}
	return errs
}

// checkProbeHandler wants exactly one handler, of which only the first is looked
// at.
func checkProbeHandler(h *corev1.ProbeHandler, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	given := 0
	for _, handler := range []struct {
		name  string
		given bool
		check func(*field.Path) field.ErrorList
	}{
		{"exec", h.Exec != nil, func(at *field.Path) field.ErrorList { return checkExec(h.Exec, at) }},
		{"httpGet", h.HTTPGet != nil, func(at *field.Path) field.ErrorList { return checkHTTPGet(h.HTTPGet, at) }},
		{
			"tcpSocket", h.TCPSocket != nil,
			func(at *field.Path) field.ErrorList { return checkProbePort(h.TCPSocket.Port, at.Child("port")) },
		},
		{"grpc", h.GRPC != nil, func(at *field.Path) field.ErrorList {
			return checkProbePort(intstr.FromInt32(h.GRPC.Port), at.Child("port"))
		}},
	} {
		if !handler.given {
			continue
		}
		if given++; given > 1 {
			errs = append(errs, field.Forbidden(path.Child(handler.name), "may not specify more than 1 handler type"))
		} else {
			errs = append(errs, handler.check(path.Child(handler.name))...)
		}
	}
	if given == 0 {
		errs = append(errs, field.Required(path, "must specify a handler type"))
	}
	return errs
}

func checkExec(exec *corev1.ExecAction, path *field.Path) field.ErrorList {
	if len(exec.Command) == 0 {
		return field.ErrorList{field.Required(path.Child("command"), "")}
	}
	return nil
}

func checkHTTPGet(get *corev1.HTTPGetAction, path *field.Path) field.ErrorList {
	errs := checkProbePort(get.Port, path.Child("port"))
	errs = append(errs, knownOrEmpty(get.Scheme, path.Child("scheme"), corev1.URISchemeHTTP, corev1.URISchemeHTTPS)...)
	for _, header := range get.HTTPHeaders {
		errs = append(
			errs, invalidEach(path.Child("httpHeaders"), header.Name, utilvalidation.IsHTTPHeaderName(header.Name))...,
		)
	}
	return errs
}

func checkProbePort(port intstr.IntOrString, path *field.Path) field.ErrorList {
	if port.Type == intstr.String {
		return invalidEach(path, port.StrVal, utilvalidation.IsValidPortName(port.StrVal))
	}
	return invalidEach(path, port.IntVal, utilvalidation.IsValidPortNum(int(port.IntVal)))
}
