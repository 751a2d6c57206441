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

var kills = flag.Int("kills", effort.Of(3, 20), "how often a service is killed; 200 take half an hour")

// A service that is killed at any instant neither submits a job twice nor loses a result.
func TestServiceIsKilled(t *testing.T) {
	p := newPlace(t)
	for i := range *kills {
		name := fmt.Sprintf("killed-%d", i)
		patience := time.Duration(rand.IntN(1500)) * time.Millisecond
		t.Logf("%s: killed after %v", name, patience)
		first, out := p.startService(os.Args[0], serviceSpec{Job: name})
		require.Equal(t, "begun", line(t, out))
		time.Sleep(patience) // a real process
		require.NoError(t, first.Process.Kill())
		require.Error(t, first.Wait())
		second, out := p.startService(os.Args[0], serviceSpec{Job: name})
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
