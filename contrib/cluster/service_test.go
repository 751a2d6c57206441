package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/runtocompletion/batch"
)

// A serviceSpec is what a service needs to know that is a process of its own.
type serviceSpec struct {
	Host, Token, CAFile string // all empty: those of the pod in which it runs
	Namespace, Job      string
	Image               string // empty: that of the pod
	SameBuild           bool
}

// driveSquares is played by such a service: it has one job, and prints its results.
func driveSquares() {
	var s serviceSpec
	if err := json.Unmarshal([]byte(os.Getenv("CLUSTER_TEST_SERVICE")), &s); err != nil {
		log.Fatal(err)
	}
	results, err := s.drive(context.Background())
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
	var list []string
	for _, index := range slices.Sorted(maps.Keys(results)) {
		list = append(list, fmt.Sprint(index, "=", results[index]))
	}
	fmt.Println(strings.Join(list, " "))
	os.Exit(0)
}

func (s *serviceSpec) drive(ctx context.Context) (map[int]int, error) {
	c, err := batch.New(ctx, batch.Options{Managers: map[string]func(batch.Job) error{Manager: Check}})
	if err != nil {
		return nil, err
	}
	o := Options{Namespace: s.Namespace, Image: s.Image, SameBuild: s.SameBuild}
	if s.Host != "" {
		o.Config = &rest.Config{Host: s.Host, BearerToken: s.Token, TLSClientConfig: rest.TLSClientConfig{CAFile: s.CAFile}}
	}
	go func() { log.Fatal(Run(ctx, c, o)) }()
	fmt.Println("begun")
	if _, err := c.Run(ctx, squares(s.Job, 6)); err != nil {
		return nil, err
	}
	results, err := batch.Results[int](ctx, c, s.Job)
	return maps.Collect(results), err
}

// startService starts a service as a process of its own.
func (p *place) startService(program string, spec serviceSpec) (*exec.Cmd, *bufio.Reader) {
	spec.Host, spec.Token, spec.CAFile = p.config.Host, p.config.BearerToken, p.config.CAFile
	spec.Namespace, spec.Image = p.namespace, "service:v1"
	cmd := exec.CommandContext(p.t.Context(), program, "-test.run=^$")
	cmd.Env = append(os.Environ(), spec.variables()...)
	cmd.Stderr = p.t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	return cmd, bufio.NewReader(out)
}

// variables have a process of this program play a service.
func (s *serviceSpec) variables() []string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return []string{"CLUSTER_TEST_ROLE=drive", "CLUSTER_TEST_SERVICE=" + string(data)}
}

// line is the next line of a service.
func line(t *testing.T, out *bufio.Reader) string {
	text, err := out.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSuffix(text, "\n")
}

// A service that runs in a pod needs to know nothing: it reaches the API server as its
// service account, with the least rights, and its jobs have its own image, by digest.
func TestServiceInPod(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	pods := p.admin.CoreV1().Pods(p.namespace)
	spec := &serviceSpec{Namespace: p.namespace, Job: "squares"}
	var env []corev1.EnvVar
	for _, v := range spec.variables() {
		name, value, _ := strings.Cut(v, "=")
		env = append(env, corev1.EnvVar{Name: name, Value: value})
	}
	// The sidecar comes first in the status, which is in the order of names.
	made, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "service"},
		Spec: corev1.PodSpec{ServiceAccountName: "service", RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{
				{Name: "main", Image: "service:v1", Args: []string{"-test.run=^$"}, Env: env},
				{Name: "a-sidecar", Image: "service:old", Args: []string{"-test.run=^$"}}}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	log := p.awaitEnd(made.Name, "main")
	require.Equal(t, "begun\n0=0 1=10 2=40 3=90 4=160 5=250\n", log)
	service, err := pods.Get(t.Context(), made.Name, metav1.GetOptions{})
	require.NoError(t, err)
	job, err := p.admin.BatchV1().Jobs(p.namespace).Get(t.Context(), "squares", metav1.GetOptions{})
	require.NoError(t, err)
	image := job.Spec.Template.Spec.Containers[0].Image
	require.Regexp(t, "^service@sha256:[0-9a-f]{64}$", image)
	require.Equal(t, statusOfContainer(service, "main").ImageID, image)
	require.NotEqual(t, statusOfContainer(service, "a-sidecar").ImageID, image)
}

// awaitEnd waits until a container has ended, and returns its log.
func (p *place) awaitEnd(pod, container string) string {
	pods := p.admin.CoreV1().Pods(p.namespace)
	w, err := pods.Watch(p.t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + pod})
	require.NoError(p.t, err)
	defer w.Stop()
	for e := range w.ResultChan() {
		if s := statusOfContainer(e.Object.(*corev1.Pod), container); s.State.Terminated != nil {
			break
		}
	}
	text, err := pods.GetLogs(pod, &corev1.PodLogOptions{Container: container}).DoRaw(p.t.Context())
	require.NoError(p.t, err)
	return string(text)
}

func statusOfContainer(pod *corev1.Pod, container string) corev1.ContainerStatus {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container {
			return s
		}
	}
	return corev1.ContainerStatus{}
}

// newerBuild is a program that does the same, and is another build.
func newerBuild(t *testing.T) string {
	program, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	newer := filepath.Join(t.TempDir(), "newer")
	require.NoError(t, os.WriteFile(newer, append(program, 0), 0o700))
	return newer
}

// Where the build matters, a pod of another one says so, and the job fails at once.
func TestSameBuildOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	same, out := p.startService(os.Args[0], serviceSpec{Job: "same", SameBuild: true})
	require.Equal(t, "begun", line(t, out))
	require.Equal(t, "0=0 1=10 2=40 3=90 4=160 5=250", line(t, out))
	require.NoError(t, same.Wait())

	other, out := p.startService(newerBuild(t), serviceSpec{Job: "other", SameBuild: true})
	require.Equal(t, "begun", line(t, out))
	answer := line(t, out)
	require.Error(t, other.Wait())
	require.Regexp(t, `Pod \S+ has a program of another build`, answer)
	require.Regexp(t, `this program is build sha256:\w{64}, and job "other" is to run in sha256:\w{64}: `+
		`they are different builds`, answer)
	pods, err := p.admin.CoreV1().Pods(p.namespace).List(t.Context(),
		metav1.ListOptions{LabelSelector: labelJobName + "=other"})
	require.NoError(t, err)
	require.NotEmpty(t, pods.Items)
	for _, pod := range pods.Items {
		if s := statusOfContainer(&pod, "main").State.Terminated; s != nil && s.ExitCode != 143 {
			require.EqualValues(t, exitBuild, s.ExitCode)
		}
	}
}
