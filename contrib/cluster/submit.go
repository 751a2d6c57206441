package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtocompletion/batch"
)

// submit makes sure that the cluster has the Job as it is wanted, and returns it; nil if
// there is nothing to be reported.
func (d *driver) submit(ctx context.Context, status *batch.Status, handed *handedOn, found *batchv1.Job) (
	*batchv1.Job, error) {
	job, err := d.controller.Job(status.Name)
	if err != nil {
		return nil, err
	}
	if found == nil && !status.StartTime.IsZero() {
		if found, err = d.lookAgain(ctx, status); err != nil || found == nil {
			return nil, err
		}
	}
	isDeclared := job.Executor != nil
	if !isDeclared && !handed.owns(found) {
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
		if found, err = d.create(ctx, status, wanted); err != nil {
			return nil, err
		}
	}
	if isDeclared {
		if err := d.claim(ctx, status, found, wanted.Annotations[hashKey]); err != nil {
			return nil, err
		}
	}
	if found.DeletionTimestamp != nil {
		return nil, d.yield(ctx, status, found)
	}
	return d.update(ctx, found, &job)
}

// lookAgain asks for the Job of a job that has begun, and fails the job if there is none.
func (d *driver) lookAgain(ctx context.Context, status *batch.Status) (*batchv1.Job, error) {
	found, err := d.client.BatchV1().Jobs(d.o.Namespace).Get(ctx, status.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, d.fail(ctx, status, "JobDeleted", "Job was deleted in the cluster")
	case err != nil:
		return nil, err
	}
	return found, nil
}

// create creates the Job, or finds the one that there is. It says why neither is possible.
func (d *driver) create(ctx context.Context, status *batch.Status, wanted *batchv1.Job) (*batchv1.Job, error) {
	if err := d.remember(ctx, status, wanted.Annotations[hashKey]); err != nil {
		return nil, err
	}
	jobs := d.client.BatchV1().Jobs(d.o.Namespace)
	found, err := jobs.Create(ctx, wanted, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		found, err = jobs.Get(ctx, status.Name, metav1.GetOptions{})
	}
	if err == nil {
		return found, nil
	}
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) {
		return nil, d.stall(ctx, status, "ClusterRefuses", err.Error())
	}
	return nil, d.stall(ctx, status, unreachable, unreachableMessage(err))
}

// claim notes that a Job is that of the job. One with another spec is not.
func (d *driver) claim(ctx context.Context, status *batch.Status, found *batchv1.Job, wanted string) error {
	if hash := found.Annotations[hashKey]; hash != wanted {
		return d.stall(ctx, status, "ClusterConflict", fmt.Sprintf("the cluster has another Job %q in namespace %q: "+
			"its spec has the hash %q, and this one %q", status.Name, d.o.Namespace, hash, wanted))
	}
	return d.remember(ctx, status, wanted)
}

// yield waits for a Job that somebody deletes in the cluster. It may be waiting itself, for
// its pods, which are let go here.
func (d *driver) yield(ctx context.Context, status *batch.Status, found *batchv1.Job) error {
	if _, err := d.reportPods(ctx, status, d.podsOfJob(found), func(*podReport) {}); err != nil {
		return err
	}
	return d.stall(ctx, status, "ClusterDeletes", fmt.Sprintf("Job %q is being deleted in the cluster", found.Name))
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
