package cluster

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/batchtest"
)

// A job that is deleted while no service runs is deleted in the cluster by the next one,
// also if there is a new job of its name by then.
func TestDeletedWhileNoServiceRuns(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	store := new(batchtest.MemoryStore)
	for _, name := range []string{"left", "again"} {
		c := newController(t, store)
		stop := p.hand(c, p.options())
		require.NoError(t, c.Create(t.Context(), batch.Job{Name: name, ManagedBy: new(Manager),
			Executor: functions.Executor("wait")}))
		await(t, c, name, func(s batch.Status) bool { return s.Ready == 1 })
		stop()
	}
	c := newController(t, store)
	remove(t, c, "left", batch.DeleteBackground)
	remove(t, c, "again", batch.DeleteBackground)
	require.NoError(t, c.Create(t.Context(), squares("again", 2)))
	require.NoError(t, c.Shutdown(t.Context()))
	list, err := p.admin.BatchV1().Jobs(p.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"again", "left"}, namesOf(list), "nothing was deleted yet")

	c = newController(t, store)
	defer p.hand(c, p.options())()
	_, err = c.Apply(t.Context(), squares("again", 2))
	require.NoError(t, err)
	_, err = c.Wait(t.Context(), "again")
	require.NoError(t, err)
	require.Equal(t, map[int]int{0: 0, 1: 10}, resultsOf[int](t, c, "again"))
	remove(t, c, "again", batch.DeleteForeground)
	p.awaitEmpty()
}

// A job that is removed some time after its end is removed in the cluster as well.
func TestTTLOnCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.service(p.options())
	job := squares("short-lived", 2)
	job.TTLAfterFinished = new(time.Second)
	s, err := c.Run(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, 2, s.Succeeded)
	p.awaitEmpty()
}

// A Job that somebody deletes in the cluster fails its job, and is waited for: its pods
// are let go, whether the Job goes before them or after.
func TestJobIsDeletedInCluster(t *testing.T) {
	for _, propagation := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground,
		metav1.DeletePropagationForeground} {
		t.Run(string(propagation), func(t *testing.T) {
			p := newPlace(t)
			c := p.service(p.options())
			require.NoError(t, c.Create(t.Context(), batch.Job{Name: "victim", ManagedBy: new(Manager),
				Executor: functions.Executor("wait"), CompletionMode: batch.Indexed, Completions: new(2), Parallelism: new(2)}))
			await(t, c, "victim", func(s batch.Status) bool { return s.Ready == 2 })
			require.NoError(t, p.admin.BatchV1().Jobs(p.namespace).Delete(t.Context(), "victim",
				metav1.DeleteOptions{PropagationPolicy: &propagation}))
			_, err := c.Wait(t.Context(), "victim")
			require.ErrorContains(t, err, "Job was deleted in the cluster")
			p.awaitEmpty()
		})
	}
}

// A pod that somebody deletes is replaced.
func TestPodIsDeletedInCluster(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c, gate := p.waiting(t, "replaced", 1)
	attempts, err := c.Attempts(t.Context(), "replaced")
	require.NoError(t, err)
	require.NoError(t, p.admin.CoreV1().Pods(p.namespace).Delete(t.Context(), attempts[0].Name, metav1.DeleteOptions{}))
	await(t, c, "replaced", func(s batch.Status) bool { return s.Failed == 1 })
	gate.open()
	s, err := c.Wait(context.Background(), "replaced")
	require.NoError(t, err)
	require.Equal(t, []int{1, 1}, []int{s.Succeeded, s.Failed})
	require.Equal(t, map[int]int{0: 0}, resultsOf[int](t, c, "replaced"))
}
