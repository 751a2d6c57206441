package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/runtocompletion/batch/internal/kubelitetest"
)

// A stub takes the place of a kubelet: it has the pods of its node run and succeed, and
// leave the square of their index. So there may be a thousand of them on a small machine.
type stub struct {
	t     testing.TB
	p     *place
	queue workqueue.TypedRateLimitingInterface[*corev1.Pod]
}

// newStubbedPlace is a place in a cluster of its own whose only node is a stub.
func newStubbedPlace(t testing.TB) *place {
	k := kubelitetest.Start(t, kubelitetest.Options{Nodes: -1, NodeGrace: time.Hour, Eviction: time.Hour})
	p := newPlaceIn(t, k)
	plenty := corev1.ResourceList{"cpu": resource.MustParse("1000"), "memory": resource.MustParse("1Ti"),
		"pods": resource.MustParse("20k")}
	_, err := p.admin.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "stub"},
		Status: corev1.NodeStatus{Capacity: plenty, Allocatable: plenty, Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Now()}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	s := &stub{t: t, p: p, queue: workqueue.NewTypedRateLimitingQueue(
		workqueue.DefaultTypedItemBasedRateLimiter[*corev1.Pod]())}
	s.start()
	return p
}

// start has the stub work until the test ends.
func (s *stub) start() {
	ctx, cancel := context.WithCancel(context.Background())
	factory := informers.NewSharedInformerFactoryWithOptions(s.p.admin, 0, informers.WithNamespace(s.p.namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "spec.nodeName=stub" }))
	_, err := factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { s.queue.Add(o.(*corev1.Pod)) }})
	require.NoError(s.t, err)
	factory.Start(ctx.Done())
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() { s.work(ctx) })
	}
	s.t.Cleanup(func() {
		cancel()
		s.queue.ShutDown()
		group.Wait()
		factory.Shutdown()
	})
}

func (s *stub) work(ctx context.Context) {
	for {
		pod, over := s.queue.Get()
		if over {
			return
		}
		if err := s.run(ctx, pod); err != nil {
			s.queue.AddRateLimited(pod) // it may be gone by then
		}
		s.queue.Done(pod)
	}
}

// run is all that a pod does.
func (s *stub) run(ctx context.Context, pod *corev1.Pod) error {
	if pod.Status.Phase != corev1.PodPending || pod.DeletionTimestamp != nil {
		return nil
	}
	now := metav1.Now()
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
	if err := s.patch(ctx, pod, corev1.PodRunning, running); err != nil {
		return err
	}
	return s.patch(ctx, pod, corev1.PodSucceeded, succeededState(indexOf(pod)))
}

// indexOf is the completion index of a pod.
func indexOf(pod *corev1.Pod) int {
	index, err := strconv.Atoi(pod.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil {
		panic(err)
	}
	return index
}

// succeededState is that of a container that has left the square of the index.
func succeededState(index int) corev1.ContainerState {
	m := message{V: 1, Result: fmt.Append(nil, index*index)}
	text, err := m.encode()
	if err != nil {
		panic(err)
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed",
		Message: string(text), StartedAt: metav1.Now(), FinishedAt: metav1.Now()}}
}

func (s *stub) patch(ctx context.Context, pod *corev1.Pod, phase corev1.PodPhase, state corev1.ContainerState) error {
	data, err := json.Marshal(map[string]any{"status": statusWith(pod, phase, state)})
	if err != nil {
		return err
	}
	_, err = s.p.admin.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, data,
		metav1.PatchOptions{}, "status")
	return err
}

func statusWith(pod *corev1.Pod, phase corev1.PodPhase, state corev1.ContainerState) corev1.PodStatus {
	name := pod.Spec.Containers[0].Name
	ready := state.Running != nil
	isReady := corev1.ConditionFalse
	if ready {
		isReady = corev1.ConditionTrue
	}
	return corev1.PodStatus{Phase: phase, StartTime: new(metav1.Now()),
		Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: isReady}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: name, State: state, Ready: ready, Started: &ready}}}
}
