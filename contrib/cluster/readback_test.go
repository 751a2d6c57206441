package cluster

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var leftPods = flag.Int("left", 1000, "how many pods BenchmarkReadBack finds; 10000 take minutes to make")

// BenchmarkReadBack is what a new service does with a Job that has ended while none ran:
// it finds the Job and all its pods, and has the result of each.
func BenchmarkReadBack(b *testing.B) {
	n := *leftPods
	p := newStubbedPlace(b)
	p.leaveJob(b, "left", n)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		c := newController(b, nil)
		stop := p.hand(c, p.options())
		_, err := c.Run(b.Context(), squares("left", n))
		require.NoError(b, err)
		b.StopTimer()
		require.Len(b, resultsOf[int](b, c, "left"), n)
		p.awaitPods(b, n, isReleased)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric((float64(after.HeapAlloc)-float64(before.HeapAlloc))/float64(n), "heap-B/pod")
		stop()
		b.StartTimer()
	}
}

// leaveJob leaves a Job that has ended, with so many pods, as a service does that ends
// before it has read anything. The controller of Kubernetes has no part in it.
func (p *place) leaveJob(b *testing.B, name string, n int) {
	c := newController(b, nil)
	defer func() { require.NoError(b, c.Shutdown(context.Background())) }()
	require.NoError(b, c.Create(b.Context(), squares(name, n)))
	spec, err := c.Job(name)
	require.NoError(b, err)
	made, err := (&driver{o: p.options(), image: "service:v1"}).jobOf(&spec)
	require.NoError(b, err)
	made.Spec.ManagedBy = new(otherManager)
	jobs := p.admin.BatchV1().Jobs(p.namespace)
	made, err = jobs.Create(b.Context(), made, metav1.CreateOptions{})
	require.NoError(b, err)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error { return p.leavePod(b.Context(), made, i) })
	}
	require.NoError(b, group.Wait())
	p.awaitPods(b, n, hasSucceeded)
	for _, types := range [][]batchv1.JobConditionType{{batchv1.JobSuccessCriteriaMet},
		{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}} {
		made.Status = endedStatus(n, types)
		made, err = jobs.UpdateStatus(b.Context(), made, metav1.UpdateOptions{})
		require.NoError(b, err)
	}
}

// endedStatus is that of a Job with these conditions, so many of whose pods have succeeded.
func endedStatus(n int, types []batchv1.JobConditionType) batchv1.JobStatus {
	now := metav1.NewTime(at(1))
	s := batchv1.JobStatus{StartTime: &now, Succeeded: int32(n), CompletedIndexes: fmt.Sprint("0-", n-1)}
	for _, t := range types {
		s.Conditions = append(s.Conditions, batchv1.JobCondition{Type: t, Status: corev1.ConditionTrue,
			Reason: batchv1.JobReasonCompletionsReached, LastTransitionTime: now})
		if t == batchv1.JobComplete {
			s.CompletionTime = &now
		}
	}
	return s
}

// leavePod leaves a pod, which the stub has succeed.
func (p *place) leavePod(ctx context.Context, job *batchv1.Job, index int) error {
	pod := &corev1.Pod{ObjectMeta: *job.Spec.Template.ObjectMeta.DeepCopy(), Spec: *job.Spec.Template.Spec.DeepCopy()}
	pod.Name, pod.Namespace, pod.Spec.NodeName = fmt.Sprint(job.Name, "-", index), p.namespace, "stub"
	set(&pod.Labels, labelJobName, job.Name)
	set(&pod.Labels, batchv1.ControllerUidLabel, string(job.UID))
	set(&pod.Annotations, annotationIdx, fmt.Sprint(index))
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job.Name, UID: job.UID,
		Controller: new(true)}}
	_, err := p.admin.CoreV1().Pods(p.namespace).Create(ctx, pod, metav1.CreateOptions{})
	return err
}

// awaitPods waits until so many pods are as wanted.
func (p *place) awaitPods(b *testing.B, n int, wanted func(*corev1.Pod) bool) {
	for {
		list, err := p.admin.CoreV1().Pods(p.namespace).List(b.Context(), metav1.ListOptions{})
		require.NoError(b, err)
		met := make(map[string]bool)
		note := func(pod *corev1.Pod) {
			if wanted(pod) {
				met[pod.Name] = true
			}
		}
		for i := range list.Items {
			note(&list.Items[i])
		}
		w, err := p.admin.CoreV1().Pods(p.namespace).Watch(b.Context(),
			metav1.ListOptions{ResourceVersion: list.ResourceVersion})
		require.NoError(b, err)
		for len(met) < n {
			e := <-w.ResultChan()
			pod, ok := e.Object.(*corev1.Pod)
			if !ok {
				break // the server ends a watch that falls behind
			}
			note(pod)
		}
		w.Stop()
		if len(met) == n {
			return
		}
	}
}

func hasSucceeded(pod *corev1.Pod) bool { return pod.Status.Phase == corev1.PodSucceeded }

func isReleased(pod *corev1.Pod) bool { return len(pod.Finalizers) == 0 }
