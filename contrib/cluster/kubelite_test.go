package cluster

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/runtocompletion/batch/internal/kubelitetest"
)

// clientOf is a client of an administrator.
func clientOf(t testing.TB, c *kubelitetest.Cluster) *kubernetes.Clientset {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	require.NoError(t, err)
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	return client
}

// awaitJob waits until a job of the cluster is as wanted.
func awaitJob(t *testing.T, client kubernetes.Interface, name string, wanted func(*batchv1.Job) bool) *batchv1.Job {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w, err := client.BatchV1().Jobs("default").Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	require.NoError(t, err)
	defer w.Stop()
	for e := range w.ResultChan() {
		if job, ok := e.Object.(*batchv1.Job); ok && e.Type != watch.Deleted && wanted(job) {
			return job
		}
	}
	require.Failf(t, "the job is not as wanted", "%s", name)
	return nil
}

// shellJob is an Indexed job whose pods run a script.
func shellJob(name string, completions int32, script string) *batchv1.Job {
	mode := batchv1.IndexedCompletion
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{Completions: &completions, Parallelism: &completions, CompletionMode: &mode,
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever,
				Containers: []corev1.Container{{Name: "main", Image: "shell:v1", Args: []string{script}}}}}},
	}
}

var shell = map[string][]string{"shell:v1": {"/bin/sh", "-c"}}

// Tests rely on this: pods run on both nodes, their results and logs can be read, and an
// API server that was killed goes on with what there was.
func TestKubelite(t *testing.T) {
	c := kubelitetest.Start(t, kubelitetest.Options{Nodes: 2, Images: shell})
	client := clientOf(t, c)
	jobs, pods := client.BatchV1().Jobs("default"), client.CoreV1().Pods("default")

	_, err := jobs.Create(t.Context(), shellJob("sleepers", 6, "sleep 1000"), metav1.CreateOptions{})
	require.NoError(t, err)
	awaitJob(t, client, "sleepers", func(job *batchv1.Job) bool { return ptrOr(job.Status.Ready, 0) == 6 })
	list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: "job-name=sleepers"})
	require.NoError(t, err)
	on := make(map[string]int)
	for _, pod := range list.Items {
		on[pod.Spec.NodeName]++
	}
	require.Equal(t, map[string]int{c.Nodes["node1"]: 3, c.Nodes["node2"]: 3}, on)

	const script = `echo index $JOB_COMPLETION_INDEX; printf $JOB_COMPLETION_INDEX >/dev/termination-log`
	_, err = jobs.Create(t.Context(), shellJob("writers", 4, script), metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, c.Kill(kubelitetest.APIServer))
	require.NoError(t, c.Start(kubelitetest.APIServer))
	ended := awaitJob(t, client, "writers", isFinished)
	require.EqualValues(t, 4, ended.Status.Succeeded)
	list, err = pods.List(t.Context(), metav1.ListOptions{LabelSelector: "job-name=writers"})
	require.NoError(t, err)
	for _, pod := range list.Items {
		if pod.Status.Phase != corev1.PodSucceeded {
			continue // of one that was created while the API server was away
		}
		index, status := pod.Labels[batchv1.JobCompletionIndexAnnotation], pod.Status.ContainerStatuses[0]
		require.Equal(t, index, status.State.Terminated.Message)
		require.Regexp(t, "^shell@sha256:[0-9a-f]{64}$", status.ImageID)
		log, err := pods.GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
		require.NoError(t, err)
		require.Equal(t, "index "+index+"\n", string(log))
	}
}

func ptrOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// A cluster ends with the process that has started it, also if that is killed.
func TestKubeliteEndsWithItsTest(t *testing.T) {
	kubelitetest.Require(t)
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "CLUSTER_TEST_ROLE=start")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var dir string
	_, err = fmt.Fscanln(out, &dir)
	require.NoError(t, err)
	require.DirExists(t, dir)
	require.NotEmpty(t, processesOf(t, dir))
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	for {
		if _, err = os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			break
		}
		time.Sleep(10 * time.Millisecond) // a real process, which ends by itself
	}
	require.Empty(t, processesOf(t, dir))
	mounts, err := os.ReadFile("/proc/mounts")
	require.NoError(t, err)
	require.NotContains(t, string(mounts), dir)
}

// startAndHang is played by a process that is to be killed.
func startAndHang() {
	c, err := kubelitetest.Run(kubelitetest.Options{Images: shell})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Dir)
	select {}
}

// processesOf are those that have the folder in their arguments.
func processesOf(t *testing.T, dir string) (found []string) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, path := range lines {
		if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), dir) {
			found = append(found, path)
		}
	}
	return found
}
