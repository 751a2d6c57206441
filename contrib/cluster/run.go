package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/runtocompletion/batch"
)

// Options say where jobs run, and how.
type Options struct {
	// Config reaches the API server. Nil means that of the pod in which the service runs.
	Config *rest.Config
	// Namespace is where the Jobs are. Empty means "default".
	Namespace string
	// Image is that of the pods, which has to be one of the service. Empty means the image
	// of the pod in which the service runs, by digest: that of its first container. See
	// also Template.
	Image string
	// Template is what pods have besides: resources, node selectors, tolerations, service
	// account, variables, volumes. The container of the attempt is the one that has the
	// name of [batch.Job.ContainerName], and is added if there is none.
	Template corev1.PodTemplateSpec
	// SameBuild has pods of another build than this program end with an error.
	SameBuild bool
	// Checkpoints lets attempts save checkpoints, for which their service account needs
	// [PodRights].
	Checkpoints bool
	// Functions are those of [Main]. Its Results are looked into for large results.
	Functions *Functions
}

// Run hands the jobs of a controller that name the [Manager] to a cluster, and reports
// what becomes of them, until ctx or the controller ends. Then the Jobs of the cluster go
// on; another Run, also of another build, finds them by their names, and reports all that
// has happened meanwhile.
//
// While the API server cannot be reached, jobs have the condition
// [batch.ConditionStalled], and nothing else changes. The error says that Run cannot
// begin, or is the cause of ctx.
func Run(ctx context.Context, controller *batch.Controller, o Options) error {
	d, err := newDriver(controller, o)
	if err != nil {
		return err
	}
	if err := d.findImage(ctx); err != nil {
		return err
	}
	return d.run(ctx)
}

// A driver is one call of Run.
type driver struct {
	controller *batch.Controller
	o          Options
	image      string
	client     kubernetes.Interface
	queue      workqueue.TypedRateLimitingInterface[string] // names of jobs to look at
	reach      *reach

	jobs   batchlisters.JobNamespaceLister
	pods   cache.Indexer
	events corelisters.EventNamespaceLister
	begun  time.Time
	logs   *logs
	known  *known
}

const (
	byJob    = "job"
	workers  = 8
	patience = 200 * time.Millisecond // in which what comes of a job is looked at once
)

func newDriver(controller *batch.Controller, o Options) (*driver, error) {
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	d := &driver{controller: controller, o: o, image: o.Image, begun: time.Now(), known: newKnown(),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](
			100*time.Millisecond, 10*time.Second))}
	d.reach = &reach{changed: d.lookAtAll}
	config, err := clientConfig(o.Config)
	if err == nil {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &reachTripper{next, d.reach} })
		d.client, err = kubernetes.NewForConfig(config)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: Options.Config: %w", err)
	}
	d.logs = newLogs(d)
	return d, nil
}

// clientConfig is a copy of a configuration, nil for that of the pod, with what it leaves
// open.
func clientConfig(given *rest.Config) (*rest.Config, error) {
	if given == nil {
		var err error
		if given, err = rest.InClusterConfig(); err != nil {
			return nil, err
		}
	}
	config := rest.CopyConfig(given)
	if config.QPS == 0 {
		config.QPS, config.Burst = 200, 400
	}
	if config.ContentType == "" {
		config.ContentType = runtime.ContentTypeProtobuf // half the work of JSON
		config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	}
	return config, nil
}

// findImage finds the image of the pod in which this process runs.
func (d *driver) findImage(ctx context.Context) error {
	if d.image != "" {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	pod, err := d.client.CoreV1().Pods(d.o.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("cluster: Options.Image: empty, and the pod of this process is not found: %w", err)
	}
	container := pod.Spec.Containers[0].Name // sidecars come after it
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container && strings.Contains(s.ImageID, "@sha256:") {
			d.image = strings.TrimPrefix(s.ImageID, "docker-pullable://")
			return nil
		}
	}
	return fmt.Errorf("cluster: Options.Image: empty, and container %s of pod %s has no image with a digest",
		container, name)
}

func (d *driver) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	defer group.Wait()
	defer d.queue.ShutDown()
	defer cancel(nil)
	stopInformers, err := d.startInformers(ctx)
	if err != nil {
		return err
	}
	defer stopInformers()
	defer cancel(nil) // before the informers are waited for
	if err := d.lookAtLeft(); err != nil {
		return err
	}
	group.Go(func() { cancel(d.watch(ctx)) })
	for range workers {
		group.Go(func() {
			for d.workOnce(ctx) {
			}
		})
	}
	<-ctx.Done()
	d.queue.ShutDown()
	d.logs.wait()
	if cause := context.Cause(ctx); !errors.Is(cause, batch.ErrShutdown) {
		return cause
	}
	return nil
}

// startInformers lists and watches what there is in the cluster of this package.
func (d *driver) startInformers(ctx context.Context) (stop func(), err error) {
	own := informers.NewSharedInformerFactoryWithOptions(d.client, 0, informers.WithNamespace(d.o.Namespace),
		informers.WithTransform(d.slim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = managedLabel + "=true" }))
	told := informers.NewSharedInformerFactoryWithOptions(d.client, 0, informers.WithNamespace(d.o.Namespace),
		informers.WithTransform(d.slim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = "involvedObject.kind=Job" }))
	jobs, pods, events := own.Batch().V1().Jobs(), own.Core().V1().Pods(), told.Core().V1().Events()
	d.jobs, d.events = jobs.Lister().Jobs(d.o.Namespace), events.Lister().Events(d.o.Namespace)
	if err := pods.Informer().AddIndexers(cache.Indexers{byJob: nameOfJob}); err != nil {
		return nil, err
	}
	d.pods = pods.Informer().GetIndexer()
	for informer, look := range map[cache.SharedIndexInformer]func(any){
		jobs.Informer():   func(o any) { d.queue.Add(o.(metav1.Object).GetName()) },
		pods.Informer():   func(o any) { d.queue.AddAfter(o.(metav1.Object).GetLabels()[labelJobName], patience) },
		events.Informer(): func(o any) { d.queue.AddAfter(o.(*corev1.Event).InvolvedObject.Name, patience) },
	} {
		if _, err := informer.AddEventHandler(handler(look)); err != nil {
			return nil, err
		}
	}
	// What is known of a pod is forgotten with it.
	if _, err := pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: d.forget}); err != nil {
		return nil, err
	}
	own.Start(ctx.Done())
	told.Start(ctx.Done())
	stop = func() {
		own.Shutdown()
		told.Shutdown()
	}
	synced := []cache.InformerSynced{jobs.Informer().HasSynced, pods.Informer().HasSynced, events.Informer().HasSynced}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		stop()
		return nil, context.Cause(ctx)
	}
	return stop, nil
}

// nameOfJob is an index of pods.
func nameOfJob(pod any) ([]string, error) {
	return []string{pod.(*corev1.Pod).Labels[labelJobName]}, nil
}

// handler calls a function for each change.
func handler(look func(any)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, o any) { look(o) }, DeleteFunc: func(o any) {
		if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
			o = gone.Obj
		}
		look(o)
	}}
}

func (d *driver) forget(o any) {
	if gone, ok := o.(cache.DeletedFinalStateUnknown); ok {
		o = gone.Obj
	}
	if pod, ok := o.(*corev1.Pod); ok {
		d.known.drop(pod.UID)
		d.logs.forget(pod.UID)
	}
}

// watch looks at each job of the controller that has changed.
func (d *driver) watch(ctx context.Context) error {
	since := uint64(0)
	for {
		for change, err := range d.controller.Watch(ctx, since) {
			if err != nil && !errors.Is(err, batch.ErrTooOld) {
				return err
			}
			if err != nil {
				break
			}
			since = change.Status.Revision
			if change.Status.ManagedBy == Manager {
				d.queue.AddAfter(change.Status.Name, patience) // it may be what was just reported
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		since = 0 // list anew
		if err := d.lookAtLeft(); err != nil {
			return err
		}
	}
}

// lookAtAll looks at all jobs of the controller.
func (d *driver) lookAtAll() {
	for s := range d.controller.All() {
		if s.ManagedBy == Manager {
			d.queue.Add(s.Name)
		}
	}
}

// lookAtLeft looks at the jobs that were handed on before, and may be gone since.
func (d *driver) lookAtLeft() error {
	list, err := d.handedOn(recordPrefix)
	for _, left := range list {
		d.queue.Add(left.Name)
	}
	return err
}

func (d *driver) workOnce(ctx context.Context) bool {
	name, over := d.queue.Get()
	if over {
		return false
	}
	defer d.queue.Done(name)
	if name == "" || ctx.Err() != nil {
		return true
	}
	if err := d.reconcile(ctx, name); err != nil {
		d.queue.AddRateLimited(name)
		return true
	}
	d.queue.Forget(name)
	return true
}
