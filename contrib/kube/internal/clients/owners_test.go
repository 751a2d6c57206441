package clients

import (
	"testing"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/runtocompletion/batch/contrib/kube"
)

// TestControllerRuntime_Owners wants finalizers, and owners that are not served, to be
// refused wherever an operator may set them: none is dropped or kept without effect.
func TestControllerRuntime_Owners(t *testing.T) {
	t.Parallel()
	w := newWorld(t, kube.Options{Write: true})
	c, err := client.New(w.config(), client.Options{})
	require.NoError(t, err)
	live := job("live", "wait")
	require.NoError(t, c.Create(t.Context(), live))
	owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "owner", Namespace: namespace, UID: "u"}}
	for field, set := range map[string]func(*batchv1.Job){
		"metadata.finalizers": func(j *batchv1.Job) { controllerutil.AddFinalizer(j, "acme.io/cleanup") },
		"metadata.ownerReferences": func(j *batchv1.Job) {
			require.NoError(t, controllerutil.SetControllerReference(owner, j, c.Scheme()))
		},
	} {
		refused := func(err error) {
			t.Helper()
			require.True(t, apierrors.IsInvalid(err), "%v", err)
			require.ErrorContains(t, err, field+": Forbidden")
		}
		created := job("created", "hello")
		set(created)
		refused(c.Create(t.Context(), created))
		updated := live.DeepCopy()
		set(updated)
		updated.ResourceVersion = ""
		refused(c.Update(t.Context(), updated.DeepCopy()))
		refused(c.Patch(t.Context(), updated, client.MergeFrom(live)))
	}
	require.NoError(t, c.Get(t.Context(), client.ObjectKeyFromObject(live), live))
	require.Empty(t, live.Finalizers)
	require.Empty(t, live.OwnerReferences)
}

// TestClientset_OwnedJobs deletes the CronJob that a job belongs to, and the job, with
// every propagation policy: deletion waits, and what is owned is collected, as it says.
func TestClientset_OwnedJobs(t *testing.T) {
	for policy, test := range map[metav1.DeletionPropagation]struct{ waits, stays bool }{
		metav1.DeletePropagationBackground: {},
		metav1.DeletePropagationForeground: {waits: true},
		metav1.DeletePropagationOrphan:     {stays: true},
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			w := newCronWorld(t)
			jobs, crons := w.clientset().BatchV1().Jobs(namespace), w.clientset().BatchV1().CronJobs(namespace)
			owner := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "owner"}, Spec: batchv1.CronJobSpec{
				Schedule: "@yearly", JobTemplate: batchv1.JobTemplateSpec{Spec: stubborn().Spec}}}
			owner, err := crons.Create(t.Context(), owner, metav1.CreateOptions{})
			require.NoError(t, err)
			owned := stubborn()
			require.NoError(t, controllerutil.SetControllerReference(owner, owned, scheme.Scheme))
			_, err = jobs.Create(t.Context(), owned, metav1.CreateOptions{})
			require.NoError(t, err)
			pods := w.clientset().CoreV1().Pods(namespace)
			w.eventually(func() bool {
				list, err := pods.List(t.Context(), metav1.ListOptions{FieldSelector: "status.phase=Running"})
				return err == nil && len(list.Items) == 1
			})

			require.NoError(t, crons.Delete(t.Context(), owner.Name, metav1.DeleteOptions{PropagationPolicy: &policy}))
			left, err := crons.Get(t.Context(), owner.Name, metav1.GetOptions{})
			require.Equal(t, test.waits, err == nil, "%v", err)
			if test.waits {
				require.NotNil(t, left.DeletionTimestamp)
				require.Equal(t, []string{metav1.FinalizerDeleteDependents}, left.Finalizers)
			}
			if test.stays {
				still, err := jobs.Get(t.Context(), owned.Name, metav1.GetOptions{})
				require.NoError(t, err)
				require.Empty(t, still.OwnerReferences)
				require.Nil(t, still.DeletionTimestamp)
				return
			}
			w.release()
			w.eventually(func() bool {
				_, noJob := jobs.Get(t.Context(), owned.Name, metav1.GetOptions{})
				_, noOwner := crons.Get(t.Context(), owner.Name, metav1.GetOptions{})
				return apierrors.IsNotFound(noJob) && apierrors.IsNotFound(noOwner)
			})
		})
	}
}

// stubborn is a job that does not end before it is released.
func stubborn() *batchv1.Job {
	j := job("owned", "stubborn")
	j.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(600))
	return j
}
