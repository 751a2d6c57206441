package clients

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applybatchv1 "k8s.io/client-go/applyconfigurations/batch/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtocompletion/batch/contrib/kube"
)

func TestControllerRuntime_Client(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	c, err := client.New(w.config(), client.Options{})
	require.NoError(t, err)
	ctx := t.Context()
	train := job("train", "wait")
	require.NoError(t, c.Create(ctx, train))
	require.NotEmpty(t, train.UID)

	base := train.DeepCopy()
	train.Spec.Suspend = new(true)
	require.NoError(t, c.Patch(ctx, train, client.MergeFrom(base)))
	require.NoError(t, c.Get(ctx, client.ObjectKeyFromObject(train), train))
	require.True(t, *train.Spec.Suspend)

	applied := applybatchv1.Job("train", namespace).WithSpec(applybatchv1.JobSpec().WithTTLSecondsAfterFinished(60))
	require.NoError(t, c.Apply(ctx, applied, client.FieldOwner("test")))
	require.NoError(t, c.Get(ctx, client.ObjectKeyFromObject(train), train))
	require.EqualValues(t, 60, *train.Spec.TTLSecondsAfterFinished)

	var list batchv1.JobList
	require.NoError(t, c.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabels{"app": "clients"}))
	require.Len(t, list.Items, 1)
	err = c.Status().Update(ctx, train)
	require.True(t, apierrors.IsMethodNotSupported(err), "%v", err)
	require.ErrorContains(t, err, "the status of a job without managedBy is set by this server alone")

	require.NoError(
		t,
		c.DeleteAllOf(
			ctx, &batchv1.Job{}, client.InNamespace(namespace), client.PropagationPolicy(metav1.DeletePropagationBackground),
		),
	)
	err = c.Get(ctx, client.ObjectKeyFromObject(train), train)
	require.True(t, apierrors.IsNotFound(err), "%v", err)
}

// TestControllerRuntime_ManagedBy runs a job somewhere else: an operator finds it by its
// spec, applies its status, and ends it. Whoever waits for the job sees that.
func TestControllerRuntime_ManagedBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	c, err := client.New(w.config(), client.Options{})
	require.NoError(t, err)
	ctx := t.Context()
	train := job("train", "wait")
	train.Spec.ManagedBy = new("acme.io/operator")
	require.NoError(t, c.Create(ctx, train))
	begun := metav1.NewTime(time.Now().Truncate(time.Second))

	applied := applybatchv1.Job("train", namespace).WithStatus(applybatchv1.JobStatus().WithStartTime(begun).WithActive(1))
	require.NoError(t, c.Status().Apply(ctx, applied, client.FieldOwner("operator")))
	require.NoError(t, c.Get(ctx, client.ObjectKeyFromObject(train), train))
	require.EqualValues(t, 1, train.Status.Active)
	require.True(t, slices.ContainsFunc(train.ManagedFields, func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == "operator" && m.Subresource == "status"
	}), "%v", train.ManagedFields)

	stale := train.DeepCopy()
	train.Status.Active, train.Status.Ready = 1, new(int32(1))
	require.NoError(t, c.Status().Update(ctx, train))
	stale.Status.Active = 0
	err = c.Status().Update(ctx, stale)
	require.True(t, apierrors.IsConflict(err), "%v", err)

	base := train.DeepCopy()
	train.Status.Active, train.Status.Ready, train.Status.Succeeded = 0, new(int32(0)), 1
	train.Status.CompletionTime = &begun
	train.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	err = c.Status().Patch(ctx, train.DeepCopy(), client.MergeFrom(base))
	require.True(t, apierrors.IsInvalid(err), "%v", err)
	require.ErrorContains(t, err, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
	train.Status.Conditions = append([]batchv1.JobCondition{{
		Type: batchv1.JobSuccessCriteriaMet, Status: corev1.ConditionTrue}}, train.Status.Conditions...)
	require.NoError(t, c.Status().Patch(ctx, train, client.MergeFrom(base)))
	_, err = w.controller.Wait(ctx, "train")
	require.NoError(t, err)
}

// TestControllerRuntime_Manager runs a controller that resumes jobs.
func TestControllerRuntime_Manager(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	manager, err := ctrl.NewManager(w.config(), ctrl.Options{Metrics: server.Options{BindAddress: "0"}})
	require.NoError(t, err)
	c := manager.GetClient()
	require.NoError(t, ctrl.NewControllerManagedBy(manager).For(&batchv1.Job{}).Owns(&corev1.Pod{}).
		Complete(reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
			var j batchv1.Job
			if err := c.Get(ctx, r.NamespacedName, &j); err != nil || !*j.Spec.Suspend {
				return reconcile.Result{}, client.IgnoreNotFound(err)
			}
			j.Spec.Suspend = new(false)
			return reconcile.Result{}, c.Update(ctx, &j)
		})))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
	}()

	suspended := job("train", "hello")
	suspended.Spec.Suspend = new(true)
	require.NoError(t, c.Create(t.Context(), suspended))
	w.until(w.clientset(), "train", batchv1.JobComplete)
}
