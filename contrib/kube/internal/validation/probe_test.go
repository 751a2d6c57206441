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
		"a good one": {container: "readinessProbe: {httpGet: {port: 80}}"},
		"nothing": {
			container: "readinessProbe: {}",
			want:      []string{main + "readinessProbe: Required value: must specify a handler type"},
		},
		"two handlers": {
			container: "readinessProbe: {exec: {command: [x]}, httpGet: {port: 80}}",
			want:      []string{main + "readinessProbe.httpGet: Forbidden: may not specify more than 1 handler type"},
		},
		"no command": {
			container: "startupProbe: {exec: {}}", want: []string{main + "startupProbe.exec.command: Required value"},
		},
		"no port": {
			container: "readinessProbe: {grpc: {port: 0}}",
			want:      []string{main + "readinessProbe.grpc.port: Invalid value: 0: must be between 1 and 65535, inclusive"},
		},
		"too large a port": {
			container: "readinessProbe: {tcpSocket: {port: 70000}}",
			want: []string{
				main + "readinessProbe.tcpSocket.port: Invalid value: 70000: must be between 1 and 65535, inclusive",
			},
		},
		"another scheme": {
			container: "readinessProbe: {httpGet: {port: 1, scheme: ftp}}",
			want: []string{
				main + `readinessProbe.httpGet.scheme: Unsupported value: "ftp": supported values: "HTTP", "HTTPS"`,
			},
		},
		"a negative number": {
			container: "readinessProbe: {exec: {command: [x]}, periodSeconds: -1}",
			want:      []string{main + "readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0"},
		},
		"two successes": {
			container: "livenessProbe: {exec: {command: [x]}, successThreshold: 2}",
			want:      []string{main + "livenessProbe.successThreshold: Invalid value: 2: must be 1"},
		},
		"a grace period": {
			container: "readinessProbe: {exec: {command: [x]}, terminationGracePeriodSeconds: 1}",
			want: []string{
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
