package cluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch/internal/effort"
)

var kills = flag.Int("kills", effort.Of(3, 20), "how often a service is killed; 200 take a quarter of an hour")

// A service that is killed at any instant neither submits a job twice nor loses a result.
func TestServiceIsKilled(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	newer := newerBuild(t)
	for i := range *kills {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p.killService(t, fmt.Sprintf("killed-%d", i), newer)
		})
	}
}

// killService kills a service that has a job, and has the next build find all results.
func (p *place) killService(t *testing.T, job, newer string) {
	patience := time.Duration(rand.IntN(3000)) * time.Millisecond
	t.Logf("killed after %v", patience)
	first, out := p.startService(os.Args[0], serviceSpec{Job: job})
	require.Equal(t, "begun", line(t, out))
	time.Sleep(patience) // a real process
	require.NoError(t, first.Process.Kill())
	_ = first.Wait() // it was killed, or had ended
	second, out := p.startService(newer, serviceSpec{Job: job})
	require.Equal(t, "begun", line(t, out))
	require.Equal(t, "0=0 1=10 2=40 3=90 4=160 5=250", line(t, out))
	require.NoError(t, second.Wait())
	pods, err := p.admin.CoreV1().Pods(p.namespace).List(t.Context(),
		metav1.ListOptions{LabelSelector: labelJobName + "=" + job})
	require.NoError(t, err)
	require.Len(t, pods.Items, 6, "each index has run once")
	for _, pod := range pods.Items {
		require.Equal(t, corev1.PodSucceeded, pod.Status.Phase)
	}
}
