package clients

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/runtocompletion/batch/contrib/kube"
)

// A diary is what an informer's handler was told, in order.
type diary struct {
	mu    sync.Mutex
	lines []string // guarded by mu
}

func (d *diary) write(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) last() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.lines) == 0 {
		return ""
	}
	return d.lines[len(d.lines)-1]
}

func state(o any) string {
	j := o.(*batchv1.Job)
	switch {
	case isTrue(j, "Finished"):
		return j.Name + " finished"
	case j.Status.Active > 0:
		return j.Name + " active"
	}
	return j.Name + " waiting"
}

// run runs the informers of a factory until the test ends. They are in sync when
// it returns.
func run[K comparable](t *testing.T, factory interface {
	Start(stop <-chan struct{})
	Shutdown()
	WaitForCacheSync(stop <-chan struct{}) map[K]bool
}) {
	stop := make(chan struct{})
	factory.Start(stop)
	t.Cleanup(func() {
		close(stop)
		factory.Shutdown()
	})
	giveUp := make(chan struct{})
	defer time.AfterFunc(2*time.Minute, func() { close(giveUp) }).Stop()
	for kind, synced := range factory.WaitForCacheSync(giveUp) {
		require.True(t, synced, kind)
	}
}

func TestInformer_FollowsJobsAndPods(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	c := w.clientset()
	jobs := c.BatchV1().Jobs(namespace)
	_, err := jobs.Create(t.Context(), job("before", "wait"), metav1.CreateOptions{})
	require.NoError(t, err)

	factory := informers.NewSharedInformerFactory(c, 0)
	d := new(diary)
	_, err = factory.Batch().V1().Jobs().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { d.write("added: " + state(o)) },
		UpdateFunc: func(_, o any) { d.write("updated: " + state(o)) },
		DeleteFunc: func(o any) { d.write("deleted: " + state(o)) },
	})
	require.NoError(t, err)
	pods := factory.Core().V1().Pods().Lister()
	run(t, factory)
	w.eventually(func() bool { return d.last() == "added: before active" || d.last() == "updated: before active" })

	_, err = jobs.Create(t.Context(), job("after", "wait"), metav1.CreateOptions{})
	require.NoError(t, err)
	w.eventually(func() bool { return d.last() == "added: after active" || d.last() == "updated: after active" })
	w.eventually(func() bool {
		list, err := pods.Pods(namespace).List(labels.SelectorFromSet(labels.Set{"job-name": "after"}))
		return err == nil && len(list) == 1
	})

	require.NoError(
		t,
		jobs.Delete(t.Context(), "before", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}),
	)
	w.eventually(func() bool { return d.last() == "deleted: before active" || d.last() == "deleted: before waiting" })
	w.release()
	w.eventually(func() bool { return d.last() == "updated: after finished" })
}

func TestInformer_OfMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	_, err := w.clientset().BatchV1().Jobs(namespace).Create(t.Context(), job("train", "wait"), metav1.CreateOptions{})
	require.NoError(t, err)
	c, err := metadata.NewForConfig(w.config())
	require.NoError(t, err)
	factory := metadatainformer.NewSharedInformerFactory(c, 0)
	lister := factory.ForResource(batchv1.SchemeGroupVersion.WithResource("jobs")).Lister()
	run(t, factory)
	found, err := lister.ByNamespace(namespace).Get("train")
	require.NoError(t, err)
	require.Equal(t, "clients", found.(*metav1.PartialObjectMetadata).Labels["app"])
}

// TestInformer_SurvivesItsWatches lets watches end again and again.
func TestInformer_SurvivesItsWatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	c := w.clientset()
	factory := informers.NewSharedInformerFactoryWithOptions(c, 0,
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.TimeoutSeconds = new(int64(1))
		}))
	lister := factory.Batch().V1().Jobs().Lister()
	run(t, factory)
	for _, name := range []string{"a", "b", "c"} {
		_, err := c.BatchV1().Jobs(namespace).Create(t.Context(), job(name, "hello"), metav1.CreateOptions{})
		require.NoError(t, err)
		w.eventually(func() bool {
			j, err := lister.Jobs(namespace).Get(name)
			return err == nil && isTrue(j, batchv1.JobComplete)
		})
		time.Sleep(1200 * time.Millisecond) // longer than a watch lasts
	}
}
