package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch"
)

// reconcile brings the Job of that name to where the job wants it, and reports what has
// become of it.
func (d *driver) reconcile(ctx context.Context, name string) error {
	status, err := d.controller.Get(name)
	gone := errors.Is(err, batch.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	handed, left, err := d.handedOnAs(name, status.UID)
	if err != nil {
		return err
	}
	if left != nil {
		return d.removeLeft(ctx, left)
	}
	if gone || status.ManagedBy != Manager {
		return nil // a Job of another service, or of this one before it has created its job
	}
	found, err := d.find(name)
	if err != nil {
		return err
	}
	switch {
	case status.Finished():
		return d.releaseAll(ctx, d.podsOf(handed, found))
	case !status.DeletedAt.IsZero(), isCancelled(&status):
		return d.end(ctx, &status, handed, found)
	}
	if found, err = d.submit(ctx, &status, handed, found); err != nil || found == nil {
		return err
	}
	return d.report(ctx, &status, found)
}

// find finds a Job by its name, as far as is known; nil if there is none.
func (d *driver) find(name string) (*batchv1.Job, error) {
	found, err := d.jobs.Get(name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return found, err
}

// isCancelled reports whether a user has cancelled the job.
func isCancelled(s *batch.Status) bool {
	c, ok := s.Condition(batch.ConditionFailureTarget)
	return ok && c.Reason == batch.ReasonCancelled
}

func isFinished(job *batchv1.Job) bool {
	return slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue
	})
}

// stall has the job say why it does not go on.
func (d *driver) stall(ctx context.Context, status *batch.Status, reason, message string) error {
	next := *status
	next.Conditions = withStalled(status.Conditions, batch.Condition{Type: batch.ConditionStalled, Status: "True",
		Reason: reason, Message: message}, true)
	err := d.controller.Report(ctx, status.Name, batch.Report{UID: status.UID, Status: &next})
	return errors.Join(err, errors.New(message))
}

// fail fails a job that cannot go on in the cluster.
func (d *driver) fail(ctx context.Context, status *batch.Status, reason, message string) error {
	next := *status
	next.Active, next.Ready, next.Pending, next.Terminating = 0, 0, 0, 0
	next.Conditions = withStalled(next.Conditions, batch.Condition{}, false)
	if next.StartTime.IsZero() {
		next.StartTime = status.CreatedAt
	}
	for _, t := range []string{batch.ConditionFailureTarget, batch.ConditionFailed} {
		next.Conditions = append(slices.Clone(next.Conditions),
			batch.Condition{Type: t, Status: "True", Reason: reason, Message: message, LastTransitionTime: time.Now()})
	}
	return d.controller.Report(ctx, status.Name, batch.Report{UID: status.UID, Status: &next})
}

// end ends the Job of a job that was cancelled or is being deleted, and reports that when
// nothing of it runs any more.
func (d *driver) end(ctx context.Context, status *batch.Status, handed *handedOn, found *batchv1.Job) error {
	if handed.owns(found) {
		if err := d.deleteJob(ctx, found); err != nil {
			return err
		}
	}
	_, err := d.reportPods(ctx, status, d.podsOf(handed, found), func(r *podReport) {
		r.Status = ended(status, r.running)
	})
	if errors.Is(err, batch.ErrNotFound) {
		return nil
	}
	return err
}

// ended is the status of a job that ends while so many of its pods run.
func ended(status *batch.Status, running int) *batch.Status {
	next := *status
	next.Active, next.Ready, next.Pending, next.Terminating = 0, 0, 0, running
	if next.StartTime.IsZero() {
		next.StartTime = status.CreatedAt
	}
	if c, ok := status.Condition(batch.ConditionFailureTarget); ok && running == 0 {
		c.Type = batch.ConditionFailed
		next.Conditions = append(slices.Clone(status.Conditions), c)
	}
	return &next
}

func (d *driver) deleteJob(ctx context.Context, found *batchv1.Job) error {
	if found.DeletionTimestamp != nil {
		return nil
	}
	err := d.client.BatchV1().Jobs(d.o.Namespace).Delete(ctx, found.Name, metav1.DeleteOptions{
		PropagationPolicy: new(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: &found.UID}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// settle notes that the ends of pods are durable at the controller, and lets the pods go.
func (d *driver) settle(ctx context.Context, status *batch.Status, ended []*corev1.Pod) error {
	d.known.add(ended, status.UID)
	for _, pod := range ended {
		d.logs.forget(pod.UID)
	}
	return d.releaseAll(ctx, ended)
}

// releaseAll lets pods go whose results were read, or are not wanted.
func (d *driver) releaseAll(ctx context.Context, pods []*corev1.Pod) error {
	var group errgroup.Group
	group.SetLimit(workers)
	for _, pod := range pods {
		if at := slices.Index(pod.Finalizers, resultMark); at >= 0 && !d.known.isReleased(pod.UID) {
			group.Go(func() error { return d.releasePod(ctx, pod, at) })
		}
	}
	return group.Wait()
}

// releasePod removes the finalizer that is at that place.
func (d *driver) releasePod(ctx context.Context, pod *corev1.Pod, at int) error {
	path := fmt.Sprintf("/metadata/finalizers/%d", at)
	patch, err := json.Marshal([]map[string]any{{"op": "test", "path": path, "value": resultMark},
		{"op": "remove", "path": path}})
	if err != nil {
		return err
	}
	_, err = d.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.JSONPatchType, patch,
		metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	d.known.release(pod.UID)
	return nil
}

// podsOf are the pods of a job in the order of their creation, as far as is known. If the
// Job of its name is another one, the pods of that are not among them.
func (d *driver) podsOf(handed *handedOn, found *batchv1.Job) []*corev1.Pod {
	if handed == nil {
		return nil
	}
	pods := d.podsNamed(handed.Name)
	if found == nil || handed.owns(found) {
		return pods
	}
	return slices.DeleteFunc(pods, func(p *corev1.Pod) bool { return belongsTo(p, found) })
}

// podsOfJob are the pods of a Job in the order of their creation, as far as is known.
func (d *driver) podsOfJob(found *batchv1.Job) []*corev1.Pod {
	return slices.DeleteFunc(d.podsNamed(found.Name), func(p *corev1.Pod) bool { return !belongsTo(p, found) })
}

func belongsTo(pod *corev1.Pod, job *batchv1.Job) bool {
	return pod.Labels[batchv1.ControllerUidLabel] == string(job.UID)
}

// podsNamed are the pods of all Jobs that have had that name, as far as is known.
func (d *driver) podsNamed(name string) []*corev1.Pod {
	found, err := d.pods.ByIndex(byJob, name)
	if err != nil {
		return nil
	}
	var pods []*corev1.Pod
	for _, o := range found {
		pods = append(pods, o.(*corev1.Pod))
	}
	sortPods(pods)
	return pods
}
