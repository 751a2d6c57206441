package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/runtocompletion/batch"
)

// A serviceSpec is what a service needs to know that is killed now and then.
type serviceSpec struct {
	Host, Token, CAFile, Namespace, Job string
}

// driveSquares is played by such a service: it has one job, and prints its results.
func driveSquares() {
	var s serviceSpec
	if err := json.Unmarshal([]byte(os.Getenv("CLUSTER_TEST_SERVICE")), &s); err != nil {
		log.Fatal(err)
	}
	c, err := batch.New(context.Background(), batch.Options{Managers: map[string]func(batch.Job) error{Manager: Check}})
	if err != nil {
		log.Fatal(err)
	}
	config := &rest.Config{Host: s.Host, BearerToken: s.Token, TLSClientConfig: rest.TLSClientConfig{CAFile: s.CAFile}}
	go func() {
		log.Fatal(Run(context.Background(), c, Options{Config: config, Namespace: s.Namespace, Image: "service:v1"}))
	}()
	fmt.Println("begun")
	if _, err := c.Run(context.Background(), squares(s.Job, 6)); err != nil {
		log.Fatal(err)
	}
	results, err := batch.Results[int](context.Background(), c, s.Job)
	if err != nil {
		log.Fatal(err)
	}
	var list []string
	for index, result := range results {
		list = append(list, fmt.Sprint(index, "=", result))
	}
	fmt.Println(strings.Join(list, " "))
	os.Exit(0)
}

// A service that is killed at any instant neither submits a job twice nor loses a result.
func TestServiceIsKilled(t *testing.T) {
	p := newPlace(t)
	const kills = 20
	for i := range kills {
		name := fmt.Sprintf("killed-%d", i)
		patience := time.Duration(rand.IntN(1500)) * time.Millisecond
		t.Logf("%s: killed after %v", name, patience)
		first, out := p.startService(name)
		require.Equal(t, "begun", line(t, out))
		time.Sleep(patience) // a real process
		require.NoError(t, first.Process.Kill())
		require.Error(t, first.Wait())
		second, out := p.startService(name)
		require.Equal(t, "begun", line(t, out))
		require.Equal(t, "0=0 1=10 2=40 3=90 4=160 5=250", line(t, out))
		require.NoError(t, second.Wait())
		pods, err := p.admin.CoreV1().Pods(p.namespace).List(t.Context(),
			metav1.ListOptions{LabelSelector: labelJobName + "=" + name})
		require.NoError(t, err)
		require.Len(t, pods.Items, 6, "each index has run once")
		for _, pod := range pods.Items {
			require.Equal(t, corev1.PodSucceeded, pod.Status.Phase)
		}
	}
}

func (p *place) startService(job string) (*exec.Cmd, *bufio.Reader) {
	spec, err := json.Marshal(serviceSpec{p.config.Host, p.config.BearerToken, p.config.CAFile, p.namespace, job})
	require.NoError(p.t, err)
	cmd := exec.CommandContext(p.t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "CLUSTER_TEST_ROLE=drive", "CLUSTER_TEST_SERVICE="+string(spec))
	cmd.Stderr = p.t.Output()
	out, err := cmd.StdoutPipe()
	require.NoError(p.t, err)
	require.NoError(p.t, cmd.Start())
	return cmd, bufio.NewReader(out)
}

func line(t *testing.T, out *bufio.Reader) string {
	text, err := out.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSuffix(text, "\n")
}
