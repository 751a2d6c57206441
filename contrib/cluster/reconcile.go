package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch"
)

// What was handed on is remembered in the controller's store: so a job that is deleted
// while nobody watches is deleted in the cluster as well.

// A handedOn is a job that has a Job in the cluster.
type handedOn struct{ Name, Namespace, UID string }

const recordPrefix = "cluster/"

func (d *driver) handedOn() (list []handedOn) {
	for _, data := range d.controller.Records(recordPrefix) {
		var h handedOn
		if json.Unmarshal(data, &h) == nil && h.Namespace == d.o.Namespace {
			list = append(list, h)
		}
	}
	return list
}

// remember notes that a job is handed on, before it is.
func (d *driver) remember(ctx context.Context, s *batch.Status) error {
	for _, h := range d.handedOn() {
		if h.UID == s.UID {
			return nil
		}
	}
	data, err := json.Marshal(handedOn{s.Name, d.o.Namespace, s.UID})
	if err != nil {
		return err
	}
	return d.controller.SaveRecord(ctx, recordPrefix+s.UID, data)
}

// reconcile brings the Job of that name to where the job wants it, and reports what has
// become of it.
func (d *driver) reconcile(ctx context.Context, name string) error {
	status, err := d.controller.Get(name)
	gone := errors.Is(err, batch.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	for _, h := range d.handedOn() {
		if h.Name == name && (gone || h.UID != status.UID) {
			return d.removeLeft(ctx, h)
		}
	}
	if gone || status.ManagedBy != Manager {
		return nil // a Job of another service, or of this one before it has created its job
	}
	found, err := d.jobs.Get(name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if apierrors.IsNotFound(err) {
		found = nil
	}
	switch {
	case status.Finished():
		return d.release(ctx, name)
	case !status.DeletedAt.IsZero(), isCancelled(&status):
		return d.end(ctx, &status, found)
	}
	if found, err = d.submit(ctx, &status, found); err != nil || found == nil {
		return err
	}
	return d.report(ctx, &status, found)
}

// isCancelled reports whether a user has cancelled the job.
func isCancelled(s *batch.Status) bool {
	c, ok := s.Condition(batch.ConditionFailureTarget)
	return ok && c.Reason == batch.ReasonCancelled
}

// submit makes sure that the cluster has the Job as it is wanted, and returns it; nil if
// there is nothing to be reported.
func (d *driver) submit(ctx context.Context, status *batch.Status, found *batchv1.Job) (*batchv1.Job, error) {
	job, err := d.controller.Job(status.Name)
	if err != nil {
		return nil, err
	}
	if found == nil && !status.StartTime.IsZero() {
		found, err = d.client.BatchV1().Jobs(d.o.Namespace).Get(ctx, status.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, d.fail(ctx, status, "JobDeleted", "Job was deleted in the cluster")
		}
		if err != nil {
			return nil, err
		}
	}
	if found == nil && job.Executor == nil {
		return nil, nil // it is declared later, and its status says so
	}
	if err := Check(job); err != nil {
		return nil, d.fail(ctx, status, "Refused", err.Error()) // Create refuses it if it knows Check
	}
	wanted, err := d.jobOf(&job)
	if err != nil {
		return nil, err
	}
	if found == nil {
		if err := d.remember(ctx, status); err != nil {
			return nil, err
		}
		found, err = d.client.BatchV1().Jobs(d.o.Namespace).Create(ctx, wanted, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			found, err = d.client.BatchV1().Jobs(d.o.Namespace).Get(ctx, status.Name, metav1.GetOptions{})
		}
		if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
			return nil, d.stall(ctx, status, "ClusterRefuses", err.Error())
		}
		if stalled, ok := d.reach.stalled(); ok && err != nil {
			return nil, d.stall(ctx, status, stalled.Reason, stalled.Message)
		}
		if err != nil {
			return nil, err
		}
	}
	if hash := found.Annotations[hashKey]; job.Executor != nil && hash != wanted.Annotations[hashKey] {
		return nil, d.stall(ctx, status, "ClusterConflict",
			fmt.Sprintf("the cluster has another Job %q in namespace %q: "+
				"its spec has the hash %q, and this one %q", status.Name, d.o.Namespace, hash, wanted.Annotations[hashKey]))
	}
	if found.DeletionTimestamp != nil {
		return nil, d.stall(ctx, status, "ClusterDeletes",
			fmt.Sprintf("Job %q is being deleted in the cluster", status.Name))
	}
	if err := d.remember(ctx, status); err != nil {
		return nil, err
	}
	return d.update(ctx, found, &job)
}

// update changes what has changed since of a Job.
func (d *driver) update(ctx context.Context, found *batchv1.Job, job *batch.Job) (*batchv1.Job, error) {
	next := found.DeepCopy()
	setMutable(&next.Spec, job)
	if equality.Semantic.DeepEqual(found.Spec, next.Spec) || isFinished(found) {
		return found, nil
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{
		"parallelism": next.Spec.Parallelism, "completions": next.Spec.Completions, "backoffLimit": next.Spec.BackoffLimit,
		"maxFailedIndexes": next.Spec.MaxFailedIndexes, "activeDeadlineSeconds": next.Spec.ActiveDeadlineSeconds,
		"suspend": next.Spec.Suspend}})
	if err != nil {
		return nil, err
	}
	return d.client.BatchV1().Jobs(d.o.Namespace).Patch(ctx, found.Name, types.MergePatchType, patch,
		metav1.PatchOptions{})
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

// removeLeft removes the Job of a job that is gone, and then what is remembered of it.
func (d *driver) removeLeft(ctx context.Context, h handedOn) error {
	err := d.deleteJob(ctx, h.Name)
	if err == nil {
		err = d.release(ctx, h.Name)
	}
	if err != nil {
		return err
	}
	if _, err := d.jobs.Get(h.Name); err == nil {
		return nil // its deletion will be seen
	}
	if err := d.controller.SaveRecord(ctx, recordPrefix+h.UID, nil); err != nil {
		return err
	}
	d.queue.Add(h.Name) // there may be a new job of that name
	return nil
}

func (d *driver) deleteJob(ctx context.Context, name string) error {
	found, err := d.jobs.Get(name)
	if apierrors.IsNotFound(err) || err == nil && found.DeletionTimestamp != nil {
		return nil
	}
	if err != nil {
		return err
	}
	err = d.client.BatchV1().Jobs(d.o.Namespace).Delete(ctx, name, metav1.DeleteOptions{
		PropagationPolicy: new(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: &found.UID}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// end ends the Job of a job that was cancelled or is being deleted, and reports that when
// nothing of it runs any more.
func (d *driver) end(ctx context.Context, status *batch.Status, found *batchv1.Job) error {
	if found != nil {
		if err := d.deleteJob(ctx, status.Name); err != nil {
			return err
		}
	}
	report, ended, err := d.attemptsOf(ctx, status, d.podsOf(status.Name))
	if err != nil {
		return err
	}
	next := *status
	next.Active, next.Ready, next.Pending, next.Terminating = 0, 0, 0, report.running
	if next.StartTime.IsZero() {
		next.StartTime = status.CreatedAt
	}
	if c, ok := status.Condition(batch.ConditionFailureTarget); ok && report.running == 0 {
		c.Type = batch.ConditionFailed
		next.Conditions = append(slices.Clone(status.Conditions), c)
	}
	report.Status = &next
	if err := d.controller.Report(ctx, status.Name, report.Report); err != nil && !errors.Is(err, batch.ErrNotFound) {
		return err
	}
	d.known.add(ended, status.UID)
	return d.releaseAll(ctx, ended)
}

// release lets the pods of a job go whose results were read, or are not wanted.
func (d *driver) release(ctx context.Context, name string) error {
	return d.releaseAll(ctx, d.podsOf(name))
}

func (d *driver) releaseAll(ctx context.Context, pods []*corev1.Pod) error {
	for _, pod := range pods {
		at := slices.Index(pod.Finalizers, resultMark)
		if at < 0 {
			continue
		}
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
	}
	return nil
}

// A known is a set of pods that have been reported as ended, and for which job.
type known struct {
	mu   sync.Mutex // guards the field below
	jobs map[types.UID]string
}

func (k *known) has(pod *corev1.Pod, jobUID string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.jobs[pod.UID] == jobUID
}

func (k *known) add(pods []*corev1.Pod, jobUID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, pod := range pods {
		k.jobs[pod.UID] = jobUID
	}
}

func (k *known) drop(uid types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.jobs, uid)
}

// podsOf are the pods of a job in the order of their creation, as far as is known.
func (d *driver) podsOf(name string) []*corev1.Pod {
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
