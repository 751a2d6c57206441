package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"

	"github.com/runtocompletion/batch"
	"github.com/runtocompletion/batch/contrib/kube/internal/watchcache"
)

// deleteOptions reads how something is to be deleted: from the body or, without
// one, from the query.
func (a *answer) deleteOptions(q *query) (*metav1.DeleteOptions, error) {
	body, err := a.readBody(largestBody)
	if err != nil {
		return nil, err
	}
	options := new(metav1.DeleteOptions)
	if len(body) > 0 {
		err = a.decodeDeleteOptions(body, options)
	} else if err = metav1.Convert_url_Values_To_v1_DeleteOptions(&q.params, options, nil); err != nil {
		err = apierrors.NewBadRequest(err.Error())
	}
	if err != nil {
		return nil, err
	}
	if len(options.DryRun) == 0 {
		options.DryRun = q.params["dryRun"]
	}
	return options, invalidOptions("DeleteOptions", metavalidation.ValidateDeleteOptions(options))
}

func (a *answer) decodeDeleteOptions(body []byte, options *metav1.DeleteOptions) error {
	d := a.decoder(metav1.FieldValidationIgnore)
	kind := metav1.SchemeGroupVersion.WithKind("DeleteOptions")
	switch a.contentType() {
	case protobufType:
		if _, _, err := d.protobuf.Decode(body, &kind, options); err != nil {
			return unrecognized(kind, err, body)
		}
		return nil
	case yamlType:
		var err error
		if body, err = d.yamlToJSON(body); err != nil {
			return apierrors.NewBadRequest(err.Error())
		}
	case jsonType:
	default:
		return unsupportedMediaType(jsonType, yamlType, protobufType)
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(body, options); err != nil {
		return unrecognized(kind, err, body)
	}
	if options.Kind != "" && options.Kind != kind.Kind {
		return apierrors.NewBadRequest(fmt.Sprintf("decoded object cannot be converted to DeleteOptions: %s", options.GroupVersionKind()))
	}
	return nil
}

// delete removes one job, or stops one pod.
func (a *answer) delete(q *query) error {
	if err := a.allowWrites(q); err != nil {
		return err
	}
	options, err := a.deleteOptions(q)
	if err != nil {
		return err
	}
	o, err := a.find(q)
	if err != nil {
		return err
	}
	deleted, err := a.deleteOne(q.resource, o, options)
	if err != nil {
		return err
	}
	if _, isStatus := deleted.(*metav1.Status); isStatus {
		return a.writeObject(http.StatusOK, deleted)
	}
	return a.writeChanged(q, http.StatusOK, deleted.(object))
}

// deleteOne deletes an object and returns the answer: the object if it lingers,
// or else a Status.
func (a *answer) deleteOne(r *resource, o *watchcache.Object, options *metav1.DeleteOptions) (runtime.Object, error) {
	built := r.build(o)
	if err := checkPreconditions(r, built, options.Preconditions); err != nil {
		return nil, err
	}
	dryRun := len(options.DryRun) > 0
	if r.kind == "Pod" {
		a.warnOfGrace(built.(*corev1.Pod), options)
		return a.deletePod(r, o, dryRun)
	}
	propagation := a.propagation(options)
	if !dryRun {
		if err := a.server.config.Controller.Delete(a.r.Context(), o.Name, propagation); err != nil {
			return nil, jobError(o.Name, err)
		}
		if left := a.server.cache.Job(o.Name); left != nil && left.Job.Status.UID == o.Job.Status.UID {
			return r.build(left), nil
		}
	}
	return deletedStatus(r, built), nil
}

func deletedStatus(r *resource, o object) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusSuccess,
		Details:  &metav1.StatusDetails{Name: o.GetName(), Group: r.group, Kind: r.name, UID: o.GetUID()},
	}
}

func checkPreconditions(r *resource, o object, p *metav1.Preconditions) error {
	switch {
	case p == nil:
	case p.UID != nil && *p.UID != o.GetUID():
		return conflict(r.groupResource(), o.GetName(), otherUID, *p.UID, o.GetUID())
	case p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion():
		return conflict(r.groupResource(), o.GetName(), otherVersion, *p.ResourceVersion, o.GetResourceVersion())
	}
	return nil
}

// propagation is what becomes of a job's pods. A cluster keeps them if the
// client does not say; processes that nobody owns any more are no good here.
func (a *answer) propagation(options *metav1.DeleteOptions) batch.Propagation {
	orphan := options.OrphanDependents //lint:ignore SA1019 older clients send it
	switch {
	case options.PropagationPolicy != nil:
		return batch.Propagation(*options.PropagationPolicy)
	case orphan != nil && *orphan:
		return batch.Orphan
	case orphan == nil:
		a.warn("child pods are deleted by default when jobs are deleted on this server; " +
			"set propagationPolicy=Orphan to preserve them or set propagationPolicy=Background to suppress this warning")
	}
	return batch.Background
}

// warnOfGrace tells who wants a pod to be gone sooner than it says that it will
// take its time.
func (a *answer) warnOfGrace(pod *corev1.Pod, options *metav1.DeleteOptions) {
	wanted, given := options.GracePeriodSeconds, pod.Spec.TerminationGracePeriodSeconds
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if wanted != nil && given != nil && *wanted != *given && !ended {
		a.warn(fmt.Sprintf("gracePeriodSeconds is ignored by this server: the pod has the %d seconds of its template to end", *given))
	}
}

// deletePod stops an attempt. One that has ended is only put out of sight.
func (a *answer) deletePod(r *resource, o *watchcache.Object, dryRun bool) (runtime.Object, error) {
	if dryRun {
		return r.build(o), nil
	}
	err := a.server.config.Controller.DeleteAttempt(a.r.Context(), o.Owner.Status.Name, o.Pod.UID)
	switch {
	case errors.Is(err, batch.ErrFinished):
		a.server.cache.Dismiss(o)
	case errors.Is(err, batch.ErrNotFound):
		return nil, apierrors.NewNotFound(r.groupResource(), o.Name)
	case err != nil:
		return nil, err
	}
	if left := a.server.object(r, o.Name); left != nil && left.Pod.UID == o.Pod.UID {
		return r.build(left), nil
	}
	return r.build(o), nil
}

// deleteCollection deletes all objects that are selected, and answers with what
// they were.
func (a *answer) deleteCollection(q *query) error {
	if err := a.allowWrites(q); err != nil {
		return err
	}
	options, err := a.deleteOptions(q)
	if err != nil {
		return err
	}
	s, err := a.selection(q)
	if err != nil {
		return err
	}
	objects, meta, err := a.page(s)
	if err != nil {
		return err
	}
	var deleted []object
	for o := range objects {
		if err := a.deleteListed(q, o, options); err != nil {
			return err
		}
		deleted = append(deleted, o)
	}
	return a.writeList(q.resource, form{}, meta, slices.Values(deleted))
}

// deleteListed deletes one of many. That it is gone already is no error.
func (a *answer) deleteListed(q *query, o object, options *metav1.DeleteOptions) error {
	if a.r.Context().Err() != nil {
		return context.Cause(a.r.Context())
	}
	found := a.server.object(q.resource, o.GetName())
	if found == nil || uidOf(found) != o.GetUID() {
		return nil
	}
	_, err := a.deleteOne(q.resource, found, options)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func uidOf(o *watchcache.Object) types.UID {
	if o.Pod != nil {
		return types.UID(o.Pod.UID)
	}
	return types.UID(o.Job.Status.UID)
}
