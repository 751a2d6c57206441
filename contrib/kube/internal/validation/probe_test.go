package validation

import (
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// TestProbes wants what Kubernetes v1.37.2 said to probes, text for text.
func TestProbes(t *testing.T) {
	const main = "spec.template.spec.containers[0]."
	for name, c := range map[string]struct {
		container string
		want      []string
	}{
		"a good one": {"readinessProbe: {httpGet: {port: 80}}", nil},
		"nothing": {
			"readinessProbe: {}", []string{main + "readinessProbe: Required value: must specify a handler type"},
		},
		"two handlers": {
			"readinessProbe: {exec: {command: [x]}, httpGet: {port: 80}}",
			[]string{main + "readinessProbe.httpGet: Forbidden: may not specify more than 1 handler type"},
		},
		"no command": {"startupProbe: {exec: {}}", []string{main + "startupProbe.exec.command: Required value"}},
		"no port": {
			"readinessProbe: {grpc: {port: 0}}",
			[]string{main + "readinessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive"},
		},
		"too large a port": {
			"readinessProbe: {tcpSocket: {port: 70000}}",
			[]string{main + "readinessProbe.tcpSocket.port: Invalid value: 70000: must be between 1 and 65535, inclusive"},
		},
		"another scheme": {
			"readinessProbe: {httpGet: {port: 1, scheme: ftp}}",
			[]string{main + `readinessProbe.httpGet.scheme: Unsupported value: "ftp": supported values: "HTTP", "HTTPS"`},
		},
		"a negative number": {
			"readinessProbe: {exec: {command: [x]}, periodSeconds: -1}",
			[]string{main + "readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"},
		},
		"two successes": {
			"livenessProbe: {exec: {command: [x]}, successThreshold: 2}",
			[]string{main + "livenessProbe.successThreshold: Invalid value: 2: must be 1"},
		},
		"a grace period": {
			"readinessProbe: {exec: {command: [x]}, terminationGracePeriodSeconds: 1}",
			[]string{
				main + "readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := yaml.YAMLToJSON([]byte("{metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never, " +
				"containers: [{name: m, image: i, " + c.container + "}]}}}}"))
			require.NoError(t, err)
			require.Equal(t, c.want, textsOf(t, defaultedJob(t, text), nil))
		})
	}
}
