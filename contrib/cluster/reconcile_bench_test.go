package cluster

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/runtocompletion/batch"
)

// BenchmarkReconcile is one look at a job with a thousand pods, of which one has changed.
// It comes at most five times a second, however fast they change.
func BenchmarkReconcile(b *testing.B) {
	const n = 1000
	c := newController(b, nil)
	defer func() { require.NoError(b, c.Shutdown(b.Context())) }()
	require.NoError(b, c.Create(b.Context(), squares("many", n)))
	d, job := offline(b, c, "many", n)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		phase := []corev1.PodPhase{corev1.PodRunning, corev1.PodPending}[i/n%2]
		require.NoError(b, d.pods.Update(benchPod(job, i%n, phase)))
		require.NoError(b, d.reconcile(b.Context(), "many"))
	}
}

// offline is a driver that knows a Job with so many pods and events, and has no cluster.
func offline(b *testing.B, c *batch.Controller, name string, n int) (*driver, *batchv1.Job) {
	d := &driver{controller: c, known: newKnown(), reach: new(reach), o: Options{Namespace: "default"}}
	d.logs = newLogs(d)
	spec, err := c.Job(name)
	require.NoError(b, err)
	job, err := d.jobOf(&spec)
	require.NoError(b, err)
	job.UID, job.Status.StartTime = "job-uid", new(metav1.NewTime(at(1)))
	jobs, events := newIndexer(), newIndexer()
	require.NoError(b, jobs.Add(job))
	d.jobs = batchlisters.NewJobLister(jobs).Jobs("default")
	d.events = corelisters.NewEventLister(events).Events("default")
	d.pods = cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{byJob: nameOfJob})
	for i := range n {
		require.NoError(b, d.pods.Add(benchPod(job, i, corev1.PodPending)))
		require.NoError(b, events.Add(&corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: fmt.Sprint("e", i), Namespace: "default"},
			InvolvedObject: corev1.ObjectReference{UID: job.UID}, Reason: "SuccessfulCreate",
			Message: fmt.Sprint("Created pod: many-", i), LastTimestamp: metav1.NewTime(at(1))}))
	}
	return d, job
}

func newIndexer() cache.Indexer {
	return cache.NewIndexer(cache.MetaNamespaceKeyFunc,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
}

func benchPod(job *batchv1.Job, i int, phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("many-", i), Namespace: "default",
		UID: types.UID(fmt.Sprint("uid-", i)), CreationTimestamp: metav1.NewTime(at(1)),
		Labels:      map[string]string{labelJobName: "many", batchv1.ControllerUidLabel: string(job.UID)},
		Annotations: map[string]string{annotationIdx: fmt.Sprint(i)}},
		Status: corev1.PodStatus{Phase: phase}}
}
