package cluster

import (
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/internal/effort"
	"github.com/runtocompletion/batch/internal/kubelitetest"
)

// While the API server is away, jobs say so, and go on when it is back.
func TestAPIServerIsAway(t *testing.T) {
	p := newPlace(t)
	c, gate := p.waiting(t, "patient", 2)
	require.NoError(t, p.cluster.Kill(kubelitetest.APIServer))
	s := await(t, c, "patient", func(s batch.Status) bool { return s.Is(batch.ConditionStalled) })
	require.Contains(t, s.Explain(), "the cluster cannot be reached")
	gate.open()
	require.NoError(t, p.cluster.Start(kubelitetest.APIServer))
	s, err := c.Wait(t.Context(), "patient")
	require.NoError(t, err)
	require.False(t, s.Is(batch.ConditionStalled))
	require.Zero(t, s.Failed)
	require.Equal(t, map[int]int{0: 0, 1: 1}, resultsOf[int](t, c, "patient"))
}

// A job that is created while the cluster has lost its etcd says why it does not begin. It
// and the one that ran go on when etcd is back, each once.
func TestEtcdIsAway(t *testing.T) {
	p := newPlace(t)
	c, gate := p.waiting(t, "before", 2)
	require.NoError(t, p.cluster.Kill(kubelitetest.Etcd))
	gate.open()
	require.NoError(t, c.Create(t.Context(), gated("meanwhile", 2)))
	s := await(t, c, "meanwhile", func(s batch.Status) bool { return s.Is(batch.ConditionStalled) })
	require.Contains(t, s.Explain(), "the cluster cannot be reached")
	require.NoError(t, p.cluster.Start(kubelitetest.Etcd))
	for _, name := range []string{"before", "meanwhile"} {
		s, err := c.Wait(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, []int{2, 0}, []int{s.Succeeded, s.Failed})
		require.Equal(t, map[int]int{0: 0, 1: 1}, resultsOf[int](t, c, name))
	}
	pods, err := p.admin.CoreV1().Pods(p.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, pods.Items, 4)
}

// The pods of a node that is lost run again, whether it comes back or not. That it does
// not takes Kubernetes a minute to believe: it is tried with BATCH_TEST=all.
func TestNodeIsLost(t *testing.T) {
	t.Parallel()
	k := kubelitetest.Start(t, kubelitetest.Options{Nodes: 2, Images: testImages()})
	t.Run("comes back", func(t *testing.T) {
		attempts := loseNode(t, k, func(*place) error { return k.Start("node1") })
		require.Contains(t, attempts, batch.AttemptFailed)
	})
	if !effort.Full() {
		return
	}
	t.Run("is deleted", func(t *testing.T) {
		attempts := loseNode(t, k, func(p *place) error { // as a cloud does with one that is gone
			return p.admin.CoreV1().Nodes().Delete(t.Context(), k.Nodes["node1"], metav1.DeleteOptions{})
		})
		lost := attempts[batch.AttemptFailed]
		require.ErrorIs(t, lost.Err, batch.ErrDisrupted)
		require.Equal(t, string(corev1.DisruptionTarget), lost.Conditions[0].Type)
	})
}

// loseNode kills a node on which a job has one of its two pods, and returns the attempts
// of that one by their phases.
func loseNode(t *testing.T, k *kubelitetest.Cluster, then func(*place) error) map[string]batch.AttemptStatus {
	p := newPlaceIn(t, k)
	c, gate := p.waiting(t, "moved", 2)
	require.NoError(t, k.Kill("node1"))
	require.NoError(t, then(p))
	await(t, c, "moved", func(s batch.Status) bool { return s.Failed == 1 && s.Ready == 2 })
	gate.open()
	s, err := c.Wait(t.Context(), "moved")
	require.NoError(t, err)
	require.Equal(t, map[int]int{0: 0, 1: 1}, resultsOf[int](t, c, "moved"))
	require.Equal(t, []int{2, 1}, []int{s.Succeeded, s.Failed})
	attempts, err := c.Attempts(t.Context(), "moved")
	require.NoError(t, err)
	require.Len(t, attempts, 3)
	byPhase := make(map[string]batch.AttemptStatus)
	for _, a := range attempts {
		byPhase[a.Phase] = a
	}
	return byPhase
}
