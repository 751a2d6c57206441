package clients

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube"
	"github.com/runtocompletion/batch/internal/kubelitetest"
)

const (
	loadPage    = 500
	loadChanges = 20
	loadWorkers = 16
	// longestLoad is after how long a benchmark gives up.
	longestLoad = 2 * time.Minute
)

// A scale is how much there is of everything.
type scale struct{ jobs, pods, watches int }

func newScale() scale {
	if testing.Short() {
		return scale{100, 1_000, 100}
	}
	return scale{1_000, 10_000, 1_000}
}

// BenchmarkLoad creates 1,000 jobs, lists 10,000 pods in pages of 500, and has 1,000
// watches see 20 jobs come: here and on a cluster, in one run. With -short there is a
// tenth of everything.
//
//	go test -run '^$' -bench Load -benchtime 1x ./contrib/kube/internal/clients
func BenchmarkLoad(b *testing.B) {
	n := newScale()
	b.Run("batch", func(b *testing.B) {
		c, err := batch.New(b.Context(), batch.Options{})
		require.NoError(b, err)
		w := newWorldOf(b, c, kube.Options{Write: true})
		const each = 1_000 // as many attempts as are kept of a job
		for i := range n.pods / each {
			_, err := c.Run(b.Context(), batch.Job{Name: fmt.Sprint("pods-", i), Completions: new(each),
				Parallelism: new(loadWorkers), Executor: nothing})
			require.NoError(b, err)
		}
		measure(b, n, w.config())
	})
	b.Run("cluster", func(b *testing.B) {
		if err := kubelitetest.Unavailable(); err != nil {
			b.Skip(err)
		}
		cluster := kubelitetest.Start(b, kubelitetest.Options{Nodes: -1})
		config, err := clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig)
		require.NoError(b, err)
		clientset := unlimited(b, config)
		inParallel(n.pods, func(i int) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("pod-", i)}, Spec: corev1.PodSpec{
				SchedulerName: "nobody", Containers: []corev1.Container{{Name: "main", Image: "busybox:1.37"}}}}
			_, err := clientset.CoreV1().Pods(namespace).Create(b.Context(), pod, metav1.CreateOptions{})
			require.NoError(b, err)
		})
		measure(b, n, config)
	})
}

func unlimited(b *testing.B, config *rest.Config) *kubernetes.Clientset {
	config.QPS = -1
	clientset, err := kubernetes.NewForConfig(config)
	require.NoError(b, err)
	return clientset
}

// inParallel calls do with each number below n.
func inParallel(n int, do func(i int)) {
	var group sync.WaitGroup
	for worker := range loadWorkers {
		group.Go(func() {
			for i := worker; i < n; i += loadWorkers {
				do(i)
			}
		})
	}
	group.Wait()
}

func measure(b *testing.B, n scale, config *rest.Config) {
	clientset := unlimited(b, config)
	jobs := clientset.BatchV1().Jobs(namespace)
	round := 0
	create := func(count int) {
		round++
		inParallel(count, func(i int) {
			m := job(fmt.Sprintf("load-%d-%d", round, i), "hello")
			m.Spec.Suspend = new(true)
			_, err := jobs.Create(b.Context(), m, metav1.CreateOptions{})
			require.NoError(b, err)
		})
	}
	for b.Loop() {
		begun := time.Now()
		create(n.jobs)
		b.ReportMetric(time.Since(begun).Seconds(), "s/jobs")
		begun = time.Now()
		require.Equal(b, n.pods, countPods(b, clientset))
		b.ReportMetric(time.Since(begun).Seconds(), "s/pods")
		b.ReportMetric(watchAll(b, n, clientset, create).Seconds(), "s/20-jobs-to-watches")
	}
}

func countPods(b *testing.B, clientset *kubernetes.Clientset) (n int) {
	options := metav1.ListOptions{Limit: loadPage}
	for {
		list, err := clientset.CoreV1().Pods(namespace).List(b.Context(), options)
		require.NoError(b, err)
		n += len(list.Items)
		if options.Continue = list.Continue; options.Continue == "" {
			return n
		}
	}
}

// watchAll is how long it takes until all watches have seen jobs that are created.
func watchAll(b *testing.B, n scale, clientset *kubernetes.Clientset, create func(n int)) time.Duration {
	list, err := clientset.BatchV1().Jobs(namespace).List(b.Context(), metav1.ListOptions{Limit: 1})
	require.NoError(b, err)
	ctx, cancel := context.WithTimeout(b.Context(), longestLoad)
	defer cancel()
	var seen sync.WaitGroup
	inParallel(n.watches, func(int) {
		w, err := clientset.BatchV1().Jobs(namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
		require.NoError(b, err)
		seen.Go(func() {
			names := make(map[string]bool)
			for event := range w.ResultChan() {
				if o, ok := event.Object.(metav1.Object); ok {
					names[o.GetName()] = true
				}
				if len(names) == loadChanges {
					w.Stop()
					return
				}
			}
		})
	})
	begun := time.Now()
	create(loadChanges)
	seen.Wait()
	require.NoError(b, ctx.Err())
	return time.Since(begun)
}
