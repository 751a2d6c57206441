package convert

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/validation"
)

// parsed is the job of a manifest, with its defaults.
func parsed(t testing.TB, text string) *batchv1.Job {
	m := new(batchv1.Job)
	require.NoError(t, yaml.UnmarshalStrict([]byte(text), m))
	validation.Default(m)
	require.Empty(t, validation.Validate(m))
	return m
}

// podJob is a job whose pod has a container that runs a program, and what is
// given besides: lines of the container, and of the pod.
func podJob(t testing.TB, container, pod string) *batchv1.Job {
	return parsed(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  template:
    spec:
      restartPolicy: Never
`+indent(6, pod)+`
      containers:
      - name: main
        image: process
        command: ["true"]
`+indent(8, container))
}

func indent(n int, text string) string {
	if text == "" {
		return ""
	}
	blank := strings.Repeat(" ", n)
	return blank + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+blank)
}

func works(context.Context, batch.Attempt, Container) error { return nil }

var anything = &Runner{Commands: true, Functions: map[string]Function{"report": works, "none": nil}}

const podTemplate = "spec.template.spec."

const mainContainer = podTemplate + "containers[0]."

var supportTests = map[string]struct {
	container, pod string
	refused        []string // fields
	warned         []string
}{
	"a plain program": {},
	"what makes no difference": {
		container: "imagePullPolicy: Always", pod: "enableServiceLinks: false\nautomountServiceAccountToken: false",
	},
	"a volume of its own": {pod: "volumes: [{name: v, emptyDir: {}}]"},
	"a volume of a certain size": {
		pod:    "volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}]",
		warned: []string{podTemplate + "volumes[0].emptyDir.sizeLimit"},
	},
	"a volume that is mounted": {
		container: "volumeMounts: [{name: v, mountPath: /v/, readOnly: true}]",
		pod:       "volumes: [{name: v, emptyDir: {}}]",
	},
	"a volume instead of all files": {
		container: "args: [/]\nvolumeMounts: [{name: v, mountPath: /}]", pod: "volumes: [{name: v, emptyDir: {}}]",
		refused: []string{mainContainer + "volumeMounts[0].mountPath"},
	},
	"a volume where a file is": {
		container: "volumeMounts: [{name: v, mountPath: /proc/version/v}]", pod: "volumes: [{name: v, emptyDir: {}}]",
		refused: []string{mainContainer + "volumeMounts"},
	},
	"a volume in memory": {
		pod: "volumes: [{name: v, emptyDir: {medium: Memory}}]", warned: []string{podTemplate + "volumes[0].emptyDir.medium"},
	},
	"a claim": {
		pod:     "volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]",
		refused: []string{podTemplate + "volumes[0].persistentVolumeClaim"},
	},
	"a host path": {
		pod: "volumes: [{name: v, hostPath: {path: /}}]", refused: []string{podTemplate + "volumes[0].hostPath"},
	},
	"a secret": {
		pod: "volumes: [{name: v, secret: {secretName: s}}]", refused: []string{podTemplate + "volumes[0].secret"},
	},
	"a config map": {
		pod: "volumes: [{name: v, configMap: {name: c}}]", refused: []string{podTemplate + "volumes[0].configMap"},
	},
	"variables from a config map": {
		container: "envFrom: [{configMapRef: {name: c}}]", refused: []string{mainContainer + "envFrom[0].configMapRef"},
	},
	"variables from one that may lack": {
		container: "envFrom: [{configMapRef: {name: c, optional: true}}]",
		warned:    []string{mainContainer + "envFrom[0].configMapRef"},
	},
	"a variable from a secret": {
		container: "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
		refused:   []string{mainContainer + "env[0].valueFrom.secretKeyRef"},
	},
	"a variable from one that may lack": {
		container: "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]",
		warned:    []string{mainContainer + "env[0].valueFrom.secretKeyRef"},
	},
	"a field that is known": {container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]"},
	"a field that is not": {
		container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]",
		refused:   []string{mainContainer + "env[0].valueFrom.fieldRef.fieldPath"},
	},
	"a count that is not known": {
		container: "env: [{name: A, valueFrom: {fieldRef: {fieldPath: " +
			"\"metadata.annotations['batch.kubernetes.io/job-index-failure-count']\"}}}]",
		refused: []string{mainContainer + "env[0].valueFrom.fieldRef.fieldPath"},
	},
	"a limit that is set": {
		container: "resources: {limits: {cpu: 2}}\nenv: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]",
		warned:    []string{mainContainer + "resources.limits"},
	},
	"a limit that is not": {
		container: "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]",
		refused:   []string{mainContainer + "env[0].valueFrom.resourceFieldRef.resource"},
	},
	"requests": {
		container: "resources: {requests: {cpu: 2}}", warned: []string{mainContainer + "resources.requests"},
	},
	"a liveness probe": {
		container: "livenessProbe: {exec: {command: [x]}}", refused: []string{mainContainer + "livenessProbe"},
	},
	"a readiness probe": {
		container: "readinessProbe: {exec: {command: [x]}}", warned: []string{mainContainer + "readinessProbe"},
	},
	"a hook": {
		container: "lifecycle: {preStop: {exec: {command: [x]}}}", refused: []string{mainContainer + "lifecycle"},
	},
	"a restart policy of its own": {container: "restartPolicy: Never", refused: []string{mainContainer + "restartPolicy"}},
	"restart rules": {
		container: "restartPolicy: Never\nrestartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]",
		refused:   []string{mainContainer + "restartPolicy", mainContainer + "restartPolicyRules"},
	},
	"a sidecar": {
		pod:     "initContainers: [{name: side, image: process, command: [x], restartPolicy: Always}]",
		refused: []string{podTemplate + "initContainers[0].restartPolicy"},
	},
	"an init container": {pod: "initContainers: [{name: first, image: process, command: [x]}]"},
	"a terminal": {
		container: "tty: true\nstdin: true", warned: []string{mainContainer + "stdin", mainContainer + "tty"},
	},
	"a port": {container: "ports: [{containerPort: 80, hostPort: 80}]"},
	"a port that is another one": {
		container: "ports: [{containerPort: 80, hostPort: 81}]", refused: []string{mainContainer + "ports[0].hostPort"},
	},
	"an address of a port": {
		container: "ports: [{containerPort: 80, hostIP: 127.0.0.2}]", warned: []string{mainContainer + "ports[0].hostIP"},
	},
	"the network of the host": {pod: "hostNetwork: true", warned: []string{podTemplate + "hostNetwork"}},
	"a service account": {
		pod:    "serviceAccountName: sa\nautomountServiceAccountToken: true",
		warned: []string{podTemplate + "serviceAccountName", podTemplate + "automountServiceAccountToken"},
	},
	"a place": {
		pod:    "nodeSelector: {a: b}\ntolerations: [{operator: Exists}]\naffinity: {nodeAffinity: {}}",
		warned: []string{podTemplate + "nodeSelector", podTemplate + "affinity", podTemplate + "tolerations"},
	},
	"gates": {
		pod: "schedulingGates: [{name: a/b}]", refused: []string{podTemplate + "schedulingGates"},
	},
	"another system": {pod: "os: {name: windows}", refused: []string{podTemplate + "os.name"}},
	"privileges": {
		container: "securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN]}}",
		refused:   []string{mainContainer + "securityContext.privileged", mainContainer + "securityContext.capabilities.add"},
		warned:    []string{mainContainer + "securityContext.capabilities"},
	},
	"less privileges": {
		container: "securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false}",
		warned: []string{
			mainContainer + "securityContext.allowPrivilegeEscalation", mainContainer + "securityContext.readOnlyRootFilesystem",
		},
	},
	"another user": {
		container: "securityContext: {runAsUser: 12345}", pod: "securityContext: {runAsUser: 12345, runAsGroup: 12345}",
		refused: []string{
			mainContainer + "securityContext.runAsUser", podTemplate + "securityContext.runAsUser",
			podTemplate + "securityContext.runAsGroup",
		},
	},
	"this user": {pod: fmt.Sprintf("securityContext: {runAsUser: %d}", os.Getuid())},
	"settings of the kernel": {
		pod: "securityContext: {sysctls: [{name: a, value: b}]}", refused: []string{podTemplate + "securityContext.sysctls"},
	},
	"a termination message elsewhere": {
		container: "terminationMessagePath: /tmp/x", warned: []string{mainContainer + "terminationMessagePath"},
	},
}

// TestSupport wants each thing that cannot be had refused, or warned about, by
// the name of its field.
func TestSupport(t *testing.T) {

	for name, c := range supportTests {
		t.Run(name, func(t *testing.T) {
			_, warnings, err := anything.Job(podJob(t, c.container, c.pod), FromCode)
			require.ElementsMatch(t, c.refused, fieldsOf(t, err), "%v", err)
			var warned []string
			for _, w := range warnings {
				path, _, _ := strings.Cut(w, ": ")
				warned = append(warned, path)
			}
			require.ElementsMatch(t, c.warned, warned, "%v", warnings)
		})
	}
}

// fieldsOf are the fields that an error of Job names.
func fieldsOf(t *testing.T, err error) []string {
	if err == nil {
		return nil
	}
	aggregate, ok := err.(utilerrors.Aggregate)
	require.True(t, ok, "%T", err)
	var fields []string
	for _, err := range aggregate.Errors() {
		fields = append(fields, err.(*field.Error).Field)
	}
	return fields
}

var onlyCommands = &Runner{Commands: true}

var onlyFunctions = &Runner{Functions: map[string]Function{"report": works, "none": nil}}

var imagesTests = map[string]struct {
	runner    *Runner
	container string
	wantErr   string
	warning   string
}{
	"a program": {runner: onlyCommands, container: `{name: main, image: process, command: [x]}`},
	"a program in an image": {
		runner: onlyCommands, container: `{name: main, image: "perl:5", command: [x]}`,
		warning: mainContainer + "image: image perl:5 is not pulled; command runs as a local process",
	},
	"a program where none may run": {
		runner: onlyFunctions, container: `{name: main, image: process, command: [x]}`,
		wantErr: mainContainer + "command: Forbidden: containers may not run programs here",
	},
	"nothing but an image": {
		runner: onlyCommands, container: `{name: main, image: "perl:5", args: [x]}`,
		wantErr: mainContainer + `image: Invalid value: "perl:5": images are not pulled here: ` +
			`the container needs a command, or the image of a function, func/NAME`,
	},
	"an empty command": {
		runner: onlyCommands, container: `{name: main, image: process, command: [""]}`,
		wantErr: mainContainer + "command[0]: Required value: must name a program",
	},
	"a function":                {runner: onlyFunctions, container: `{name: main, image: func/report, args: [x]}`},
	"a function with a command": {runner: onlyFunctions, container: `{name: main, image: func/report, command: [x]}`},
	"a function that there is not": {
		runner: onlyFunctions, container: `{name: main, image: func/other}`,
		wantErr: mainContainer + `image: Unsupported value: "func/other": supported values: "func/report"`,
	},
	"a function that is nil": {
		runner: onlyFunctions, container: `{name: main, image: func/none}`,
		wantErr: mainContainer + `image: Unsupported value: "func/none": supported values: "func/report"`,
	},
	"a function in a directory": {
		runner: onlyFunctions, container: `{name: main, image: func/report, workingDir: /tmp}`,
		wantErr: mainContainer + "workingDir: Forbidden: a function has no directory of its own",
	},
	"a function whose log is to speak": {
		runner: onlyFunctions, container: `{name: main, image: func/report, terminationMessagePolicy: FallbackToLogsOnError}`,
		warning: mainContainer + "terminationMessagePolicy: the message of a function that leaves none is its error",
	},
	"anything without leave": {
		runner: new(Runner), container: `{name: main, image: func/report}`,
		wantErr: mainContainer + `image: Unsupported value: "func/report"`,
	},
}

// TestImages wants what a container runs to be chosen by its image and its
// command.
func TestImages(t *testing.T) {

	for name, c := range imagesTests {
		t.Run(name, func(t *testing.T) {
			m := parsed(
				t,
				"apiVersion: batch/v1\nkind: Job\nmetadata: {name: job}\nspec: {template: {spec: {restartPolicy: Never, "+
					"containers: ["+c.container+"]}}}",
			)
			_, warnings, err := c.runner.Job(m, FromCode)
			if c.wantErr != "" {
				require.EqualError(t, err, c.wantErr)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.warning, strings.Join(warnings, "\n"))
		})
	}
}

// TestSeveralContainers wants all but the first refused.
func TestSeveralContainers(t *testing.T) {
	m := parsed(t, `
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: one, image: process, command: [x]}
      - {name: two, image: process, command: [x]}
`)
	_, _, err := anything.Job(m, FromCode)
	require.EqualError(
		t, err, "spec.template.spec.containers[1]: Forbidden: only one container runs here, after the init containers",
	)
}

// TestInvalidJob wants no job of a manifest that the API server would refuse.
func TestInvalidJob(t *testing.T) {
	m := new(batchv1.Job)
	validation.Default(m)
	_, _, err := anything.Job(m, FromCode)
	require.ErrorContains(t, err, "metadata.name: Required value")
	require.ErrorContains(t, err, "spec.template.spec.containers: Required value")
}

// honoured are the fields that may be set without a word.
var honoured = []string{
	"pod.activeDeadlineSeconds", "pod.enableServiceLinks", "pod.restartPolicy", "pod.terminationGracePeriodSeconds",
	"container.args", "container.command", "container.imagePullPolicy", "container.name",
	"container.terminationMessagePolicy", "container.workingDir",
}

// TestEveryFieldIsHandled sets each field that there is, all of it, and wants it
// honoured, refused, or warned about by a path that names it. The tables may know
// only fields that exist, and those that they do not know are refused.
func TestEveryFieldIsHandled(t *testing.T) {
	for table, c := range map[string]struct {
		fields map[string]handling
		set    func(*corev1.PodSpec) reflect.Value
		path   string
	}{
		"pod": {
			fields: podFields, set: func(p *corev1.PodSpec) reflect.Value { return reflect.ValueOf(p) },
			path: "spec.template.spec.",
		},
		"container": {
			fields: containerFields, set: func(p *corev1.PodSpec) reflect.Value { return reflect.ValueOf(&p.Containers[0]) },
			path: "spec.template.spec.containers[0].",
		},
		"security": {fields: securityFields, set: func(p *corev1.PodSpec) reflect.Value {
			p.Containers[0].SecurityContext = new(corev1.SecurityContext)
			return reflect.ValueOf(p.Containers[0].SecurityContext)
		}, path: "spec.template.spec.containers[0].securityContext."},
		"podSecurity": {fields: podSecurityFields, set: func(p *corev1.PodSpec) reflect.Value {
			p.SecurityContext = new(corev1.PodSecurityContext)
			return reflect.ValueOf(p.SecurityContext)
		}, path: "spec.template.spec.securityContext."},
	} {
		exists := make(map[string]bool)
		kind := c.set(&podJob(t, "", "").Spec.Template.Spec).Elem().Type()
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			exists[name] = true
			m := podJob(t, "", "")
			fill(c.set(&m.Spec.Template.Spec).Elem().Field(i), 3)
			validation.Default(m)
			s := anything.support(m)
			text := fmt.Sprint(s.errs, s.warnings)
			if name == "serviceAccount" {
				name = "serviceAccountName" // of which it is the old name
			}
			if !slices.Contains(honoured, table+"."+name) {
				require.Contains(t, text, c.path+name, "%s.%s", table, name)
			}
		}
		for name := range c.fields {
			require.True(t, exists[name], "%s.%s does not exist", table, name)
		}
	}
	m := podJob(t, "", "")
	s := &support{runner: anything, pod: &m.Spec.Template.Spec}
	s.check(struct {
		New string `json:"new,omitempty"`
	}{"x"}, struct {
		New string `json:"new,omitempty"`
	}{}, podFields, field.NewPath("spec"))
	require.EqualError(t, s.errs.ToAggregate(), "spec.new: Forbidden: not supported here")
}

// fill sets a value, and what it is made of, to something that is not usual.
func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if depth > 0 {
			fill(v.Index(0), depth-1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key := reflect.New(v.Type().Key()).Elem()
		key.SetString("a")
		v.SetMapIndex(key, reflect.Zero(v.Type().Elem()))
	case reflect.String:
		v.SetString("unusual")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() && depth > 0 {
				fill(v.Field(i), depth-1)
			}
		}
	}
}

// TestFinalizersAreRefused wants what nobody would do not to be promised.
func TestFinalizersAreRefused(t *testing.T) {
	m := podJob(t, "", "")
	m.Finalizers = []string{"example.com/x"}
	_, _, err := anything.Job(m, FromCode)
	require.EqualError(t, err, "metadata.finalizers: Forbidden: nobody here would remove them, and the job would never go")
}

func TestLogLimit(t *testing.T) {
	runner := *anything
	runner.LogLimit = new(1000)
	for text, want := range map[string]int{"": 1000, "0": 0, "20000": 20000, "x": -1, "-1": -1, "1000000000": -1} {
		m := podJob(t, "", "")
		if text != "" {
			m.Annotations = map[string]string{LogLimitAnnotation: text}
		}
		job, _, err := runner.Job(m, FromClient)
		if want < 0 {
			require.ErrorContains(t, err, "metadata.annotations[kube.runtocompletion.dev/log-limit]: Invalid value")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want, *job.LogLimit, text)
	}
}
