package clients

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	applybatchv1 "k8s.io/client-go/applyconfigurations/batch/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/runtocompletion/batch/contrib/kube"
)

const namespace = metav1.NamespaceDefault

// config is how client libraries find the server.
func (w *world) config() *rest.Config {
	w.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.kubeconfig)
	require.NoError(w, err)
	config.QPS, config.Burst = 1000, 1000
	return config
}

func (w *world) clientset() *kubernetes.Clientset {
	w.Helper()
	c, err := kubernetes.NewForConfig(w.config())
	require.NoError(w, err)
	return c
}

// job is a manifest whose container runs a function.
func job(name, function string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"app": "clients"}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: "func/" + function}},
		}}},
	}
}

func isTrue(j *batchv1.Job, kind batchv1.JobConditionType) bool {
	for _, c := range j.Status.Conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// until waits for a job as operators and CI scripts in Go do: list, watch, and
// list again when the watch breaks.
func (w *world) until(c *kubernetes.Clientset, name string, kind batchv1.JobConditionType) *batchv1.Job {
	w.Helper()
	jobs := c.BatchV1().Jobs(namespace)
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return jobs.List(ctx, o)
		},
		WatchFuncWithContext: jobs.Watch,
	}
	ctx, cancel := context.WithTimeout(w.Context(), 2*time.Minute)
	defer cancel()
	event, err := watchtools.UntilWithSync(ctx, lw, &batchv1.Job{}, nil, func(e watch.Event) (bool, error) {
		j := e.Object.(*batchv1.Job)
		return j.Name == name && isTrue(j, kind), nil
	})
	require.NoError(w, err)
	return event.Object.(*batchv1.Job)
}

func TestClientset_LifeOfAJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	c := w.clientset()
	jobs := c.BatchV1().Jobs(namespace)

	created, err := jobs.Create(t.Context(), job("train", "wait"), metav1.CreateOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 1, *created.Spec.Completions, "the answer has the defaults")
	_, err = jobs.Create(t.Context(), job("train", "wait"), metav1.CreateOptions{})
	require.True(t, apierrors.IsAlreadyExists(err), "%v", err)

	w.release()
	done := w.until(c, "train", batchv1.JobComplete)
	require.EqualValues(t, 1, done.Status.Succeeded)
	require.NotNil(t, done.Status.CompletionTime)

	require.NoError(t, jobs.Delete(t.Context(), "train", metav1.DeleteOptions{
		Preconditions:     &metav1.Preconditions{UID: new(done.UID)},
		PropagationPolicy: new(metav1.DeletePropagationBackground)}))
	_, err = jobs.Get(t.Context(), "train", metav1.GetOptions{})
	require.True(t, apierrors.IsNotFound(err), "%v", err)
}

func TestClientset_Changes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	jobs := w.clientset().BatchV1().Jobs(namespace)
	created, err := jobs.Create(t.Context(), job("train", "wait"), metav1.CreateOptions{})
	require.NoError(t, err)

	t.Run("update, and update of something older", func(t *testing.T) {
		j, err := jobs.Get(t.Context(), "train", metav1.GetOptions{})
		require.NoError(t, err)
		j.Spec.Suspend = new(true)
		updated, err := jobs.Update(t.Context(), j, metav1.UpdateOptions{})
		require.NoError(t, err)
		require.EqualValues(t, created.Generation+1, updated.Generation)
		_, err = jobs.Update(t.Context(), created, metav1.UpdateOptions{})
		require.True(t, apierrors.IsConflict(err), "%v", err)
	})
	for name, patch := range map[types.PatchType]string{
		types.StrategicMergePatchType: `{"spec":{"parallelism":2}}`,
		types.MergePatchType:          `{"spec":{"parallelism":2}}`,
		types.JSONPatchType:           `[{"op":"replace","path":"/spec/parallelism","value":2}]`,
	} {
		t.Run(string(name), func(t *testing.T) {
			j, err := jobs.Patch(t.Context(), "train", name, []byte(patch), metav1.PatchOptions{DryRun: []string{"All"}})
			require.NoError(t, err)
			require.EqualValues(t, 2, *j.Spec.Parallelism)
		})
	}
	t.Run("apply", func(t *testing.T) {
		spec := applybatchv1.Job("train", namespace).WithSpec(applybatchv1.JobSpec().WithTTLSecondsAfterFinished(5))
		j, err := jobs.Apply(t.Context(), spec, metav1.ApplyOptions{FieldManager: "test"})
		require.NoError(t, err)
		require.EqualValues(t, 5, *j.Spec.TTLSecondsAfterFinished)
		_, err = jobs.Apply(
			t.Context(), spec.WithSpec(applybatchv1.JobSpec().WithTTLSecondsAfterFinished(6)),
			metav1.ApplyOptions{FieldManager: "other"},
		)
		require.True(t, apierrors.IsConflict(err), "%v", err)
	})
	t.Run("apply makes what is missing", func(t *testing.T) {
		spec := applybatchv1.Job("applied", namespace).WithSpec(applybatchv1.JobSpec().WithTemplate(
			applycorev1.PodTemplateSpec().WithSpec(applycorev1.PodSpec().WithRestartPolicy(corev1.RestartPolicyNever).
				WithContainers(applycorev1.Container().WithName("main").WithImage("func/hello")))))
		_, err := jobs.Apply(t.Context(), spec, metav1.ApplyOptions{FieldManager: "test"})
		require.NoError(t, err)
	})
	t.Run("the status is the server's", func(t *testing.T) {
		_, err := jobs.UpdateStatus(t.Context(), created, metav1.UpdateOptions{})
		require.True(t, apierrors.IsMethodNotSupported(err), "%v", err)
	})
	t.Run("an invalid one has causes", func(t *testing.T) {
		bad := job("bad", "hello")
		bad.Spec.Parallelism = new(int32(-1))
		_, err := jobs.Create(t.Context(), bad, metav1.CreateOptions{})
		require.True(t, apierrors.IsInvalid(err), "%v", err)
		require.True(t, apierrors.HasStatusCause(err, metav1.CauseTypeFieldValueInvalid), "%v", err)
	})
}

func TestClientset_ListsInChunksAndDeletesCollections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	jobs := w.clientset().BatchV1().Jobs(namespace)
	for _, name := range []string{"a", "b", "c"} {
		_, err := jobs.Create(t.Context(), job(name, "wait"), metav1.CreateOptions{})
		require.NoError(t, err)
	}
	first, err := jobs.List(t.Context(), metav1.ListOptions{Limit: 2})
	require.NoError(t, err)
	require.Len(t, first.Items, 2)
	require.EqualValues(t, 1, *first.RemainingItemCount)
	rest, err := jobs.List(t.Context(), metav1.ListOptions{Limit: 2, Continue: first.Continue})
	require.NoError(t, err)
	require.Len(t, rest.Items, 1)
	require.Empty(t, rest.Continue)

	require.NoError(t, jobs.DeleteCollection(t.Context(),
		metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)},
		metav1.ListOptions{LabelSelector: "app=clients", FieldSelector: "metadata.name!=b"}))
	left, err := jobs.List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, left.Items, 1)
	require.Equal(t, "b", left.Items[0].Name)
}

func TestClientset_PodsLogsAndEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	c := w.clientset()
	_, err := c.BatchV1().Jobs(namespace).Create(t.Context(), job("train", "wait"), metav1.CreateOptions{})
	require.NoError(t, err)
	var pods *corev1.PodList
	w.eventually(func() bool {
		pods, err = c.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{
			LabelSelector: "job-name=train", FieldSelector: "status.phase=Running",
		})
		require.NoError(t, err)
		return len(pods.Items) == 1
	})

	log, err := c.CoreV1().Pods(namespace).GetLogs(
		pods.Items[0].Name, &corev1.PodLogOptions{Follow: true},
	).Stream(t.Context())
	require.NoError(t, err)
	defer log.Close()
	w.release()
	text, err := io.ReadAll(log)
	require.NoError(t, err)
	require.Equal(t, "waiting\nreleased\n", string(text))

	w.until(c, "train", "Finished")
	events, err := c.CoreV1().Events(namespace).List(t.Context(), metav1.ListOptions{
		FieldSelector: "involvedObject.name=train",
	})
	require.NoError(t, err)
	require.Equal(t, []string{"SuccessfulCreate", "Completed"}, []string{events.Items[0].Reason, events.Items[1].Reason})
}

func TestClientset_Discovery(t *testing.T) {
	t.Parallel()
	c := newWorld(t, kube.Options{}).clientset()
	_, lists, err := c.Discovery().ServerGroupsAndResources()
	require.NoError(t, err)
	var names []string
	for _, list := range lists {
		for _, r := range list.APIResources {
			names = append(names, list.GroupVersion+" "+r.Name)
		}
	}
	require.Contains(t, names, "batch/v1 jobs")
	require.Contains(t, names, "v1 pods/log")
	version, err := c.Discovery().ServerVersion()
	require.NoError(t, err)
	require.Equal(t, "1", version.Major)
}

func TestDynamicClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	_, err := w.clientset().BatchV1().Jobs(namespace).Create(t.Context(), job("train", "wait"), metav1.CreateOptions{})
	require.NoError(t, err)
	c, err := dynamic.NewForConfig(w.config())
	require.NoError(t, err)
	list, err := c.Resource(batchv1.SchemeGroupVersion.WithResource("jobs")).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	require.Equal(t, "Job", list.Items[0].GetKind())
}

// TestClientset_Input wants the args and env of a container to be the input of a
// function.
func TestClientset_Input(t *testing.T) {
	w := newWorld(t, kube.Options{Write: true})
	c := w.clientset()
	manifest := job("greet", "greet")
	container := &manifest.Spec.Template.Spec.Containers[0]
	container.Args = []string{"hello", "$(NAME)"}
	container.Env = []corev1.EnvVar{{Name: "NAME", Value: "Ann"}}
	_, err := c.BatchV1().Jobs(namespace).Create(t.Context(), manifest, metav1.CreateOptions{})
	require.NoError(t, err)
	w.until(c, "greet", batchv1.JobComplete)
	pods, err := c.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "job-name=greet"})
	require.NoError(t, err)
	require.Len(t, pods.Items, 1)
	text, err := c.CoreV1().Pods(namespace).GetLogs(pods.Items[0].Name, new(corev1.PodLogOptions)).DoRaw(t.Context())
	require.NoError(t, err)
	require.Equal(t, "[hello Ann] Ann\n", string(text))
}
